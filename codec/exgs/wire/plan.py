"""The units of a file: chunks that are scheduled together, and the unit that each one needs first.

A unit is everything that is needed to draw a cell (PROXY, LEAF and the SH joined to them), a later
refinement of the cell, or the BASIS. Units form a tree below the units that they need. The plan
changes only when a page is added, so all sessions of a server share it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.format.container import FileHead
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.rows import EMPTY_BOX, Box, Cell, ChunkRef, PageRef
from exgs.wire.parts import is_page, page_id

Doubles = npt.NDArray[np.float64]


@dataclass(slots=True)
class Unit:
    """Chunks that are scheduled together."""

    kind: ChunkKind  # LEAF for the unit that draws the cell
    layer: int
    tile: int
    chunks: list[int] = field(default_factory=list)  # in file order
    gain: float = 0.0
    packed_bytes: int = 0
    linked: bool = False  # whether the unit that it needs is known
    needs: int | None = None  # the unit that must be complete first
    unlocks: set[int] = field(default_factory=set)  # units that need this one


@dataclass(frozen=True, slots=True, eq=False)
class UnitArrays:
    """The values that ranks depend on, for all U units."""

    low: Doubles  # [U, 3] box of the unit's tile
    high: Doubles  # [U, 3]
    share: Doubles  # [U] factor on the coverage of its box, see spec/protocol.md section 10
    gain: Doubles  # [U]
    packed_bytes: npt.NDArray[np.int64]  # [U]
    first_chunk: npt.NDArray[np.int64]  # [U]
    is_basis: npt.NDArray[np.bool_]  # [U]


class PartPlan:
    """The units of one file, and the positions of its parts."""

    def __init__(self, head: FileHead, table: ChunkTable) -> None:
        self.head = head
        self.table = table
        self.facts = head.root.facts
        self.units: list[Unit] = []
        self.unit_of: dict[int, int] = {}  # chunk id -> unit
        self.roots: set[int] = set()  # units that need no other
        self.basis: int | None = None  # the unit of the BASIS chunk
        self._pages = head.root.pages
        self._page_starts = [page.first_chunk for page in self._pages]
        self._group_starts, self._group_pages = _groups(self._pages)
        self._numbers: dict[tuple[ChunkKind, int, int], int] = {}
        self._orphans: dict[tuple[ChunkKind, int, int], set[int]] = {}
        self._boxes: dict[Cell, Box] = {}
        self._arrays: UnitArrays | None = None
        self._order: dict[int, list[int]] = {}  # first chunk of a group -> its ids in file order
        self._place: dict[int, int] = {}  # chunk id -> place in file order, where it differs
        self._enter(table.values())
        self._sort_groups(range(len(self._group_pages)))

    @property
    def chunk_count(self) -> int:
        """The number of chunks in the whole file."""
        return self.head.root.chunk_count

    @property
    def pages(self) -> tuple[PageRef, ...]:
        """The pages of the chunk table, in file order."""
        return self._pages

    @property
    def arrays(self) -> UnitArrays:
        """The values that ranks depend on, as arrays over the units."""
        if self._arrays is None:
            self._arrays = self._build_arrays()
        return self._arrays

    def add_page(self, page: PageRef, rows: tuple[ChunkRef, ...]) -> set[int]:
        """Add the rows of a page. Returns the units that are new or have grown."""
        self.table.add_page(page, rows)
        touched = self._enter(rows)
        self._sort_groups([page.group])
        return touched

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
            return place if place in self.unit_of else None
        order = self._order.get(number)
        return order[place - self._group_starts[number]] if order is not None else None

    def place_of(self, chunk: int) -> int:
        """The place of a chunk in file order; while it is unknown, that of its group's first."""
        number = bisect_right(self._group_starts, chunk) - 1
        if number < 0 or len(self._group_pages[number]) == 1:
            return chunk
        return self._place.get(chunk, self._group_starts[number])

    def length(self, part: int) -> int:
        """The packed length of a part. Raises KeyError if no known page lists the chunk."""
        return self.ref(part).packed_bytes

    def ref(self, part: int) -> ChunkRef | PageRef:
        """The offset of a part in the file. Raises KeyError like `length`."""
        if not is_page(part):
            return self.table[part]
        number = page_id(part)
        if not 1 <= number <= len(self._pages):
            raise KeyError(part)
        return self._pages[number - 1]

    def _enter(self, rows: Iterable[ChunkRef]) -> set[int]:
        touched = set()
        for row in rows:
            if row.id in self.unit_of:  # once more is harmless
                continue
            number = self._unit_for(row)
            unit = self.units[number]
            unit.chunks.append(row.id)
            unit.chunks.sort()
            unit.packed_bytes += row.packed_bytes
            self.unit_of[row.id] = number
            if row.box is not None:
                self._boxes[row.cell] = row.box
            touched.add(number)
        for number in sorted(touched):
            self._sum_gain(self.units[number])
            self._link(number)
        self._arrays = None
        return touched

    def _sum_gain(self, unit: Unit) -> None:
        """Sum the gains of a unit in the order of its chunks, since pages come in any order."""
        unit.gain = 0.0
        for chunk in unit.chunks:
            unit.gain += self.table[chunk].gain

    def _unit_for(self, row: ChunkRef) -> int:
        joins = row.kind is ChunkKind.PROXY or row.id in self.table.joined_sh
        key = (ChunkKind.LEAF if joins else row.kind, row.layer, row.tile)
        if key not in self._numbers:
            self._numbers[key] = len(self.units)
            self.units.append(Unit(*key))
            if row.kind is ChunkKind.BASIS:
                self.basis = self._numbers[key]
        return self._numbers[key]

    def _link(self, number: int) -> None:
        """Link a new unit to the unit it needs, and units that waited for it to this one."""
        unit = self.units[number]
        key = (unit.kind, unit.layer, unit.tile)
        for orphan in self._orphans.pop(key, ()):
            self.units[orphan].needs = number
            self.units[orphan].linked = True
            unit.unlocks.add(orphan)
        if unit.linked:
            return
        needed = self._needs(unit)
        if needed is None:
            unit.linked = True
            self.roots.add(number)
        elif needed in self._numbers:
            unit.linked = True
            unit.needs = self._numbers[needed]
            self.units[unit.needs].unlocks.add(number)
        else:
            self._orphans.setdefault(needed, set()).add(number)

    def _needs(self, unit: Unit) -> tuple[ChunkKind, int, int] | None:
        """The unit that must be complete before a unit is useful."""
        if unit.kind in (ChunkKind.BASIS, ChunkKind.EXTRA):
            return None
        if unit.kind is not ChunkKind.LEAF:
            return ChunkKind.LEAF, unit.layer, unit.tile
        if unit.layer == 0:
            return None
        shift = self.facts.child_shift(unit.layer - 1)
        return ChunkKind.LEAF, unit.layer - 1, unit.tile >> shift

    def _sort_groups(self, numbers: Iterable[int]) -> None:
        """Compute the file order of groups of several pages once all of their pages are known."""
        for number in numbers:
            pages = self._group_pages[number]
            if len(pages) == 1 or not all(self.table.has_page(page.id) for page in pages):
                continue
            start = self._group_starts[number]
            ids = range(start, start + sum(page.chunk_count for page in pages))
            order = sorted(ids, key=lambda chunk: self.table[chunk].offset)
            self._order[number] = order
            self._place.update((chunk, start + i) for i, chunk in enumerate(order))

    def _build_arrays(self) -> UnitArrays:
        boxes = [self._boxes.get((unit.layer, unit.tile), EMPTY_BOX) for unit in self.units]
        shares = [
            share_of_coverage(self.facts.tile_level - layer.tile_level)
            for layer in self.facts.layers
        ]
        return UnitArrays(
            low=np.array([box.low for box in boxes], np.float64).reshape(-1, 3),
            high=np.array([box.high for box in boxes], np.float64).reshape(-1, 3),
            share=np.array([shares[unit.layer] for unit in self.units], np.float64),
            gain=np.array([unit.gain for unit in self.units], np.float64),
            packed_bytes=np.array([unit.packed_bytes for unit in self.units], np.int64),
            first_chunk=np.array([unit.chunks[0] for unit in self.units], np.int64),
            is_basis=np.array([unit.kind is ChunkKind.BASIS for unit in self.units], np.bool_),
        )


def share_of_coverage(levels: int) -> float:
    """The factor on the coverage of a tile that is `levels` above the finest tiles.

    A tile contains 2^levels finest tiles, beside and behind each other. Each of them covers about
    2^(-2 levels / 3) of the tile's coverage. The result is a power of two, so products are exact.
    """
    return 2.0 ** -(2 * levels // 3)


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
