"""The index: what the scene is, and where every chunk lies.

The root index holds the facts and the table of the first chunks; the rest of the table is cut
into pages that lie in the file right before the chunks that they list. Lengths are stored and
offsets follow from them, so that chunks can neither overlap nor leave holes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from exgs.codec.constants import ChunkKind
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.codec.format.rules import TableRules


@dataclass(frozen=True, slots=True)
class RootIndex:
    """The root index: the facts, the first chunks, and where the other pages lie."""

    facts: SceneFacts
    chunks: tuple[ChunkRef, ...]
    pages: tuple[PageRef, ...]
    chunk_count: int  # chunks in the whole file
    file_bytes: int


class ChunkTable(Mapping[int, ChunkRef]):
    """The rows of the chunk table known so far, by chunk id in file order.

    Raises DamagedError or LimitError where rows do not fit together.
    """

    def __init__(self, root: RootIndex) -> None:
        self.root = root
        self._rows = {row.id: row for row in root.chunks}
        self._pages_missing = {page.id: page for page in root.pages}
        self.joined_sh = set(_joined_sh(root.chunks))  # ids of the SH that LEAF are drawn with
        self._rules = TableRules(root.facts, root.chunk_count)
        self._rules.enter(0, root.chunks)

    def add_page(self, page: PageRef, rows: tuple[ChunkRef, ...]) -> None:
        """Enter the rows of `page`, which is then no longer missing; once more is harmless."""
        if self._pages_missing.pop(page.id, None) is None:
            return
        self._rules.enter(page.id, rows)
        self._rows.update((row.id, row) for row in rows)
        self.joined_sh.update(_joined_sh(rows))

    @property
    def missing_pages(self) -> tuple[PageRef, ...]:
        """Pages whose rows are not known yet, in file order."""
        return tuple(self._pages_missing.values())

    @property
    def complete(self) -> bool:
        """Whether every chunk of the file is known."""
        return not self._pages_missing

    def __getitem__(self, chunk_id: int) -> ChunkRef:
        return self._rows[chunk_id]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._rows))

    def __len__(self) -> int:
        return len(self._rows)


def _joined_sh(rows: Iterable[ChunkRef]) -> Iterator[int]:
    """The SH rows of a page that stand right behind the LEAF or PROXY of their cell."""
    before: ChunkRef | None = None
    for row in rows:
        if row.kind in (ChunkKind.BASIS, ChunkKind.EXTRA):
            continue
        if (
            row.kind is ChunkKind.SH
            and before is not None
            and before.kind in (ChunkKind.LEAF, ChunkKind.PROXY)
            and (row.layer, row.tile) == (before.layer, before.tile)
        ):
            yield row.id
        before = row
