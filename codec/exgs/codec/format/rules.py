"""Checks the rules for rows of the chunk table (spec/format.md, section 6).

A page is checked once all earlier pages with overlapping regions are known. Only those can list
rows of the same cells or of their parents. So a reader that needs one part of space checks only the
pages of that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exgs.codec.constants import (
    BASIS_HEAD_BYTES,
    COLUMN_BYTES_MAX,
    FINE_COLUMNS,
    FINE_HEAD_BYTES,
    GEOMETRY_COLUMNS,
    GEOMETRY_HEAD_BYTES,
    MAX_BASES,
    MAX_FREE_COUNT,
    MAX_SH_CHUNKS,
    SH_HEAD_BYTES,
    ChunkKind,
)
from exgs.codec.errors import DamagedError, FormatError, LimitError
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.rows import Cell, ChunkRef, PageRef, Region


@dataclass(slots=True)
class _Rows:
    """The rows of one cell that have been checked."""

    geometry: list[ChunkRef]
    page: int  # that lists them
    leaves: ChunkRef | None = None
    fine: bool = False
    sh: int = 0


class TableRules:
    """Checks the rows of the chunk table page by page. The root index is page 0."""

    def __init__(self, facts: SceneFacts, pages: Sequence[PageRef]) -> None:
        self._facts = facts
        self._blockers = _blockers(pages)  # page -> earlier overlapping pages that are missing
        self._blocked: dict[int, list[int]] = {}  # page -> later pages that wait for it
        for page, blockers in self._blockers.items():
            for blocker in blockers:
                self._blocked.setdefault(blocker, []).append(page)
        self._waiting: dict[int, Sequence[ChunkRef]] = {}
        self._pages_left = len(pages) + 1  # not checked yet
        self._cells: dict[Cell, _Rows] = {}
        self._basis: ChunkRef | None = None
        self._leaves = [0] * len(facts.layers)
        self._proxies = [0] * len(facts.layers)
        self._free = 0  # Gaussians beyond the packed bytes of their chunk

    def enter(self, page: int, rows: Sequence[ChunkRef]) -> None:
        """Add the rows of one page, once per page. Raises DamagedError, LimitError."""
        self._waiting[page] = rows
        ready = [page] if not self._blockers.get(page) else []
        while ready:
            number = ready.pop()
            for row in self._waiting.pop(number):
                self._judge(row, number)
            self._pages_left -= 1
            for other in self._blocked.pop(number, ()):
                self._blockers[other].discard(number)
                if not self._blockers[other] and other in self._waiting:
                    ready.append(other)
        if not self._pages_left:
            self._close()

    def _judge(self, row: ChunkRef, page: int) -> None:
        cell = self._cells.get(row.cell)
        match row.kind:
            case ChunkKind.LEAF | ChunkKind.PROXY:
                self._judge_geometry(row, page, cell)
            case ChunkKind.SH | ChunkKind.FINE:
                self._judge_refinement(row, cell)
            case ChunkKind.BASIS:
                if self._basis is not None:
                    raise _fault(row, "the file has a BASIS already")
                if row.layer or row.tile or row.count:
                    raise _fault(row, "a BASIS belongs to no cell")
                self._basis = row

    def _judge_geometry(self, row: ChunkRef, page: int, cell: _Rows | None) -> None:
        if cell is None:
            if row.layer:
                parent = self._cells.get(self._parent(row))
                if parent is None or parent.geometry[0].offset > row.offset:
                    raise _fault(row, "its parent does not lie in front of it")
            cell = self._cells[row.cell] = _Rows([], page)
        elif any(other.kind is row.kind for other in cell.geometry):
            raise _fault(row, f"the cell has a {row.kind.name} already")
        elif cell.page != page or cell.geometry[-1].id + 1 != row.id:
            raise _fault(row, "LEAF and PROXY of its cell are not consecutive rows")
        cell.geometry.append(row)
        layer = self._facts.layers[row.layer]
        if row.kind is ChunkKind.LEAF:
            cell.leaves = row
            counts, limit = self._leaves, layer.leaf_count
        else:
            counts, limit = self._proxies, layer.proxy_count
        counts[row.layer] += row.count
        if counts[row.layer] > limit:
            raise _fault(row, f"layer {row.layer} has more than {limit} {row.kind.name} Gaussians")
        self._free += max(row.count - row.packed_bytes, 0)
        if self._free > MAX_FREE_COUNT:
            raise LimitError(
                f"{row.count} Gaussians in {row.packed_bytes} bytes: the file has more than"
                f" {MAX_FREE_COUNT} beyond one for each byte",
                section=row.section,
                offset=row.offset,
            )

    def _judge_refinement(self, row: ChunkRef, cell: _Rows | None) -> None:
        if cell is None or cell.leaves is None or cell.leaves.offset > row.offset:
            raise _fault(row, "there are no leaves to refine in front of it")
        if cell.leaves.count != row.count:
            raise _fault(row, f"{row.count} rows for {cell.leaves.count} leaves")
        if row.kind is ChunkKind.FINE:
            if cell.fine:
                raise _fault(row, "the cell has a FINE already")
            cell.fine = True
            return
        if self._basis is None or self._basis.offset > row.offset:
            raise _fault(row, "the BASIS does not lie in front of it")
        cell.sh += 1
        if cell.sh > MAX_SH_CHUNKS:
            raise LimitError(
                f"the cell has more than {MAX_SH_CHUNKS} SH chunks",
                section=row.section,
                offset=row.offset,
            )

    def _parent(self, row: ChunkRef) -> Cell:
        layers = self._facts.layers
        step = layers[row.layer].tile_level - layers[row.layer - 1].tile_level
        return row.layer - 1, row.tile >> step

    def _close(self) -> None:
        """Check the rules that need the whole table."""
        for number, layer in enumerate(self._facts.layers):
            found = self._leaves[number], self._proxies[number]
            if found != (layer.leaf_count, layer.proxy_count):
                raise DamagedError(
                    f"layer {number} has {found[0]} leaves and {found[1]} proxies,"
                    f" the index says {layer.leaf_count} and {layer.proxy_count}",
                    section="chunk table",
                )
        cells = sum(1 << layer.tile_level for layer in self._facts.layers)
        if len(self._cells) != cells:
            raise DamagedError(
                f"{cells - len(self._cells)} cells have no chunk", section="chunk table"
            )


def can_unpack_to(row: ChunkRef, facts: SceneFacts) -> bool:
    """Whether a chunk of this kind and count can have `row.raw_bytes` bytes unpacked."""
    components = 3 * (facts.sh_degree + 1) ** 2  # at most
    match row.kind:
        case ChunkKind.LEAF | ChunkKind.PROXY:
            least = GEOMETRY_HEAD_BYTES + 4 * facts.child_count(row.layer)
            columns = GEOMETRY_COLUMNS
        case ChunkKind.SH:
            least, columns = SH_HEAD_BYTES, components
        case ChunkKind.FINE:
            least, columns = FINE_HEAD_BYTES, FINE_COLUMNS
        case ChunkKind.BASIS:
            least, columns = BASIS_HEAD_BYTES, 0
        case ChunkKind.EXTRA:
            return True
    most = least + columns * COLUMN_BYTES_MAX * row.count
    flags = (components + 7) // 8 * row.count
    if row.kind is ChunkKind.PROXY:
        sh = components + components * COLUMN_BYTES_MAX * row.count + flags
        most += 2 * components * components + SH_HEAD_BYTES + sh
    if row.kind is ChunkKind.SH:
        most += components + flags
    if row.kind is ChunkKind.BASIS:
        most += 2 * MAX_BASES * components * components
    return least <= row.raw_bytes <= most


def _fault(row: ChunkRef, problem: str) -> FormatError:
    return DamagedError(problem, section=row.section, offset=row.offset)


def _blockers(pages: Sequence[PageRef]) -> dict[int, set[int]]:
    """For each page: the earlier pages whose regions overlap its own, and the root index (0).

    A region overlaps its ancestors and the regions inside it. Both are looked up, so the time is
    proportional to the number of overlaps, not to the square of the number of pages.
    """
    by_region: dict[Region, list[int]] = {}  # pages of exactly this region
    inside: dict[Region, list[int]] = {}  # pages of this region and of regions that it covers
    found: dict[int, set[int]] = {}
    for page in pages:
        region = page.region
        ancestors = [
            Region(level, region.tile >> (region.level - level)) for level in range(region.level)
        ]
        overlapping = {0, *inside.get(region, ())}
        for ancestor in ancestors:
            overlapping.update(by_region.get(ancestor, ()))
        found[page.id] = overlapping
        by_region.setdefault(region, []).append(page.id)
        for around in (*ancestors, region):
            inside.setdefault(around, []).append(page.id)
    return found
