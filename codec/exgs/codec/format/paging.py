"""How a writer cuts the chunk table into groups and pages.

Chunks come in order of gain per byte. The first groups are a page each, for the whole scene; later
groups are longer and cut into pages by region, so that a reader of one corner reads little index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from exgs.codec.constants import MAX_CHUNKS, ChunkKind
from exgs.codec.format.facts import Layer
from exgs.codec.format.rows import Region

_ROOT_ROWS = 16
_GROUP_ROWS = (64, 256, 512)  # of the first groups, each a page; every later one is 4 times longer
_GROWTH = 4
PAGE_ROWS = 512  # a region with more rows is halved, while pages are few enough

_GEOMETRY = (ChunkKind.LEAF, ChunkKind.PROXY)


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


def plan_root(chunks: Sequence[Placed]) -> int:
    """How many of `chunks` the root index lists."""
    return _end_of_group(chunks, 0, _ROOT_ROWS)


def plan_groups(
    chunks: Sequence[Placed], layers: Sequence[Layer], page_rows: int
) -> list[list[PagePlan]]:
    """The pages of each group, for all chunks behind those of the root index.

    A region with more than `page_rows` rows is halved.
    """
    groups = []
    start = plan_root(chunks)
    for rows in _group_lengths():
        if start == len(chunks):
            break
        end = _end_of_group(chunks, start, rows)
        members = list(range(start, end))
        groups.append(list(_pages(chunks, layers, Region(), members, page_rows)))
        start = end
    return groups


def _group_lengths() -> Iterator[int]:
    yield from _GROUP_ROWS
    length = _GROUP_ROWS[-1]
    while True:
        length = min(length * _GROWTH, MAX_CHUNKS)
        yield length


def _end_of_group(chunks: Sequence[Placed], start: int, rows: int) -> int:
    """Behind `rows` chunks from `start`; what a cell is drawn with stays together."""
    end = min(start + rows, len(chunks))
    while end < len(chunks) and _inseparable(chunks[end - 1], chunks[end]):
        end += 1
    return end


def _inseparable(one: Placed, other: Placed) -> bool:
    """Whether these neighbours are PROXY, LEAF and SH of one cell, or the BASIS among them."""
    if ChunkKind.BASIS in (one.kind, other.kind):
        return other.kind is ChunkKind.SH or one.kind in _GEOMETRY
    same_cell = (one.layer, one.tile) == (other.layer, other.tile)
    return same_cell and one.kind in _GEOMETRY and other.kind in (*_GEOMETRY, ChunkKind.SH)


def _pages(
    chunks: Sequence[Placed],
    layers: Sequence[Layer],
    region: Region,
    members: list[int],
    page_rows: int,
) -> Iterator[PagePlan]:
    """Pages for `members`, which all lie in `region`: one, or those of its halves.

    Chunks of cells that no half covers get pages of the region itself, in front of the others:
    these cells are parents of what lies in the halves.
    """
    if len(members) <= page_rows:
        yield PagePlan(region, members)
        return
    own: list[int] = []
    halves: tuple[list[int], list[int]] = ([], [])
    level = region.level + 1
    for member in members:
        chunk = chunks[member]
        cell_level = layers[chunk.layer].tile_level
        if chunk.kind is ChunkKind.BASIS or cell_level < level:
            own.append(member)
        else:
            halves[(chunk.tile >> (cell_level - level)) & 1].append(member)
    start = 0
    while start < len(own):
        part = [chunks[member] for member in own[start:]]
        end = start + _end_of_group(part, 0, page_rows)
        yield PagePlan(region, own[start:end])
        start = end
    for side, half in enumerate(halves):
        if half:
            yield from _pages(
                chunks, layers, Region(level, 2 * region.tile + side), half, page_rows
            )
