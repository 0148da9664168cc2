"""Where the network leaves what has come, and whoever shows the scene takes it from.

The network only appends, so it never waits for decoding. Everything that was left since the last
look is taken at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from exgs.codec.format.container import FileHead
from exgs.codec.format.rows import ChunkRef


@dataclass(frozen=True, slots=True)
class PageCame:
    """A page of the chunk table."""

    rows: tuple[ChunkRef, ...]


@dataclass(frozen=True, slots=True)
class ChunkCame:
    """A whole chunk, whose hash is right."""

    ref: ChunkRef
    packed: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """Cells of these chunks have to give way to others."""

    refs: tuple[ChunkRef, ...]


Arrival = PageCame | ChunkCame | Dropped


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What has come since the last look, and how things stand."""

    arrivals: list[Arrival]
    head: FileHead | None  # header and root index, once they are here
    received_bytes: int
    is_ready: bool  # all that the newest view sees is here
    reconnections: int
    trouble: str | None  # why there is no connection now
    is_over: bool  # nothing more will come


class Arrivals:
    """What comes of one scene, handed from the network's thread to another.

    The network calls `open`, `count`, `add_page`, `add_chunk`, `drop`, `lost` and `close`.
    """

    def __init__(self) -> None:
        self.received_bytes = 0
        self.received_at_s = 0.0  # when the last of them came, on the network's clock
        self.on_news: Callable[[], None] = lambda: None  # called on the network's thread
        self._changed = threading.Condition()
        self._has_news = False
        self._arrived: list[Arrival] = []
        self._head: FileHead | None = None
        self._is_ready = False
        self._is_looking = False  # a new view has not been judged yet
        self._reconnections = 0
        self._trouble: str | None = None
        self._is_over = False
        self._fault: BaseException | None = None

    # The network's side

    @property
    def head(self) -> FileHead | None:
        """Header and root index, None until they have come."""
        return self._head

    def open(self, head: FileHead) -> None:
        """Header and root index are here; said again after a reconnection, it changes nothing."""
        with self._changed:
            if self._head is None:
                self._head = head
                self._tell()

    def count(self, length_bytes: int, now_s: float) -> None:
        """So many bytes have been received."""
        self.received_bytes += length_bytes
        self.received_at_s = now_s
        if self._trouble is not None:
            with self._changed:
                self._trouble = None
                self._tell()

    def add_page(self, rows: Sequence[ChunkRef]) -> None:
        """A page of the chunk table has come, with these rows."""
        self._add(PageCame(tuple(rows)))

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        """A chunk has come, and its hash is right."""
        self._add(ChunkCame(chunk, packed))

    def drop(self, chunks: Iterable[ChunkRef]) -> None:
        """Forget the cells of these chunks, which are none of the first layer's."""
        self._add(Dropped(tuple(chunks)))

    def set_ready(self, is_ready: bool) -> None:
        """Whether all that the newest view sees has been handed over."""
        if is_ready != self._is_ready or self._is_looking:
            with self._changed:
                self._is_ready = is_ready
                self._tell()

    def view_taken(self) -> None:
        """The newest view is the one that `set_ready` has judged."""
        with self._changed:
            self._is_looking = False
            self._tell()

    def lost(self, reason: str) -> None:
        """The connection has ended; another one follows."""
        with self._changed:
            self._trouble = reason
            self._reconnections += 1
            self._tell()

    def close(self, fault: BaseException | None = None) -> None:
        """Nothing more will come, because of `fault` if there is one."""
        with self._changed:
            self._is_over, self._fault = True, fault
            self._trouble = None
            self._tell()

    def reopen(self) -> None:
        """More will come after all."""
        with self._changed:
            self._is_over, self._fault = False, None

    # The other side

    @property
    def fault(self) -> BaseException | None:
        """Why nothing more will come, if that is a fault."""
        return self._fault

    def view_changes(self) -> None:
        """Nothing is ready for a new view until it has been judged."""
        with self._changed:
            self._is_looking = True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for news; False where there are none in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._has_news, timeout_s)

    def take(self) -> Batch:
        """What has come since the last look; it does not wait."""
        with self._changed:
            arrived, self._arrived = self._arrived, []
            self._has_news = False
            return Batch(
                arrived,
                self._head,
                self.received_bytes,
                self._is_ready and not self._is_looking,
                self._reconnections,
                self._trouble,
                self._is_over,
            )

    def _add(self, arrival: Arrival) -> None:
        with self._changed:
            self._arrived.append(arrival)
            self._tell()

    def _tell(self) -> None:
        if not self._has_news:
            self._has_news = True
            self._changed.notify_all()
            self.on_news()
