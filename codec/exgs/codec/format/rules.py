"""Checks the rules for rows of the chunk table (spec/format.md, section 6).

A row is checked once all earlier pages are known whose regions cover its cell. Only those can list
rows of the same cell or of its parent. So a reader of one part of space checks every row there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_FREE_COUNT, MAX_SH_CHUNKS, ChunkKind
from exgs.codec.errors import DamagedError, FormatError, LimitError
from exgs.codec.format.cell_numbers import CellNumbers
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.rows import ChunkRef, PageRef

_LEAF, _PROXY, _FINE = 1, 2, 4  # flags of a cell


class TableRules:
    """Checks the rows of the chunk table as pages come. The root index is page 0.

    The rows of a page that waits for no other page are checked at once, and one by one only if
    that finds a fault. What is known of cells is kept in arrays by cell number.
    """

    def __init__(self, facts: SceneFacts, pages: Sequence[PageRef]) -> None:
        self._facts = facts
        self._regions = {0: (0, 0)}
        self._regions.update((page.id, (page.region.level, page.region.tile)) for page in pages)
        self._page_level = np.array([level for level, _ in self._regions.values()], np.int64)
        self._page_tile = np.array([tile for _, tile in self._regions.values()], np.int64)
        self._missing: dict[tuple[int, int], list[int]] = {}  # region -> its missing pages, rising
        for page, region in self._regions.items():
            self._missing.setdefault(region, []).append(page)
        self._is_known = np.zeros(len(self._regions), bool)  # by page
        self._first_missing = 0
        self._held: dict[int, list[tuple[int, ChunkRef]]] = {}  # missing page -> (page, row)
        self._cells = CellNumbers(facts)
        self._known = _Known(self._cells.count)
        self._leaves = np.zeros(len(facts.layers), np.int64)
        self._proxies = np.zeros(len(facts.layers), np.int64)
        self._free = 0  # Gaussians beyond the packed bytes of their chunk

    def enter(self, page: int, rows: ChunkRows) -> None:
        """Add the rows of one page, once per page. Raises DamagedError, LimitError."""
        self._count(rows)
        self._missing[self._regions[page]].remove(page)
        self._is_known[page] = True
        while self._first_missing < len(self._is_known) and self._is_known[self._first_missing]:
            self._first_missing += 1
        waiting = self._held.pop(page, [])
        if waiting or self._may_wait(page) or not self._pass(page, rows):
            # Rows of a cell are checked in order: what holds one back holds back those behind it.
            free = [*((page, row) for row in rows), *waiting]
            for number, row in sorted(free, key=lambda item: item[1].id):
                blocker = self._blocker(number, row)
                if blocker is None:
                    self._check(row, number)
                else:
                    self._held.setdefault(blocker, []).append((number, row))
        if self._first_missing == len(self._is_known):
            self._close()

    def _may_wait(self, page: int) -> bool:
        """Whether an earlier page is missing whose region covers a part of this page's."""
        if page <= self._first_missing:
            return False
        level, tile = self._regions[page]
        earlier = slice(self._first_missing, page)
        coarser = np.minimum(self._page_level[earlier], level)
        overlaps = self._page_tile[earlier] >> (self._page_level[earlier] - coarser)
        overlaps = overlaps == tile >> (level - coarser)
        return bool((overlaps & ~self._is_known[earlier]).any())

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

    # Sums

    def _count(self, rows: ChunkRows) -> None:
        """Check what the rows of no set of pages may exceed."""
        layers = len(self._facts.layers)
        sums = []
        for kind in (ChunkKind.LEAF, ChunkKind.PROXY):
            found = rows.kind == kind
            counts = np.bincount(rows.layer[found], rows.counts[found], layers)
            sums.append(counts.astype(np.int64))  # exact: far below 2^53
        beyond = rows.counts.astype(np.int64) - rows.packed_bytes
        free = int(np.maximum(beyond, 0)[rows.is_geometry].sum())
        leaves, proxies = self._leaves + sums[0], self._proxies + sums[1]
        if (
            self._free + free > MAX_FREE_COUNT
            or (leaves > [layer.leaf_count for layer in self._facts.layers]).any()
            or (proxies > [layer.proxy_count for layer in self._facts.layers]).any()
        ):
            for row in rows:
                self._count_row(row)
        self._leaves, self._proxies, self._free = leaves, proxies, self._free + free

    def _count_row(self, row: ChunkRef) -> None:
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

    # A whole page

    def _pass(self, page: int, rows: ChunkRows) -> bool:
        """Check the rows of a page at once and note them; False if a row may break a rule."""
        known = self._known
        if (rows.offset[1:] <= rows.offset[:-1]).any():
            return False
        cells = self._cells.of(rows.layer, rows.tile)
        geometry = np.flatnonzero(rows.is_geometry)
        geometry = geometry[np.argsort(cells[geometry], kind="stable")]
        again = np.zeros(len(geometry), bool)  # the second row of a cell
        again[1:] = cells[geometry[1:]] == cells[geometry[:-1]]
        second, one = geometry[again], geometry[:-1][again[1:]]
        if (second - one != 1).any() or (rows.kind[second] == rows.kind[one]).any():
            return False
        first = geometry[~again]
        basis = np.flatnonzero(rows.kind == ChunkKind.BASIS)
        placeless = (rows.layer[basis] == 0) & (rows.tile[basis] == 0) & (rows.counts[basis] == 0)
        if known.kinds[cells[first]].any() or not placeless.all():
            return False
        if len(basis) > (known.basis_offset == 0):
            return False
        known.add_geometry(page, rows, cells, geometry, first)
        before_basis = known.basis_offset
        if len(basis):
            known.basis_offset = int(rows.offset[basis[0]])
        if self._have_parents(rows, cells, first) and self._refine(rows, cells):
            return True
        known.remove(cells[first])
        known.basis_offset = before_basis
        return False

    def _have_parents(
        self, rows: ChunkRows, cells: npt.NDArray[np.int64], first: npt.NDArray[np.int64]
    ) -> bool:
        """Whether the parents of these rows' cells lie in front of them."""
        below = first[rows.layer[first] > 0]
        parents = self._cells.parents(rows.layer[below], rows.tile[below])
        offsets = self._known.first_offset[parents]
        return bool(((offsets > 0) & (offsets <= rows.offset[below])).all())

    def _refine(self, rows: ChunkRows, cells: npt.NDArray[np.int64]) -> bool:
        """Note the SH and FINE rows if all of them may be there."""
        known = self._known
        sh = np.flatnonzero(rows.kind == ChunkKind.SH)
        fine = np.flatnonzero(rows.kind == ChunkKind.FINE)
        both = np.concatenate([sh, fine])
        offsets = known.leaf_offset[cells[both]]
        if not ((offsets > 0) & (offsets <= rows.offset[both])).all():
            return False
        if (known.leaf_count[cells[both]] != rows.counts[both]).any():
            return False
        if len(sh) and not 0 < known.basis_offset <= rows.offset[sh[0]]:
            return False
        if (known.kinds[cells[fine]] & _FINE).any() or len(set(cells[fine].tolist())) < len(fine):
            return False
        refined, counts = np.unique(cells[sh], return_counts=True)
        if (known.sh[refined] + counts > MAX_SH_CHUNKS).any():
            return False
        known.kinds[cells[fine]] |= _FINE
        known.sh[refined] += counts.astype(np.uint8)
        return True

    # Row by row

    def _check(self, row: ChunkRef, page: int) -> None:
        known, cell = self._known, self._cells.starts[row.layer] + row.tile
        match row.kind:
            case ChunkKind.LEAF | ChunkKind.PROXY:
                self._check_geometry(row, page, cell)
            case ChunkKind.SH | ChunkKind.FINE:
                self._check_refinement(row, cell)
            case ChunkKind.BASIS:
                if known.basis_offset:
                    raise _fault(row, "the file has a BASIS already")
                if row.layer or row.tile or row.count:
                    raise _fault(row, "a BASIS belongs to no cell")
                known.basis_offset = row.offset

    def _check_geometry(self, row: ChunkRef, page: int, cell: int) -> None:
        known = self._known
        kind = _LEAF if row.kind is ChunkKind.LEAF else _PROXY
        if not known.kinds[cell]:
            if row.layer:
                parent = self._cells.parent(row.layer, row.tile)
                if not 0 < known.first_offset[parent] <= row.offset:
                    raise _fault(row, "its parent does not lie in front of it")
            known.first_offset[cell] = row.offset
            known.page[cell] = page
        elif known.kinds[cell] & kind:
            raise _fault(row, f"the cell has a {row.kind.name} already")
        elif known.page[cell] != page or known.last_id[cell] + 1 != row.id:
            raise _fault(row, "LEAF and PROXY of its cell are not consecutive rows")
        known.kinds[cell] |= kind
        known.last_id[cell] = row.id
        if row.kind is ChunkKind.LEAF:
            known.leaf_offset[cell] = row.offset
            known.leaf_count[cell] = row.count

    def _check_refinement(self, row: ChunkRef, cell: int) -> None:
        known = self._known
        if not 0 < known.leaf_offset[cell] <= row.offset:
            raise _fault(row, "there are no leaves to refine in front of it")
        if known.leaf_count[cell] != row.count:
            raise _fault(row, f"{row.count} rows for {known.leaf_count[cell]} leaves")
        if row.kind is ChunkKind.FINE:
            if known.kinds[cell] & _FINE:
                raise _fault(row, "the cell has a FINE already")
            known.kinds[cell] |= _FINE
            return
        if not 0 < known.basis_offset <= row.offset:
            raise _fault(row, "the BASIS does not lie in front of it")
        known.sh[cell] += 1
        if known.sh[cell] > MAX_SH_CHUNKS:
            raise LimitError(
                f"the cell has more than {MAX_SH_CHUNKS} SH chunks",
                section=row.section,
                offset=row.offset,
            )

    def _close(self) -> None:
        """Check the rules that need the whole table."""
        for number, layer in enumerate(self._facts.layers):
            found = int(self._leaves[number]), int(self._proxies[number])
            if found != (layer.leaf_count, layer.proxy_count):
                raise DamagedError(
                    f"layer {number} has {found[0]} leaves and {found[1]} proxies,"
                    f" the index says {layer.leaf_count} and {layer.proxy_count}",
                    section="chunk table",
                )
        missing = self._cells.count - int(np.count_nonzero(self._known.kinds))
        if missing:
            raise DamagedError(f"{missing} cells have no chunk", section="chunk table")


class _Known:
    """What the checked rows say of each cell, by cell number. Offsets are 0 where unknown."""

    def __init__(self, cells: int) -> None:
        self.kinds = np.zeros(cells, np.uint8)  # _LEAF, _PROXY, _FINE; 0: no row yet
        self.first_offset = np.zeros(cells, np.int64)  # of the first LEAF or PROXY
        self.last_id = np.zeros(cells, np.int32)  # of the last LEAF or PROXY
        self.page = np.zeros(cells, np.uint16)  # that lists them
        self.leaf_offset = np.zeros(cells, np.int64)
        self.leaf_count = np.zeros(cells, np.uint32)
        self.sh = np.zeros(cells, np.uint8)  # number of SH rows
        self.basis_offset = 0

    def add_geometry(
        self,
        page: int,
        rows: ChunkRows,
        cells: npt.NDArray[np.int64],
        geometry: npt.NDArray[np.int64],
        first: npt.NDArray[np.int64],
    ) -> None:
        """Note the LEAF and PROXY rows of new cells, in order of cells and then of rows."""
        self.first_offset[cells[first]] = rows.offset[first]
        self.page[cells[first]] = page
        self.last_id[cells[geometry]] = rows.first_id + geometry
        leaves = geometry[rows.kind[geometry] == ChunkKind.LEAF]
        proxies = geometry[rows.kind[geometry] == ChunkKind.PROXY]
        self.kinds[cells[leaves]] |= _LEAF
        self.kinds[cells[proxies]] |= _PROXY
        self.leaf_offset[cells[leaves]] = rows.offset[leaves]
        self.leaf_count[cells[leaves]] = rows.counts[leaves]

    def remove(self, cells: npt.NDArray[np.int64]) -> None:
        """Forget these cells."""
        for column in (self.kinds, self.first_offset, self.leaf_offset):
            column[cells] = 0


def _fault(row: ChunkRef, problem: str) -> FormatError:
    return DamagedError(problem, section=row.section, offset=row.offset)
