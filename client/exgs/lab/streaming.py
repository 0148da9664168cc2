"""The streaming profile in virtual time: both cores, with the policies of the real shells."""

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
from exgs.lab.pipe import Pipe
from exgs.lab.world import World
from exgs.scene.camera import Camera
from exgs.server.flow.pacing import Pacer
from exgs.wire.events import Hello
from exgs.wire.layer_zero import read_sketch
from exgs.wire.plan import PartPlan
from exgs.wire.server import ServerSession

_SPREAD = 0.5  # of the looks of a crowd: all alike here


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame that one side has handed to its connection."""

    at_s: float
    by_server: bool
    frame: bytes = field(repr=False)


class Path:
    """A modelled link between a server and its clients, which share its rate.

    A trace is that of the way down; the way up has its mean rate.
    """

    def __init__(self, world: World, link: Link | LinkModel, *, seed: int = 0) -> None:
        model = link if isinstance(link, LinkModel) else LinkModel(link)
        self.world = world
        self.link = model.link
        self._model = model
        self._rng = random.Random(seed)
        self._down, self._up = model.bottleneck(), Bottleneck(model.link)

    def down(self, deliver: Callable[[bytes], None]) -> Pipe:
        """A new connection's way from the server to the client."""
        return self._pipe(self._down, deliver)

    def up(self, deliver: Callable[[bytes], None]) -> Pipe:
        """A new connection's way from the client to the server."""
        return self._pipe(self._up, deliver)

    def _pipe(self, bottleneck: Bottleneck, deliver: Callable[[bytes], None]) -> Pipe:
        lane = self._model.lane(bottleneck, self._rng)
        return Pipe(self.world, self.link, lane, deliver)


class StreamingSession:
    """One client that streams one file over a path, from `start_s` on."""

    def __init__(
        self,
        path: Path,
        data: bytes,
        *,
        start_s: float = 0.0,
        camera: Camera | None = None,
        memory_bytes: int | None = None,
        limit_bytes: int | None = None,
        arrivals: Arrivals | None = None,
    ) -> None:
        self.sent: list[Sent] = []  # by both sides, in order of time
        self.arrivals = arrivals if arrivals is not None else Arrivals()  # to take updates from
        self.answers: list[tuple[int, float]] = []  # of a view's serial: when data for it came
        self.done_s: float | None = None  # when all that is wanted was here
        self._world = path.world
        self._delivery = Delivery(self.arrivals, memory_bytes=memory_bytes)
        self._server = _Server(data)
        self._down, self._up = path.down(self._to_client), path.up(self._to_server)
        self._down_bytes = self._came_bytes = 0
        self._ends: deque[tuple[int, int]] = deque()  # bytes down, and the view that they are for
        self._is_looking = False  # the server will ask its pacer again
        self._pacer = Pacer(start_s)
        self._exchange = Exchange("scene", self._delivery, CreditWindow(limit_bytes), camera=camera)
        path.world.at(start_s, self._client_sends)

    @property
    def received_bytes(self) -> int:
        """Bytes that the client has received."""
        return self._delivery.received_bytes

    @property
    def is_ready(self) -> bool:
        """Whether all that the newest view sees is here."""
        return self._delivery.is_ready

    def look(self, camera: Camera) -> None:
        """The client looks from here from now on."""
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
        """What the writer of a stream does, up to where it would wait."""
        session = self._server.session
        serial: int | None = None  # of the view that the next frame was chosen for
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
        """Choose and send a fragment; the view that it is for, None: there is none to send."""
        piece = self.session.next_fragment(most_bytes)
        if piece is None:
            return None
        self.session.send_fragment(piece, self._read(piece.file_offset, piece.length))
        return piece.view_serial

    def _read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]
