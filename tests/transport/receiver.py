"""The client without its screen: receives a scene and keeps a ledger of every byte that came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from yarl import URL

from exgs.client.arrivals import Arrivals
from exgs.client.connecting import Profile, receive_all
from exgs.client.delivery import Delivery
from exgs.client.flow.silence import SILENCE_S
from exgs.client.profiles.static import StaticProfile
from exgs.client.profiles.streaming import StreamingProfile
from exgs.client.route import Route
from exgs.codec.format.container import FileHead
from exgs.codec.format.frame import content_hash
from exgs.codec.format.rows import ChunkRef, PageRef


@dataclass
class Ledger:
    """What came of a file."""

    head: FileHead | None = None
    held: dict[int, int] = field(default_factory=dict)  # part -> bytes that came, in order
    chunks: dict[int, bytes] = field(default_factory=dict)
    twice_bytes: int = 0  # that had come before
    reconnections: int = 0
    kills: int = 0  # of the server meanwhile

    @property
    def is_complete(self) -> bool:
        return self.head is not None and len(self.chunks) == self.head.root.chunk_count


class _Recording(Delivery):
    def __init__(self, ledger: Ledger, on_bytes: Callable[[int], None]) -> None:
        super().__init__(Arrivals())
        self._ledger = ledger
        self._on_bytes = on_bytes

    def open(self, head: FileHead) -> None:
        super().open(head)
        self._ledger.head = head

    def add_fragment(self, part: int, offset: int, data: bytes) -> None:
        super().add_fragment(part, offset, data)
        held = self._ledger.held.get(part, 0)
        self._ledger.twice_bytes += max(0, held - offset)
        self._ledger.held[part] = max(held, offset + len(data))
        self._on_bytes(self.kept_bytes)

    def add_page(self, page: PageRef, rows: Sequence[ChunkRef]) -> None:
        super().add_page(page, rows)

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        super().add_chunk(chunk, packed)
        assert content_hash(packed) == chunk.hash, "a chunk that is not what its hash says"
        self._ledger.chunks[chunk.id] = packed


async def receive_scene(
    authority: str,
    name: str,
    *,
    streaming: bool = True,
    ledger: Ledger | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
    silence_s: float = SILENCE_S,
) -> Ledger:
    """Receive a scene as `exgs stream` does, into `ledger`; raises what that raises."""
    ledger = ledger if ledger is not None else Ledger()
    delivery = _Recording(ledger, on_bytes)
    profile: Profile
    if streaming:
        profile, path = (
            StreamingProfile(name, delivery, silence_s=silence_s),
            f"ws://{authority}/scenes/{name}/stream",
        )
    else:
        profile, path = StaticProfile(delivery), f"http://{authority}/scenes/{name}.exgs"
    ledger.reconnections = await receive_all(
        profile, Route(URL(path)), delivery, lambda _: None, silence_s=silence_s
    )
    return ledger


def parts_of(data: bytes, ledger: Ledger) -> bool:
    """Whether every chunk of the ledger is a piece of this file."""
    return all(packed in data for packed in ledger.chunks.values())
