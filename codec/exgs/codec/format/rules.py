"""Checks the rules for rows of the chunk table (spec/format.md, section 6).

A row is checked once all earlier pages are known whose regions cover its cell. Only those can list
rows of the same cell or of its parent. So a reader of one part of space checks every row there.
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
from exgs.codec.format.rows import Cell, ChunkRef, PageRef


@dataclass(slots=True)
class _Rows:
    """The rows of one cell that have been checked."""

    geometry: list[ChunkRef]
    page: int  # that lists them
    leaves: ChunkRef | None = None
    fine: bool = False
    sh: int = 0


class TableRules:
    """Checks the rows of the chunk table as pages come. The root index is page 0."""

    def __init__(self, facts: SceneFacts, pages: Sequence[PageRef]) -> None:
        self._facts = facts
        self._regions = {0: (0, 0)}
        self._regions.update((page.id, (page.region.level, page.region.tile)) for page in pages)
        self._missing: dict[tuple[int, int], list[int]] = {}  # region -> its missing pages, rising
        for page, region in self._regions.items():
            self._missing.setdefault(region, []).append(page)
        self._known: set[int] = set()
        self._first_missing = 0
        self._held: dict[int, list[tuple[int, ChunkRef]]] = {}  # missing page -> (page, row)
        self._cells: dict[Cell, _Rows] = {}
        self._basis: ChunkRef | None = None
        self._leaves = [0] * len(facts.layers)
        self._proxies = [0] * len(facts.layers)
        self._free = 0  # Gaussians beyond the packed bytes of their chunk

    def enter(self, page: int, rows: Sequence[ChunkRef]) -> None:
        """Add the rows of one page, once per page. Raises DamagedError, LimitError."""
        for row in rows:
            self._count(row)
        self._missing[self._regions[page]].remove(page)
        self._known.add(page)
        while self._first_missing in self._known:
            self._first_missing += 1
        # Rows of a cell are checked in order: what holds one back holds back those behind it.
        free = [*((page, row) for row in rows), *self._held.pop(page, ())]
        for number, row in sorted(free, key=lambda item: item[1].id):
            blocker = self._blocker(number, row)
            if blocker is None:
                self._check(row, number)
            else:
                self._held.setdefault(blocker, []).append((number, row))
        if len(self._known) == len(self._regions):
            self._close()

    def _blocker(self, page: int, row: ChunkRef) -> int | None:
        """A missing page in front of this row's whose region covers the row's cell."""
        if page <= self._first_missing:
            return None
        is_basis = row.kind is ChunkKind.BASIS
        level = 0 if is_basis else self._facts.layers[row.layer].tile_level
        for coarser in range(level + 1):
            pages = self._missing.get((coarser, row.tile >> (level - coarser)))
            if pages and pages[0] < page:
                return pages[0]
        return None

    def _count(self, row: ChunkRef) -> None:
        """What the rows of no set of pages may exceed."""
        layer = self._facts.layers[row.layer]
        if row.kind is ChunkKind.LEAF:
            counts, limit = self._leaves, layer.leaf_count
        elif row.kind is ChunkKind.PROXY:
            counts, limit = self._proxies, layer.proxy_count
        else:
            return
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

    def _check(self, row: ChunkRef, page: int) -> None:
        cell = self._cells.get(row.cell)
        match row.kind:
            case ChunkKind.LEAF | ChunkKind.PROXY:
                self._check_geometry(row, page, cell)
            case ChunkKind.SH | ChunkKind.FINE:
                self._check_refinement(row, cell)
            case ChunkKind.BASIS:
                if self._basis is not None:
                    raise _fault(row, "the file has a BASIS already")
                if row.layer or row.tile or row.count:
                    raise _fault(row, "a BASIS belongs to no cell")
                self._basis = row

    def _check_geometry(self, row: ChunkRef, page: int, cell: _Rows | None) -> None:
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
        if row.kind is ChunkKind.LEAF:
            cell.leaves = row

    def _check_refinement(self, row: ChunkRef, cell: _Rows | None) -> None:
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
