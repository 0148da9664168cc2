"""The static profile in virtual time: ranges of a file, over several parallel connections.

The simulated server answers each request at once.
"""

from __future__ import annotations

from exgs.client.arrivals import Arrivals
from exgs.client.delivery import Delivery
from exgs.client.flow.ahead import REQUESTS, AheadWindow, Flight
from exgs.client.profiles.ranges import ByteRange, RangeReader
from exgs.lab.simulation.streaming import SharedLink
from exgs.lab.simulation.world import World
from exgs.scene.camera import Camera
from exgs.wire.scheduler import ENDLESS_BYTES

_REQUEST_BYTES = 300  # head of a request or a response


class StaticSession:
    """One client that reads one file over a link, starting at `start_s`."""

    def __init__(
        self,
        link: SharedLink,
        data: bytes,
        *,
        start_s: float = 0.0,
        camera: Camera | None = None,
        arrivals: Arrivals | None = None,
    ) -> None:
        self.asked: list[tuple[float, ByteRange]] = []  # (time, range)
        self.arrivals = arrivals if arrivals is not None else Arrivals()
        # From a change of view to the first byte of a range requested for it.
        self.answered_s: list[float] = []
        self.done_s: float | None = None  # time when everything had arrived
        self._world: World = link.world
        self._delivery = Delivery(self.arrivals)
        self._reader = RangeReader(self._delivery)
        self._window = AheadWindow()
        # Time of a new view for which nothing has been requested yet.
        self._looked_s: float | None = None
        self._connections = [_Connection(self, link, data) for _ in range(REQUESTS)]
        if camera is not None:
            self._reader.look(camera)
        link.world.at(start_s, self.ask)

    @property
    def is_ready(self) -> bool:
        """Whether everything in the newest view has arrived."""
        return self._delivery.is_ready

    def look(self, camera: Camera) -> None:
        """Set the camera."""
        self._reader.look(camera)
        if self._looked_s is None:
            self._looked_s = self._world.now_s
        self.ask()

    def ask(self) -> None:
        """Send requests as the window allows."""
        if self.done_s is None and self._reader.is_done:
            self.done_s = self._world.now_s
        for connection in self._connections:
            if connection.wanted is not None:
                continue
            size = self._window.next_size(self._delivery.received_bytes)
            wanted = size and self._reader.claim(
                size.size_bytes,
                least_bytes=size.least_bytes,
                most_bytes=ENDLESS_BYTES if size.most_bytes is None else size.most_bytes,
            )
            if not wanted:
                return
            self.asked.append((self._world.now_s, wanted))
            flight = self._window.asked(self._world.now_s, wanted.end - wanted.start)
            connection.looked_s, self._looked_s = self._looked_s, None
            connection.ask(wanted, flight)

    def came(self, connection: _Connection, data: bytes) -> None:
        """Bytes of a response have arrived."""
        now_s, wanted, flight = self._world.now_s, connection.wanted, connection.flight
        if wanted is None or flight is None:
            return
        if connection.looked_s is not None:
            self.answered_s.append(now_s - connection.looked_s)
            connection.looked_s = None
        self._window.answered(now_s, flight)
        self._delivery.count(len(data), now_s)
        self._window.came(flight, len(data))
        self._reader.take(connection.position, data)
        connection.position += len(data)
        if connection.position >= connection.end:
            self._reader.finish(wanted)
            self._window.finished(now_s, flight, connection.end - wanted.start)
            self._window.ended(flight)
            connection.wanted = None
        self.ask()


class _Connection:
    """One connection with one request at a time."""

    def __init__(self, session: StaticSession, link: SharedLink, data: bytes) -> None:
        self.wanted: ByteRange | None = None
        self.flight: Flight | None = None
        self.looked_s: float | None = None  # time of the view for which this is the first range
        self.position = self.end = 0
        self._session = session
        self._world, self._rtt_s = link.world, link.rtt_s
        self._data = data
        self._open_s: float | None = None  # end of the TCP handshake
        self._heads_bytes = 0  # missing bytes of the head of a response
        self._up, self._down = link.up(self._to_server), link.down(self._to_client)

    def ask(self, wanted: ByteRange, flight: Flight) -> None:
        """Send a request."""
        self.wanted, self.flight = wanted, flight
        self.position, self.end = wanted.start, min(wanted.end, len(self._data))
        self._heads_bytes = _REQUEST_BYTES
        if self._open_s is None:
            self._open_s = self._world.now_s + self._rtt_s
        self._world.at(self._open_s, lambda: self._up.send(bytes(_REQUEST_BYTES)))

    def _to_server(self, _: bytes) -> None:
        if self.wanted is not None:
            self._down.send(bytes(_REQUEST_BYTES) + self._data[self.wanted.start : self.end])

    def _to_client(self, data: bytes) -> None:
        head_bytes = min(self._heads_bytes, len(data))
        self._heads_bytes -= head_bytes
        if data[head_bytes:]:
            self._session.came(self, data[head_bytes:])
