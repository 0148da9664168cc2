"""What must come before what: the parts of a file as units that are useful only as a whole.

A unit is what a cell needs to be drawn (LEAF, PROXY, the SH joined to them), or one kind of what
refines it (further SH, FINE), or the BASIS. A cell needs its ancestor cell, a refinement its own.
A complete plan is shared by all sessions of a scene; that of a client without a server's help
grows by pages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from exgs.codec.constants import ChunkKind
from exgs.codec.format.container import FileHead
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.wire.parts import is_page, page_id


@dataclass(slots=True)
class Unit:
    """Chunks that are useful together."""

    kind: ChunkKind  # LEAF for all that a cell needs to be drawn
    layer: int
    tile: int
    chunks: list[int] = field(default_factory=list)  # in file order
    gain: float = 0.0
    linked: bool = False
    needs: int | None = None  # the unit that has to be whole before this one is useful
    unlocks: set[int] = field(default_factory=set)  # the units that need this one


class PartPlan:
    """The units of one file, and where its parts lie."""

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
        self._numbers: dict[tuple[ChunkKind, int, int], int] = {}
        self._enter(table.values())

    @property
    def chunk_count(self) -> int:
        """Chunks in the whole file, known or not."""
        return self.head.root.chunk_count

    @property
    def pages(self) -> tuple[PageRef, ...]:
        """The pages of the chunk table, in file order."""
        return self._pages

    def add_page(self, page: PageRef, rows: tuple[ChunkRef, ...]) -> set[int]:
        """Enter the rows of a page; returns the units that are new or have grown."""
        self.table.add_page(page, rows)
        return self._enter(rows)

    def page_of(self, chunk: int) -> PageRef | None:
        """The page that lists a chunk, None where the root index does."""
        number = bisect_right(self._page_starts, chunk) - 1
        return self._pages[number] if number >= 0 else None

    def length(self, part: int) -> int:
        """Packed bytes of a known part; raises KeyError for a chunk that no known page lists."""
        return self.ref(part).packed_bytes

    def ref(self, part: int) -> ChunkRef | PageRef:
        """Where a known part lies; raises KeyError as `length` does."""
        if not is_page(part):
            return self.table[part]
        number = page_id(part)
        if not 1 <= number <= len(self._pages):
            raise KeyError(part)
        return self._pages[number - 1]

    def _enter(self, rows: Iterable[ChunkRef]) -> set[int]:
        touched = set()
        for row in rows:
            number = self._unit_for(row)
            unit = self.units[number]
            unit.chunks.append(row.id)
            unit.chunks.sort()
            unit.gain += row.gain
            self.unit_of[row.id] = number
            touched.add(number)
        for number in sorted(touched):
            self._link(number)
        return touched

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
        """Hang a new unit under what it needs, and under it what hung higher for want of it."""
        unit = self.units[number]
        if unit.linked:
            return
        unit.linked = True
        unit.needs = self._needs(unit)
        siblings = self.roots if unit.needs is None else self.units[unit.needs].unlocks
        below = {other for other in siblings if self._needs(self.units[other]) == number}
        for other in below:
            siblings.discard(other)
            self.units[other].needs = number
        unit.unlocks |= below
        siblings.add(number)

    def _needs(self, unit: Unit) -> int | None:
        if unit.kind is ChunkKind.BASIS:
            return None
        if unit.kind is not ChunkKind.LEAF:
            return self._numbers.get((ChunkKind.LEAF, unit.layer, unit.tile))
        layers = self.facts.layers
        for layer in range(unit.layer - 1, -1, -1):
            shift = layers[unit.layer].tile_level - layers[layer].tile_level
            ancestor = self._numbers.get((ChunkKind.LEAF, layer, unit.tile >> shift))
            if ancestor is not None:
                return ancestor
        return None
