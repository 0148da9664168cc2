"""One direction of one connection over a modelled link.

The link is that of `exgs.client.link`: a rate shared by all connections, a delay, losses, and a
growing window of the sender. Data beyond the window wait at the sender, as in a socket's buffer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from exgs.client.link import SEGMENT_BYTES, Lane, Link
from exgs.lab.simulation.world import World
from exgs.server.flow.pacing import Delivery


class Pipe:
    """Delivers bytes to `deliver`, in order."""

    def __init__(
        self,
        world: World,
        link: Link,
        lane: Lane,
        deliver: Callable[[bytes], None],
    ) -> None:
        self._world = world
        self._link = link
        self._lane = lane
        self._deliver = deliver
        self._waiting: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._under_way_bytes = 0
        self._acknowledged_bytes = 0
        self._round_trip_s = self._shortest_trip_s = link.rtt_s

    def send(self, data: bytes) -> None:
        """Send bytes after those that are waiting."""
        if data:
            self._waiting.append(data)
            self._unsent_bytes += len(data)
            self._pump()

    def delivery(self) -> Delivery:
        """The delivery state, as the sender's kernel would report it."""
        return Delivery(
            packet_bytes=SEGMENT_BYTES,
            unacknowledged=-(-self._under_way_bytes // SEGMENT_BYTES),
            sacked=0,
            lost=0,
            sent_again=0,
            round_trip_s=self._round_trip_s,
            unsent_bytes=self._unsent_bytes,
            delivered=self._acknowledged_bytes // SEGMENT_BYTES,
            shortest_trip_s=self._shortest_trip_s,
        )

    def _pump(self) -> None:
        while self._waiting and (room_bytes := self._lane.room) > 0:
            head = self._waiting.popleft()
            size_bytes = min(room_bytes, self._link.piece_bytes)
            piece, rest = head[:size_bytes], head[size_bytes:]
            if rest:
                self._waiting.appendleft(rest)
            self._unsent_bytes -= len(piece)
            self._under_way_bytes += len(piece)
            self._carry(piece)

    def _carry(self, piece: bytes) -> None:
        sent_s = self._world.now_s
        arrival_s = self._lane.send(sent_s, len(piece))

        def arrive() -> None:
            self._world.after(self._link.delay_s, acknowledge)
            self._deliver(piece)

        def acknowledge() -> None:
            self._round_trip_s = self._world.now_s - sent_s
            self._lane.acknowledge(len(piece))
            self._under_way_bytes -= len(piece)
            self._acknowledged_bytes += len(piece)
            self._pump()

        self._world.at(arrival_s, arrive)
