"""The units of a file: chunks that are scheduled together, and the unit that each one needs first.

A unit is everything that is needed to draw a cell (PROXY, LEAF and the SH joined to them), a later
refinement of the cell, or the BASIS. Units form a tree below the units that they need. The plan
changes only when a page is added, so all sessions of a server share it.

What is known of units and chunks is kept in arrays; `units` and `unit_of` show it as objects.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.format.cell_numbers import CellNumbers
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.container import FileHead
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.scene.camera import Camera
from exgs.wire.parts import is_page, page_id, page_part
from exgs.wire.scores import densities_of, scores_of, share_of_coverage
from exgs.wire.sight import Screen, Sight
from exgs.wire.units import Unit, UnitArrays, UnitOf, Units, UnitTree
from exgs.wire.visibility import BoxSet, Doubles, Numbers, box_weights, solid_angles

# What a cell may have: a unit to draw it, and later ones.
_KINDS = (ChunkKind.LEAF, ChunkKind.SH, ChunkKind.FINE, ChunkKind.EXTRA)
_DRAW, _SH, _FINE, _EXTRA = range(4)


class PartPlan:
    """The units of one file, and the positions of its parts."""

    def __init__(self, head: FileHead, table: ChunkTable) -> None:
        self.head = head
        self.table = table
        self.facts = head.root.facts
        self.cells = CellNumbers(self.facts)
        self.unit_count = 0
        self.boxes = BoxSet(self.cells.count + 1)  # the last is empty, for the BASIS
        self._pages = head.root.pages
        self._page_starts = [page.first_chunk for page in self._pages]
        self._group_starts, self._group_pages = _groups(self._pages)
        self._pages_to: dict[int, list[int]] = {}
        self._order: dict[int, npt.NDArray[np.int32]] = {}  # ids of a group in file order
        self._place: dict[int, npt.NDArray[np.int32]] = {}  # the inverse
        # By kind and cell: the unit, plus 1. The last cell stands for the BASIS.
        self._unit_at = np.zeros((len(_KINDS), self.cells.count + 1), np.int32)
        chunks = self.chunk_count
        self._unit_of = np.zeros(chunks, np.int32)  # by chunk: the unit, plus 1
        self._next = np.zeros(chunks, np.int32)  # by chunk: the next one of its unit, plus 1
        self._packed = np.zeros(chunks, np.uint32)  # by chunk: its length
        # By unit, of which there are fewer than chunks; memory is taken only for those there are.
        self._kind = np.zeros(chunks, np.uint8)  # index into _KINDS
        self.unit_cell = np.zeros(chunks, np.int32)
        self._gain = np.zeros(chunks)
        self._bytes = np.zeros(chunks, np.int64)
        self._first = np.zeros(chunks, np.int32)  # its first chunk
        shares = [share_of_coverage(self.facts.tile_level - level) for level in self.cells.levels]
        self._cell_share = np.append(np.repeat(shares, np.diff(self.cells.starts)), 1.0)
        self.screen = Screen(self.cells, self.boxes)
        for rows in table.batches:
            self._enter(rows)
        self._sort_groups(range(len(self._group_pages)))

    # Public: the file

    @property
    def chunk_count(self) -> int:
        """The number of chunks in the whole file."""
        return self.head.root.chunk_count

    @property
    def pages(self) -> tuple[PageRef, ...]:
        """The pages of the chunk table, in file order."""
        return self._pages

    def add_page(self, page: PageRef, rows: Sequence[ChunkRef]) -> Numbers:
        """Add the rows of a page. Returns the units that are new or have grown, rising."""
        self.table.add_page(page, rows)
        columns = rows if isinstance(rows, ChunkRows) else ChunkRows.of(rows)
        touched = self._enter(columns)
        self._sort_groups([page.group])
        return touched

    def pages_to(self, page: PageRef) -> list[int]:
        """The parts that may list what cells of this page need: earlier pages, then itself."""
        found = self._pages_to.get(page.id)
        if found is None:
            region = page.region
            earlier = (
                some
                for some in self._pages[: page.id - 1]
                if some.region.covers(region.level, region.tile)
            )
            found = [page_part(some.id) for some in (*earlier, page)]
            self._pages_to[page.id] = found
        return found

    def page_of(self, chunk: int) -> PageRef | None:
        """The page that lists a chunk; None if the root index does."""
        number = bisect_right(self._page_starts, chunk) - 1
        return self._pages[number] if number >= 0 else None

    def group_pages(self, place: int) -> tuple[PageRef, ...]:
        """The pages of the group that contains `place` of the file order; empty for the root."""
        number = bisect_right(self._group_starts, place) - 1
        return self._group_pages[number] if number >= 0 else ()

    def chunk_at(self, place: int) -> int | None:
        """The chunk at a place in file order; None if a page of its group is missing."""
        number = bisect_right(self._group_starts, place) - 1
        if number < 0 or len(self._group_pages[number]) == 1:
            return place if self._unit_of[place] else None
        order = self._order.get(number)
        return int(order[place - self._group_starts[number]]) if order is not None else None

    def chunks_from(self, place: int) -> npt.NDArray[np.int32]:
        """The known chunks at the following places of the same group."""
        number = bisect_right(self._group_starts, place) - 1
        starts = [*self._group_starts, self.chunk_count]
        order = self._order.get(number)
        if order is not None:
            return order[place - starts[number] :]
        ids = np.arange(place, starts[number + 1], dtype=np.int32)
        is_sorted = number < 0 or len(self._group_pages[number]) == 1
        return ids[: np.argmin(np.append(self._unit_of[ids], 0))] if is_sorted else ids[:0]

    def place_of(self, chunk: int) -> int:
        """The place of a chunk in file order; while it is unknown, that of its group's first."""
        number = bisect_right(self._group_starts, chunk) - 1
        if number < 0 or len(self._group_pages[number]) == 1:
            return chunk
        start, places = self._group_starts[number], self._place.get(number)
        return start if places is None else start + int(places[chunk - start])

    def length(self, part: int) -> int:
        """The packed length of a part. Raises KeyError if no known page lists the chunk."""
        if is_page(part):
            return self._page(part).packed_bytes
        if not self.knows(part):
            raise KeyError(part)
        return int(self._packed[part])

    def offset(self, part: int) -> int:
        """The offset of a part in the file. Raises KeyError like `length`."""
        if is_page(part):
            return self._page(part).offset
        rows, place = self.table.locate(part)
        return int(rows.offset[place])

    def ref(self, part: int) -> ChunkRef | PageRef:
        """The row of a part. Raises KeyError like `length`."""
        return self._page(part) if is_page(part) else self.table[part]

    def is_sh(self, chunk: int) -> bool:
        """Whether a chunk is SH, which needs the BASIS."""
        rows, place = self.table.locate(chunk)
        return bool(rows.kind[place] == ChunkKind.SH)

    # Public: units

    @property
    def units(self) -> Sequence[Unit]:
        """All known units."""
        return Units(self.unit_count, self._as_object)

    @property
    def unit_of(self) -> Mapping[int, int]:
        """The unit of each known chunk."""
        return UnitOf(self.units_by_chunk)

    @property
    def basis(self) -> int | None:
        """The unit of the BASIS chunk."""
        unit = int(self._unit_at[_DRAW, -1])
        return unit - 1 if unit else None

    @property
    def roots(self) -> list[int]:
        """The units that need no other: first cells, BASIS and EXTRA."""
        first = self._unit_at[_DRAW, : self.cells.starts[1]]
        basis, extras = self._unit_at[_DRAW, -1:], self._unit_at[_EXTRA]
        found = np.concatenate([some[some > 0] for some in (first, basis, extras)])
        roots: list[int] = (found - 1).tolist()
        return roots

    @property
    def units_by_chunk(self) -> npt.NDArray[np.int32]:
        """By chunk: its unit, -1 if it is unknown."""
        units: npt.NDArray[np.int32] = self._unit_of - np.int32(1)
        return units

    def knows(self, chunk: int) -> bool:
        """Whether a chunk is in the known part of the file."""
        return 0 <= chunk < self.chunk_count and bool(self._unit_of[chunk])

    def unit(self, chunk: int) -> int:
        """The unit of a known chunk."""
        return int(self._unit_of[chunk]) - 1

    def chunks(self, unit: int) -> list[int]:
        """The known chunks of a unit, rising."""
        chunk = int(self._first[unit])
        found = [chunk]
        while chunk := int(self._next[chunk]):
            chunk -= 1
            found.append(chunk)
        return found

    def needs(self, unit: int) -> int | None:
        """The unit that must be complete before this one; None: no other.

        -1 if that unit is not known yet.
        """
        kind, cell = self._kind[unit], int(self.unit_cell[unit])
        if kind == _DRAW:
            layer, tile = self.cells.place(cell)
            if layer == 0 or cell == self.cells.count:
                return None
            return int(self._unit_at[_DRAW, self.cells.parent(layer, tile)]) - 1
        return None if kind == _EXTRA else int(self._unit_at[_DRAW, cell]) - 1

    def unlocks(self, unit: int) -> list[int]:
        """The known units that need this one."""
        cell = int(self.unit_cell[unit])
        if self._kind[unit] != _DRAW or cell == self.cells.count:
            return []
        below = self.cells.children(*self.cells.place(cell))
        found = np.concatenate(
            [self._unit_at[_SH : _FINE + 1, cell], self._unit_at[_DRAW, below.start : below.stop]]
        )
        units: list[int] = (found[found > 0] - 1).tolist()
        return units

    def missing_by_unit(self, is_whole: npt.NDArray[np.uint8], begun: Mapping[int, int]) -> Numbers:
        """For each unit its bytes without those of whole chunks [chunk_count] and begun ones."""
        whole = np.flatnonzero((is_whole != 0) & (self._unit_of > 0))
        sent = np.bincount(self._unit_of[whole] - 1, self._packed[whole], self.unit_count)
        missing = self._bytes[: self.unit_count] - sent.astype(np.int64)  # exact: far below 2^53
        for part, sent_bytes in begun.items():
            if self.knows(part):
                missing[self.unit(part)] -= sent_bytes
        return missing

    @property
    def arrays(self) -> UnitArrays:
        """The values that ranks depend on, of all units; computed each time."""
        units = np.arange(self.unit_count)
        cells = self.unit_cell[units].astype(np.int64)
        low, high = self.boxes.corners(cells)
        return UnitArrays(
            low=low,
            high=high,
            share=self._cell_share[cells],
            gain=self._gain[units],
            packed_bytes=self._bytes[units],
            first_chunk=self._first[units].astype(np.int64),
            is_basis=cells == self.cells.count,
        )

    @property
    def tree(self) -> UnitTree:
        """What all units need; computed each time."""
        cells = self.unit_cell[: self.unit_count].astype(np.int64)
        kinds = self._kind[: self.unit_count]
        is_basis = cells == self.cells.count
        layers = np.searchsorted(self.cells.starts[:-1], cells, side="right") - 1
        is_below = (kinds == _DRAW) & (layers > 0) & ~is_basis
        is_later = (kinds == _SH) | (kinds == _FINE)
        needed = cells.copy()
        tiles = cells - np.array(self.cells.starts)[layers]
        needed[is_below] = self.cells.parents(layers[is_below], tiles[is_below])
        needs = np.where(is_below | is_later, self._unit_at[_DRAW, needed].astype(np.int64) - 1, -1)
        depth = np.where(kinds == _EXTRA, 0, layers + is_later)
        depth[is_basis] = 0
        found = np.array(_KINDS, np.uint8)[kinds]
        found[is_basis] = ChunkKind.BASIS
        return UnitTree(found, needs, depth)

    # Public: what a view makes of units (spec/protocol.md, section 10)

    def sight(self, camera: Camera) -> Sight:
        """What is known of a view."""
        return self.screen.sight(camera, self._unit_at[_DRAW, self.screen.cells] > 0)

    def weights(self, units: Numbers, sight: Sight) -> tuple[Doubles, Doubles]:
        """What a view shows of these units, 0 only out of view; and their solid angles."""
        cells = self.unit_cell[units].astype(np.int64)
        is_basis = cells == self.cells.count
        weights = box_weights(*self.boxes.corners(cells), sight.camera)
        share = self._cell_share[cells]
        # SH calls for the BASIS; on its own it shows nothing.
        coverage = np.where(is_basis, 0.0, weights.coverage)
        shown = sight.weights(self.screen.cell_places[cells], coverage, share)
        return shown, np.where(is_basis, 1.0, weights.around * share)

    def scores(self, units: Numbers, sight: Sight, sent_bytes: Numbers | int = 0) -> Doubles:
        """The first component of the ranks of these units; the least comes first.

        `sent_bytes` of each unit have been sent. Units in view have negative values, others
        positive ones.
        """
        return scores_of(self._densities(units, sent_bytes), *self.weights(units, sight))

    def score_limits(self, units: Numbers, sight: Sight) -> Doubles:
        """At most the scores of units of which nothing has been sent; 0 only if out of view."""
        cells = np.take(self.unit_cell, units)
        is_wanted = np.zeros(self.cells.count + 1, bool)
        is_wanted[cells] = True
        is_wanted[-1] = False
        numbers = np.flatnonzero(is_wanted)
        limits = np.zeros(self.cells.count + 1)
        coverage = self.boxes.coverage_limits(numbers, sight.camera)
        share = self._cell_share[numbers]
        limits[numbers] = sight.weights(self.screen.cell_places[numbers], coverage, share)
        return np.negative(self._densities(units) * np.take(limits, cells))

    def scores_out_of_view(self, units: Numbers, sight: Sight) -> Doubles:
        """The scores of units out of view, of which nothing has been sent."""
        cells = self.unit_cell[units].astype(np.int64)
        around = solid_angles(*self.boxes.corners(cells), sight.camera)
        share = self._cell_share[cells]
        around = np.where(cells == self.cells.count, 1.0, around * share)
        return scores_of(self._densities(units), np.zeros(len(units)), around)

    def first_chunks(self, units: Numbers) -> Numbers:
        """The least chunk of each of these units, which decides between equal scores."""
        return self._first[units].astype(np.int64)

    def units_in_view(self, camera: Camera) -> npt.NDArray[np.bool_]:
        """Which of all units have boxes in view. The BASIS counts as seen."""
        cells = self.unit_cell[: self.unit_count]
        numbers = np.flatnonzero(np.bincount(cells, minlength=self.cells.count))
        seen = np.zeros(self.cells.count + 1, bool)
        seen[numbers] = self.boxes.in_view(numbers, camera)
        seen[-1] = True
        return seen[cells]

    def _as_object(self, unit: int) -> Unit:
        cell = int(self.unit_cell[unit])
        is_basis = cell == self.cells.count
        layer, tile = (0, 0) if is_basis else self.cells.place(cell)
        needs = self.needs(unit)
        return Unit(
            kind=ChunkKind.BASIS if is_basis else _KINDS[self._kind[unit]],
            layer=layer,
            tile=tile,
            chunks=self.chunks(unit),
            gain=float(self._gain[unit]),
            packed_bytes=int(self._bytes[unit]),
            needs=None if needs == -1 else needs,
            unlocks=self.unlocks(unit),
        )

    def _densities(self, units: Numbers, sent_bytes: Numbers | int = 0) -> Doubles:
        missing = np.take(self._bytes, units) - sent_bytes
        return densities_of(np.take(self._gain, units), missing)

    # Private: entering rows

    def _enter(self, rows: ChunkRows) -> Numbers:
        """Add rows; once more is harmless. Returns the units that are new or have grown."""
        if not len(rows) or self._unit_of[rows.first_id]:
            return np.zeros(0, np.int64)
        slots = np.full(256, -1)
        slots[list(_KINDS)] = range(len(_KINDS))
        slots[[ChunkKind.PROXY, ChunkKind.BASIS]] = _DRAW
        kinds = np.where(rows.is_joined, _DRAW, slots[rows.kind])
        cells = self.cells.of(rows.layer, rows.tile)
        cells[rows.kind == ChunkKind.BASIS] = self.cells.count
        self.boxes.enter(cells[rows.boxed], rows.low, rows.high)
        grown = np.unique(self._unit_at[kinds, cells])
        self._add_units(kinds, cells)
        units = self._unit_at[kinds, cells].astype(np.int64) - 1
        self._unit_of[rows.ids] = units + 1
        self._packed[rows.ids] = rows.packed_bytes
        order = np.argsort(units, kind="stable")
        ids, of = rows.ids[order], units[order]
        np.add.at(self._gain, of, rows.gain[order])  # one after the other, in order of ids
        np.add.at(self._bytes, of, rows.packed_bytes[order].astype(np.int64))
        starts = np.ones(len(of), bool)
        starts[1:] = of[1:] != of[:-1]
        before = {int(unit) - 1: self.chunks(int(unit) - 1) for unit in grown if unit}
        self._first[of[starts]] = ids[starts]
        self._next[ids[:-1]] = np.where(starts[1:], 0, ids[1:] + 1)
        for unit, chunks in before.items():
            self._grow(unit, chunks)
        return of[starts]

    def _add_units(self, kinds: Numbers, cells: Numbers) -> None:
        """Number the units that are not known yet."""
        keys = np.unique(kinds * (self.cells.count + 1) + cells)
        kinds, cells = np.divmod(keys, self.cells.count + 1)
        fresh = self._unit_at[kinds, cells] == 0
        kinds, cells = kinds[fresh], cells[fresh]
        units = np.arange(self.unit_count, self.unit_count + len(kinds))
        self._unit_at[kinds, cells] = units + 1
        self._kind[units] = kinds
        self.unit_cell[units] = cells
        self.unit_count += len(units)

    def _grow(self, unit: int, earlier: list[int]) -> None:
        """Join the chunks that a unit had before to those that it has got, in order."""
        chunks = sorted([*earlier, *self.chunks(unit)])
        self._first[unit] = chunks[0]
        for chunk, following in zip(chunks, [*chunks[1:], -1], strict=True):
            self._next[chunk] = following + 1
        self._gain[unit] = 0.0
        for chunk in chunks:  # pages come in any order, the sum is in order of chunks
            rows, place = self.table.locate(chunk)
            self._gain[unit] += float(rows.gain[place])

    def _page(self, part: int) -> PageRef:
        number = page_id(part)
        if not 1 <= number <= len(self._pages):
            raise KeyError(part)
        return self._pages[number - 1]

    def _sort_groups(self, numbers: Iterable[int]) -> None:
        """Compute the file order of groups of several pages once all of their pages are known."""
        for number in numbers:
            pages = self._group_pages[number]
            if len(pages) == 1 or not all(self.table.has_page(page.id) for page in pages):
                continue
            start = self._group_starts[number]
            rows = [self.table.locate(page.first_chunk)[0] for page in pages]
            order = np.argsort(np.concatenate([some.offset for some in rows]), kind="stable")
            places = np.empty(len(order), np.int32)
            places[order] = np.arange(len(order))
            self._order[number] = (start + order).astype(np.int32)
            self._place[number] = places


def _groups(pages: tuple[PageRef, ...]) -> tuple[list[int], list[tuple[PageRef, ...]]]:
    """The first chunk and the pages of each group."""
    starts: list[int] = []
    members: list[list[PageRef]] = []
    for page in pages:
        if page.group == len(members):
            starts.append(page.first_chunk)
            members.append([])
        members[-1].append(page)
    return starts, [tuple(group) for group in members]
