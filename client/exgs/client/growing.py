"""The growing scene: where the network hands over chunks and the screen takes what they give.

The network side only appends, so it never waits for decoding; decoding happens on the thread
that draws. The chunk table here is the screen's own: pages reach it in order with the chunks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exgs.codec.decoding.build import DrawnScene, SceneBuilder
from exgs.codec.format.container import FileHead
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.rows import ChunkRef, PageRef


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """What there is to draw after some chunks, and how much had been received for it."""

    facts: SceneFacts
    drawn: DrawnScene
    layer: int  # highest layer that is here everywhere, -1 before the first
    received_bytes: int
    complete: bool  # all of the file is drawn


@dataclass(frozen=True, slots=True)
class _Page:
    ref: PageRef
    rows: tuple[ChunkRef, ...]


@dataclass(frozen=True, slots=True)
class _Chunk:
    ref: ChunkRef
    packed: bytes


@dataclass(frozen=True, slots=True)
class _Drop:
    refs: tuple[ChunkRef, ...]


class GrowingScene:
    """A scene that grows on one thread as its parts arrive on another.

    The network calls `open`, `add_page`, `add_chunk`, `count` and `close`; the screen calls `grow`.
    """

    def __init__(self) -> None:
        self.received_bytes = 0
        self.received_at_s = 0.0  # when the last of them came, by time.perf_counter
        self._changed = threading.Condition()
        self._arrived: list[_Page | _Chunk | _Drop] = []
        self._head: FileHead | None = None
        self._closed = False
        self._fault: Exception | None = None
        self._builder: SceneBuilder | None = None
        self._table: ChunkTable | None = None
        self._version = 0
        self._decoded: set[int] = set()  # chunks

    # The network's side.

    @property
    def head(self) -> FileHead | None:
        """Header and root index, None until they have come."""
        return self._head

    def open(self, head: FileHead) -> None:
        """Header and root index are here; said again after a reconnection, it changes nothing."""
        with self._changed:
            self._head = self._head or head
            self._changed.notify()

    def count(self, length_bytes: int) -> None:
        """So many bytes have been received."""
        self.received_bytes += length_bytes
        self.received_at_s = time.perf_counter()

    def add_page(self, page: PageRef, rows: Sequence[ChunkRef]) -> None:
        """A page of the chunk table has come."""
        self._arrive(_Page(page, tuple(rows)))

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        """A chunk has come; raises the screen's fault if it has failed."""
        self._arrive(_Chunk(chunk, packed))

    def drop(self, chunks: Iterable[ChunkRef]) -> None:
        """Forget the cells of these chunks, which are none of the first layer's."""
        self._arrive(_Drop(tuple(chunks)))

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _arrive(self, part: _Page | _Chunk | _Drop) -> None:
        with self._changed:
            if self._fault is not None:
                raise self._fault
            self._arrived.append(part)
            self._changed.notify()

    # The screen's side.

    def fail(self, fault: Exception) -> None:
        """Drawing has ended with a fault, which the network's next call raises."""
        with self._changed:
            self._fault = fault

    def grow(self) -> Growth | None:
        """Wait until there is something new to draw; None when nothing more will come.

        Raises FormatError where a chunk is not what its hash or its index row says.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._arrived or self._closed)
                arrived, self._arrived = self._arrived, []
                received_bytes = self.received_bytes
                head, closed = self._head, self._closed
            if head is not None:
                builder, left = self._decode(head, arrived)
                if left:
                    with self._changed:
                        self._arrived[:0] = left
                if builder.version != self._version:
                    self._version = builder.version
                    return Growth(
                        builder.facts,
                        builder.drawn(),
                        builder.layer,
                        received_bytes,
                        len(self._decoded) == head.root.chunk_count,
                    )
            if closed:
                return None

    def _decode(
        self, head: FileHead, arrived: list[_Page | _Chunk | _Drop]
    ) -> tuple[SceneBuilder, list[_Page | _Chunk | _Drop]]:
        """Enter what has arrived; returns what is left for later.

        The first picture shows the first cells and no more, so that it comes soon, and so that a
        view that is chosen by it is the same in every run.
        """
        if self._builder is None or self._table is None:
            self._table = ChunkTable(head.root)
            self._builder = SceneBuilder(head.root.facts, self._table)
        for number, part in enumerate(arrived, start=1):
            match part:
                case _Page(ref, rows):
                    self._table.add_page(ref, rows)
                case _Chunk(ref, packed):
                    self._builder.add(ref, packed)
                    self._decoded.add(ref.id)
                case _Drop(refs):
                    self._builder.drop({(ref.layer, ref.tile) for ref in refs})
                    self._decoded.difference_update(ref.id for ref in refs)
            if self._version == 0 and self._builder.version:
                return self._builder, arrived[number:]
        return self._builder, []
