"""The index: facts about the scene, and the position of every chunk.

The root index holds the facts and the rows of the first chunks. The other rows are in pages by
region, so a reader can fetch only the rows of the part of space it needs.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exgs.codec.constants import ChunkKind
from exgs.codec.errors import DamagedError
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.rows import Box, ChunkRef, PageRef, union
from exgs.codec.format.rules import TableRules


@dataclass(frozen=True, slots=True)
class RootIndex:
    """The root index: facts, rows of the first chunks, and positions of the pages."""

    facts: SceneFacts
    chunks: ChunkRows
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
    """The known rows of the chunk table, by chunk id. Rows are kept as columns.

    Raises DamagedError or LimitError if rows contradict each other.
    """

    def __init__(self, root: RootIndex) -> None:
        self.root = root
        self.batches: list[ChunkRows] = []  # the rows, as they were entered together
        self._page_starts = [page.first_chunk for page in root.pages]
        self._rows: dict[int, ChunkRows] = {}  # by page; those of the root index are 0
        self._pages_missing = {page.id: page for page in root.pages}
        self._group_rows: dict[int, list[ChunkRows]] = {}  # of groups with missing pages
        self._group_missing: dict[int, int] = {}
        for page in root.pages:
            self._group_missing[page.group] = self._group_missing.get(page.group, 0) + 1
        self._rules = TableRules(root.facts, root.pages)
        self._enter(0, root.chunks)

    def add_page(self, page: PageRef, rows: Sequence[ChunkRef]) -> None:
        """Add the rows of `page`. Adding a page again has no effect."""
        if self._pages_missing.pop(page.id, None) is None:
            return
        columns = rows if isinstance(rows, ChunkRows) else ChunkRows.of(rows)
        self._check_area(page, columns)
        self._enter(page.id, columns)

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

    @property
    def joined_sh(self) -> frozenset[int]:
        """The ids of the SH that LEAF are drawn with."""
        joined = (rows.ids[rows.is_joined].tolist() for rows in self.batches)
        return frozenset(itertools.chain.from_iterable(joined))

    def locate(self, chunk_id: int) -> tuple[ChunkRows, int]:
        """The rows of the table that lists a chunk, and its place in them. Raises KeyError."""
        rows = self._rows.get(bisect_right(self._page_starts, chunk_id))
        if rows is None or not 0 <= chunk_id - rows.first_id < len(rows):
            raise KeyError(chunk_id)
        return rows, chunk_id - rows.first_id

    def _enter(self, page_id: int, rows: ChunkRows) -> None:
        self._rules.enter(page_id, rows)
        self._rows[page_id] = rows
        self.batches.append(rows)

    def _check_area(self, page: PageRef, rows: ChunkRows) -> None:
        """Once all pages of a group are known, check that its chunks fill their area exactly."""
        known = self._group_rows.setdefault(page.group, [])
        known.append(rows)
        self._group_missing[page.group] -= 1
        if self._group_missing[page.group]:
            return
        known = self._group_rows.pop(page.group)
        offset = np.concatenate([some.offset for some in known])
        packed = np.concatenate([some.packed_bytes for some in known]).astype(np.int64)
        order = np.argsort(offset, kind="stable")
        expected = page.area_start + np.cumsum(packed[order]) - packed[order]
        wrong = np.flatnonzero(offset[order] != expected)
        if len(wrong):
            place = int(order[wrong[0]])
            row = next(itertools.islice(itertools.chain.from_iterable(known), place, None))
            raise DamagedError(
                f"it lies at {row.offset}, the chunk before it ends at {expected[wrong[0]]}",
                section=row.section,
                offset=row.offset,
            )

    def __getitem__(self, chunk_id: int) -> ChunkRef:
        rows, place = self.locate(chunk_id)
        return rows[place]

    def __contains__(self, chunk_id: object) -> bool:
        try:
            return isinstance(chunk_id, int) and bool(self.locate(chunk_id))
        except KeyError:
            return False

    def __iter__(self) -> Iterator[int]:
        for _, rows in sorted(self._rows.items()):
            yield from range(rows.first_id, rows.first_id + len(rows))

    def __len__(self) -> int:
        return sum(map(len, self.batches))


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
