"""How a writer cuts the chunk table into groups and pages.

Chunks come in order of gain per byte. The first groups are a page each, for the whole scene; later
groups are longer and cut into pages by region, so that a reader of one corner reads little index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_CHUNKS, ChunkKind
from exgs.codec.format.facts import Layer
from exgs.codec.format.rows import Region

_ROOT_ROWS = 16
_WHOLE_GROUPS = (64, 256)  # rows of the first groups, each a page
_FIRST_CUT, _GROUP_GROWTH = 512, 4  # rows of the next group, and how every later one grows

# Rows of a page in the first group that is cut; a region with more is halved. In each later group
# pages have twice as many: for a given number of pages that is the shortest way to a corner.
PAGE_ROWS = 64
_PAGE_GROWTH = 2

_GEOMETRY = (ChunkKind.LEAF, ChunkKind.PROXY)
Index = npt.NDArray[np.int64]


class Placed(Protocol):
    """What paging has to know of a chunk."""

    @property
    def kind(self) -> ChunkKind: ...
    @property
    def layer(self) -> int: ...
    @property
    def tile(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PagePlan:
    """One page: its region, and which chunks it lists, in file order."""

    region: Region
    members: list[int]  # index into the chunks


class Pager:
    """Cuts the table of a file with `chunks` in this order."""

    def __init__(self, chunks: Sequence[Placed], layers: Sequence[Layer]) -> None:
        self._chunks = chunks
        levels = [layer.tile_level for layer in layers]
        # The tile of each chunk; BASIS lies in the whole scene.
        self._level = np.array(
            [0 if c.kind is ChunkKind.BASIS else levels[c.layer] for c in chunks], np.int64
        )
        self._tile = np.array([c.tile for c in chunks], np.int64)
        self.root_count = self._end(range(len(chunks)), 0, _ROOT_ROWS)

    def groups(self, page_rows: int = PAGE_ROWS) -> list[list[PagePlan]]:
        """The pages of each group, for all chunks behind those of the root index."""
        groups = []
        start = self.root_count
        for number, rows in enumerate(_group_lengths()):
            if start == len(self._chunks):
                break
            end = self._end(range(len(self._chunks)), start, rows)
            cuts = number - len(_WHOLE_GROUPS)
            most = page_rows * _PAGE_GROWTH**cuts if cuts >= 0 else end - start
            groups.append(list(self._pages(Region(), np.arange(start, end), most)))
            start = end
        return groups

    def _end(self, members: Sequence[int] | Index, start: int, rows: int) -> int:
        """Behind `rows` of `members` from `start`; what a cell is drawn with stays together."""
        end = min(start + rows, len(members))
        while end < len(members) and _inseparable(
            self._chunks[members[end - 1]], self._chunks[members[end]]
        ):
            end += 1
        return end

    def _pages(self, region: Region, members: Index, page_rows: int) -> Iterator[PagePlan]:
        """Pages for `members`, which all lie in `region`: one, or those of its halves.

        Chunks of cells that no half covers get pages of the region itself, in front of the others:
        these cells are parents of what lies in the halves.
        """
        if len(members) <= page_rows:
            yield PagePlan(region, members.tolist())
            return
        level = region.level + 1
        above = self._level[members] - level  # levels from the halves to the cell
        side = self._tile[members] >> np.maximum(above, 0) & 1
        own = members[above < 0]
        start = 0
        while start < len(own):
            end = self._end(own, start, page_rows)
            yield PagePlan(region, own[start:end].tolist())
            start = end
        for which in (0, 1):
            half = members[(above >= 0) & (side == which)]
            if len(half):
                yield from self._pages(Region(level, 2 * region.tile + which), half, page_rows)


def _group_lengths() -> Iterator[int]:
    yield from _WHOLE_GROUPS
    length = _FIRST_CUT
    while True:
        yield length
        length = min(length * _GROUP_GROWTH, MAX_CHUNKS)


def _inseparable(one: Placed, other: Placed) -> bool:
    """Whether these neighbours are PROXY, LEAF and SH of one cell, or the BASIS among them."""
    if ChunkKind.BASIS in (one.kind, other.kind):
        return other.kind is ChunkKind.SH or one.kind in _GEOMETRY
    same_cell = (one.layer, one.tile) == (other.layer, other.tile)
    return same_cell and one.kind in _GEOMETRY and other.kind in (*_GEOMETRY, ChunkKind.SH)
