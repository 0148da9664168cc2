"""The streaming profile in virtual time: both cores, and the policies of the shells."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from exgs.client.arrivals import Arrivals
from exgs.client.delivery import Delivery
from exgs.client.flow.credit import CreditWindow
from exgs.client.link import Bottleneck, Link
from exgs.client.profiles.exchange import Exchange
from exgs.codec.format.container import open_table
from exgs.lab.links.transport import LinkModel
from exgs.lab.simulation.pipe import Pipe
from exgs.lab.simulation.world import World
from exgs.scene.camera import Camera
from exgs.server.flow.pacing import Pacer
from exgs.wire.events import Hello
from exgs.wire.layer_zero import read_sketch
from exgs.wire.plan import PartPlan
from exgs.wire.server import ServerSession

_SPREAD = 0.5  # of the pacer's checks; constant here


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame that one side has written to its connection."""

    at_s: float
    by_server: bool
    frame: bytes = field(repr=False)


class SharedLink:
    """A modelled link between a server and its clients, which share its rate.

    A trace applies to the direction to the clients; the other direction has its mean rate.
    """

    def __init__(self, world: World, link: Link | LinkModel, *, seed: int = 0) -> None:
        model = link if isinstance(link, LinkModel) else LinkModel(link)
        self.world = world
        self.rtt_s = model.link.rtt_s
        self._model = model
        self._rng = random.Random(seed)
        self._down, self._up = model.bottleneck(), Bottleneck(model.link)

    def down(self, deliver: Callable[[bytes], None]) -> Pipe:
        """A pipe of a new connection from the server to the client."""
        return self._pipe(self._down, deliver)

    def up(self, deliver: Callable[[bytes], None]) -> Pipe:
        """A pipe of a new connection from the client to the server."""
        return self._pipe(self._up, deliver)

    def _pipe(self, bottleneck: Bottleneck, deliver: Callable[[bytes], None]) -> Pipe:
        lane = self._model.lane(bottleneck, self._rng)
        return Pipe(self.world, self._model.link, lane, deliver)


class StreamingSession:
    """One client that streams one file over a link, starting at `start_s`."""

    def __init__(
        self,
        link: SharedLink,
        data: bytes,
        *,
        start_s: float = 0.0,
        camera: Camera | None = None,
        memory_bytes: int | None = None,
        limit_bytes: int | None = None,
        arrivals: Arrivals | None = None,
    ) -> None:
        self.sent: list[Sent] = []  # by both sides, in order of time
        # The received data, for the caller.
        self.arrivals = arrivals if arrivals is not None else Arrivals()
        # (serial of a view, arrival time of the first data for it).
        self.answers: list[tuple[int, float]] = []
        self.done_s: float | None = None  # time when all wanted parts had arrived
        self._world = link.world
        self._delivery = Delivery(self.arrivals, memory_bytes=memory_bytes)
        self._server = _Server(data)
        self._down, self._up = link.down(self._to_client), link.up(self._to_server)
        self._down_bytes = self._came_bytes = 0
        self._ends: deque[tuple[int, int]] = deque()  # (end in bytes, serial of the view)
        self._is_looking = False  # a check of the server's pacer is scheduled
        self._pacer = Pacer(start_s)
        self._exchange = Exchange("scene", self._delivery, CreditWindow(limit_bytes), camera=camera)
        link.world.at(start_s, self._client_sends)

    @property
    def received_bytes(self) -> int:
        """Bytes that the client has received."""
        return self._delivery.received_bytes

    @property
    def is_ready(self) -> bool:
        """Whether everything in the newest view has arrived."""
        return self._delivery.is_ready

    def look(self, camera: Camera) -> None:
        """Set the camera."""
        self._exchange.look(camera)
        self._client_sends()

    def _client_sends(self) -> None:
        for frame in self._exchange.data_to_send():
            self.sent.append(Sent(self._world.now_s, False, frame))
            self._up.send(frame)

    def _to_client(self, data: bytes) -> None:
        if self.done_s is not None:
            return
        self._came_bytes += len(data)
        while self._ends and self._ends[0][0] <= self._came_bytes:
            serial = self._ends.popleft()[1]
            if not self.answers or serial > self.answers[-1][0]:
                self.answers.append((serial, self._world.now_s))
        self._exchange.receive_data(data, self._world.now_s)
        self._client_sends()
        if self._exchange.is_done:
            self.done_s = self._world.now_s

    def _to_server(self, data: bytes) -> None:
        self._server.receive(data)
        self._server_sends()

    def _server_sends(self) -> None:
        """Do what the writer of a stream does, until it would wait."""
        session = self._server.session
        serial: int | None = None  # serial of the view for which the next frame was chosen
        while True:
            for frame in session.data_to_send():
                self.sent.append(Sent(self._world.now_s, True, frame))
                self._down.send(frame)
                self._down_bytes += len(frame)
                if serial is not None:
                    self._ends.append((self._down_bytes, serial))
            if self._is_looking or session.closed:
                return
            look_s = self._pacer.next_look_s(self._world.now_s, self._down.delivery(), _SPREAD)
            if look_s is not None:
                self._is_looking = True
                self._world.at(look_s, self._look_again)
                return
            serial = self._server.send_next(self._pacer.fragment_bytes)
            if serial is None:
                return

    def _look_again(self) -> None:
        self._is_looking = False
        self._server_sends()


class _Server:
    """The server's core, with a file in memory."""

    def __init__(self, data: bytes) -> None:
        self.session = ServerSession()
        self._data = data
        self._plan = PartPlan(*open_table(self._read))
        self._plan.screen.sketch = read_sketch(self._plan.head, self._read)

    def receive(self, data: bytes) -> None:
        for event in self.session.receive_data(data):
            if isinstance(event, Hello):
                self.session.send_welcome(self._plan)

    def send_next(self, most_bytes: int) -> int | None:
        """Choose and send a fragment.

        Returns the serial of its view; None if there is nothing to send.
        """
        piece = self.session.next_fragment(most_bytes)
        if piece is None:
            return None
        self.session.send_fragment(piece, self._read(piece.file_offset, piece.length))
        return piece.view_serial

    def _read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]
