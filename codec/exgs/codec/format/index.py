"""The index: facts about the scene, and the position of every chunk.

The root index holds the facts and the rows of the first chunks. The other rows are in pages by
region, so a reader can fetch only the rows of the part of space it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exgs.codec.constants import ChunkKind
from exgs.codec.errors import DamagedError
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.rows import Box, ChunkRef, PageRef, union
from exgs.codec.format.rules import TableRules


@dataclass(frozen=True, slots=True)
class RootIndex:
    """The root index: facts, rows of the first chunks, and positions of the pages."""

    facts: SceneFacts
    chunks: tuple[ChunkRef, ...]
    pages: tuple[PageRef, ...]
    chunk_count: int  # chunks in the whole file
    file_bytes: int

    @property
    def box(self) -> Box:
        """Box of all means in the file, as the root index tells it: of its cells and its pages."""
        return union(
            [*(row.box for row in self.chunks if row.box), *(page.box for page in self.pages)]
        )


class ChunkTable(Mapping[int, ChunkRef]):
    """The known rows of the chunk table, by chunk id.

    Raises DamagedError or LimitError if rows contradict each other.
    """

    def __init__(self, root: RootIndex) -> None:
        self.root = root
        self._rows = {row.id: row for row in root.chunks}
        self._pages_missing = {page.id: page for page in root.pages}
        self._group_rows: dict[int, list[ChunkRef]] = {}  # of groups with missing pages
        self._group_missing: dict[int, int] = {}
        for page in root.pages:
            self._group_missing[page.group] = self._group_missing.get(page.group, 0) + 1
        self.batches = [root.chunks]  # the rows, as they were entered together
        # Ids of the SH that LEAF are drawn with.
        self.joined_sh = {row.id for row in joined_sh(root.chunks)}
        self._rules = TableRules(root.facts, root.pages)
        self._rules.enter(0, root.chunks)

    def add_page(self, page: PageRef, rows: tuple[ChunkRef, ...]) -> None:
        """Add the rows of `page`. Adding a page again has no effect."""
        if self._pages_missing.pop(page.id, None) is None:
            return
        self._check_area(page, rows)
        self._rules.enter(page.id, rows)
        self._rows.update((row.id, row) for row in rows)
        self.batches.append(rows)
        self.joined_sh.update(row.id for row in joined_sh(rows))

    @property
    def missing_pages(self) -> tuple[PageRef, ...]:
        """Pages whose rows are not known yet, in file order."""
        return tuple(self._pages_missing.values())

    def has_page(self, page_id: int) -> bool:
        """Whether the rows of this page are known."""
        return page_id not in self._pages_missing

    @property
    def complete(self) -> bool:
        """Whether every chunk of the file is known."""
        return not self._pages_missing

    def _check_area(self, page: PageRef, rows: Sequence[ChunkRef]) -> None:
        """Once all pages of a group are known, check that its chunks fill their area exactly."""
        known = self._group_rows.setdefault(page.group, [])
        known += rows
        self._group_missing[page.group] -= 1
        if self._group_missing[page.group]:
            return
        position = page.area_start
        for row in sorted(self._group_rows.pop(page.group), key=lambda row: row.offset):
            if row.offset != position:
                raise DamagedError(
                    f"it lies at {row.offset}, the chunk before it ends at {position}",
                    section=row.section,
                    offset=row.offset,
                )
            position = row.end

    def __getitem__(self, chunk_id: int) -> ChunkRef:
        return self._rows[chunk_id]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._rows))

    def __len__(self) -> int:
        return len(self._rows)


def joined_sh(rows: Iterable[ChunkRef]) -> Iterator[ChunkRef]:
    """The SH rows of a page or the root that directly follow the LEAF or PROXY of their cell."""
    before: ChunkRef | None = None
    for row in rows:
        if row.kind in (ChunkKind.BASIS, ChunkKind.EXTRA):
            continue
        if (
            row.kind is ChunkKind.SH
            and before is not None
            and before.kind in (ChunkKind.LEAF, ChunkKind.PROXY)
            and row.cell == before.cell
        ):
            yield row
        before = row
