"""The queue between the network thread and the thread that decodes.

The network only appends, so it never waits for decoding. The decoder takes everything that has
arrived since its last call at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from exgs.codec.format.container import FileHead
from exgs.codec.format.rows import ChunkRef


@dataclass(frozen=True, slots=True)
class PageCame:
    """A page of the chunk table has arrived."""

    rows: Sequence[ChunkRef]


@dataclass(frozen=True, slots=True)
class ChunkCame:
    """A chunk has arrived, and its hash is correct."""

    ref: ChunkRef
    packed: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """The cells of these chunks must be dropped to make room for others."""

    refs: tuple[ChunkRef, ...]


Arrival = PageCame | ChunkCame | Dropped


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What has arrived since the last batch, and the current state."""

    arrivals: list[Arrival]
    head: FileHead | None  # header and root index, once they have arrived
    poster: bytes | None  # verified, once it has arrived
    received_bytes: int
    is_ready: bool  # everything in the newest view has arrived
    reconnections: int
    trouble: str | None  # the reason why there is no connection; None if there is one
    is_over: bool  # nothing more will arrive


class Arrivals:
    """The arrivals of one scene, passed from the network thread to another.

    The network calls `open`, `count`, `add_poster`, `add_page`, `add_chunk`, `drop`, `lost` and
    `close`.
    """

    def __init__(self) -> None:
        self.received_bytes = 0
        self.received_at_s = 0.0  # arrival of the last byte, by the clock of the network thread
        self.on_news: Callable[[], None] = lambda: None  # called on the network thread
        self._changed = threading.Condition()
        self._has_news = False
        self._arrived: list[Arrival] = []
        self._head: FileHead | None = None
        self._poster: bytes | None = None
        self._is_ready = False
        self._is_looking = False  # whether the readiness of a new view is unknown
        self._reconnections = 0
        self._trouble: str | None = None
        self._is_over = False
        self._fault: BaseException | None = None

    # The network's side

    @property
    def head(self) -> FileHead | None:
        """Header and root index; None until they have arrived."""
        return self._head

    def open(self, head: FileHead) -> None:
        """Set header and root index. Calling it again after a reconnection has no effect."""
        with self._changed:
            if self._head is None:
                self._head = head
                self._tell()

    @property
    def poster(self) -> bytes | None:
        """The poster; None until it has arrived."""
        return self._poster

    def add_poster(self, poster: bytes) -> None:
        """Set the poster, whose hash is correct."""
        with self._changed:
            self._poster = poster
            self._tell()

    def count(self, length_bytes: int, now_s: float) -> None:
        """Set the number of received bytes."""
        self.received_bytes += length_bytes
        self.received_at_s = now_s
        if self._trouble is not None:
            with self._changed:
                self._trouble = None
                self._tell()

    def add_page(self, rows: Sequence[ChunkRef]) -> None:
        """Add a page of the chunk table with its rows."""
        self._add(PageCame(rows))

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        """Add a chunk whose hash is correct."""
        self._add(ChunkCame(chunk, packed))

    def drop(self, chunks: Iterable[ChunkRef]) -> None:
        """Drop the cells of these chunks, which do not belong to the first layer."""
        self._add(Dropped(tuple(chunks)))

    def set_ready(self, is_ready: bool) -> None:
        """Set whether everything in the newest view has been added."""
        if is_ready != self._is_ready or self._is_looking:
            with self._changed:
                self._is_ready = is_ready
                self._tell()

    def view_taken(self) -> None:
        """Record that `set_ready` refers to the newest view."""
        with self._changed:
            self._is_looking = False
            self._tell()

    def lost(self, reason: str) -> None:
        """Record that the connection has ended and another one follows."""
        with self._changed:
            self._trouble = reason
            self._reconnections += 1
            self._tell()

    def close(self, fault: BaseException | None = None) -> None:
        """Record that nothing more will arrive, because of `fault` if there is one."""
        with self._changed:
            self._is_over, self._fault = True, fault
            self._trouble = None
            self._tell()

    def reopen(self) -> None:
        """Record that more will arrive after all."""
        with self._changed:
            self._is_over, self._fault = False, None

    # The other side

    @property
    def fault(self) -> BaseException | None:
        """The fault that ended receiving, if any."""
        return self._fault

    def view_changes(self) -> None:
        """Record a new view, for which nothing is known to be ready."""
        with self._changed:
            self._is_looking = True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for arrivals. Returns False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self._has_news, timeout_s)

    def take(self) -> Batch:
        """Take everything that has arrived since the last call, without waiting."""
        with self._changed:
            arrived, self._arrived = self._arrived, []
            self._has_news = False
            return Batch(
                arrived,
                self._head,
                self._poster,
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
