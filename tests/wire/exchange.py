"""Both sides of an exchange in one process, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from exgs.codec.format.container import FileHead, open_table, parse_head
from exgs.codec.format.index import ChunkTable
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.wire.client import ClientSession
from exgs.wire.events import Event, Fragment
from exgs.wire.plan import PartPlan
from exgs.wire.server import ServerSession


class BoxFile:
    """A file that both sides of an exchange share in these tests."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def head(self) -> FileHead:
        return parse_head(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def plan(self) -> PartPlan:
        """A plan that knows every chunk, as a server has it."""
        return PartPlan(*open_table(self.read))

    def partial_plan(self) -> PartPlan:
        """A plan that knows the root index alone, as a client on its own has it."""
        return PartPlan(self.head, ChunkTable(self.head.root))


def camera_at(x: float, y: float, z: float) -> Camera:
    return look_at((x, y, z), (0, 0, 0), (0, -1, 0), pinhole(96, 64, 70), 96, 64)


class Exchange:
    """A client and a server of one file; `step` carries one fragment."""

    def __init__(self, box: BoxFile, client: ClientSession, server: ServerSession | None = None):
        self.box = box
        self.client = client
        self.server = server or ServerSession()
        self.events: list[Event] = []  # of the client
        self.sent: list[bytes] = []  # frames of the server

    def open(self) -> None:
        self.to_server()
        self.server.send_welcome(self.box.plan())
        self.to_client()

    def to_server(self) -> list[Event]:
        events: list[Event] = []
        for frame in self.client.data_to_send():
            events += self.server.receive_data(frame)
        return events

    def to_client(self) -> None:
        for frame in self.server.data_to_send():
            self.sent.append(frame)
            self.events += self.client.receive_data(frame)

    def step(self) -> bool:
        self.to_server()
        piece = self.server.next_fragment()
        if piece is None:
            return False
        self.server.send_fragment(piece, self.box.read(piece.file_offset, piece.length))
        self.to_client()
        return True

    def run(self) -> None:
        while self.step():
            pass

    @property
    def fragments(self) -> list[Fragment]:
        return [event for event in self.events if isinstance(event, Fragment)]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` cut at these places."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def outcome(
    receive: Callable[[bytes], Sequence[Event]], pieces: Iterable[bytes]
) -> tuple[list[str], Any]:
    """Events as text, and the fault that ended them."""
    events: list[str] = []
    try:
        for piece in pieces:
            events += map(_text, receive(piece))
        events += map(_text, receive(b""))
    except Exception as fault:
        return events, (type(fault), str(fault), getattr(fault, "code", None))
    return events, None


def _text(event: Event) -> str:
    if isinstance(event, Fragment):
        return f"{event} {event.data.hex()}"
    return str(event)[:2000]
