"""Which part comes next: by gain per byte and by how much of the view its tile fills.

Without a view the parts go in file order. With one, units whose needs are met compete; those out
of view come last, nearest first. A page of the chunk table goes right before the first chunk that
it lists, the BASIS before the first SH.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.wire.events import View
from exgs.wire.parts import HaveSet, is_page, page_part, part_name
from exgs.wire.plan import PartPlan, Unit
from exgs.wire.visibility import TileWeights, tile_weights

ENDLESS_BYTES = 1 << 62  # more than any file has: no limit

_SMALLEST_GAIN = 1e-12  # what is worth nothing comes last, but comes
_LEAST_SCORE = 1e-300
_PAGE_PROSPECT_ROWS = 16  # rows before an unknown page that tell what it may hold

Rank = tuple[float, int]  # minus score in view, its inverse around it: least first; chunk id


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes to send or to fetch next."""

    part: int
    offset: int  # in the part
    length: int
    file_offset: int
    view_serial: int  # the view that it was chosen for, 0 = none


class Scheduler:
    """What one client still lacks of one file, and in which order it should come."""

    def __init__(self, plan: PartPlan, have: HaveSet | None = None) -> None:
        self.plan = plan
        self.view: View | None = None
        self.missing_bytes = plan.head.root.file_bytes - plan.head.header.root_end
        self._whole_chunks = bytearray(plan.chunk_count)
        self._whole_pages: set[int] = set()
        self._begun: dict[int, int] = {}  # part -> bytes of it that have gone
        self._cancelled: set[int] = set()
        self._next_in_file = 0  # chunks below it have gone or are cancelled
        self._frontier = bytearray(len(plan.units))  # whether a unit may come now
        self._weights: _Weights | None = None
        self._heap: list[tuple[float, int, int]] | None = None  # rank and unit
        if have is not None:
            for chunk in have.chunks:
                self._mark(chunk, plan.length(chunk))
            for page in have.pages:
                self._mark(page_part(page), plan.length(page_part(page)))
            for part, offset in have.partial.items():
                self._mark(part, offset)
        self._open(plan.roots)

    # Public: what comes next

    def next(self, max_bytes: int) -> Slice | None:
        """The bytes to send now, at most `max_bytes`; None when nothing that is wanted is left.

        It changes nothing that can be seen: call `record` once the bytes are on their way.
        """
        part = self._next_in_file_order() if self.view is None else self._next_in_view()
        if part is None:
            part = self._page_left()
        if part is None:
            return None
        ref = self.plan.ref(part)
        offset = self._begun.get(part, 0)
        return Slice(
            part=part,
            offset=offset,
            length=min(max_bytes, ref.packed_bytes - offset),
            file_offset=ref.offset + offset,
            view_serial=self.view.serial if self.view else 0,
        )

    def record(self, piece: Slice) -> None:
        """Note that these bytes have been sent or are being fetched."""
        self.mark(piece.part, piece.offset + piece.length)

    @property
    def in_view_missing_bytes(self) -> int:
        """Bytes to come for tiles in the view: at 0 the scene is ready for it; all without one."""
        if self._weights is None:
            return self.missing_bytes
        return sum(
            self.plan.length(chunk) - self._begun.get(chunk, 0)
            for unit in self.plan.units
            if unit.kind is ChunkKind.BASIS or self._weigh(unit)[0] > 0
            for chunk in unit.chunks
            if not self._whole_chunks[chunk]
        )

    # Public: what changes the order

    def set_view(self, view: View | None) -> None:
        """Look from here from now on."""
        self.view = view
        self._weights = None
        if view is not None:
            self._weights = _sum_up(tile_weights(self.plan.facts.tile_bounds, view.camera))
        self._heap = None

    def mark(self, part: int, sent_bytes: int) -> None:
        """Set how many bytes of a part have gone: more as it is sent, fewer after a failure."""
        self._mark(part, sent_bytes)
        if not is_page(part):
            self._settle(self.plan.unit_of[part])

    def cancel(self, parts: Iterable[int]) -> None:
        """Leave these chunks out, and what needs them, until they are wanted."""
        self._cancelled.update(parts)
        self._heap = None

    def want(self, parts: Iterable[int], *, again: bool = False) -> None:
        """Take cancels back; with `again` the chunks start anew from their first byte."""
        for part in parts:
            self._cancelled.discard(part)
            self._next_in_file = min(self._next_in_file, part)
            if again:
                self.mark(part, 0)
        self._heap = None

    def add_page(self, page: PageRef, rows: tuple[ChunkRef, ...]) -> None:
        """Enter a page of the chunk table into the plan, where no other session shares it."""
        touched = self.plan.add_page(page, rows)
        self._frontier.extend(bytes(len(self.plan.units) - len(self._frontier)))
        for number in sorted(touched):
            self._settle(number)
        self._heap = None

    # Public: what has gone

    def is_whole(self, part: int) -> bool:
        """Whether all bytes of a part have gone."""
        return part in self._whole_pages if is_page(part) else bool(self._whole_chunks[part])

    def sent_bytes(self, part: int) -> int:
        """How many bytes of a part have gone."""
        return self.plan.length(part) if self.is_whole(part) else self._begun.get(part, 0)

    def is_cancelled(self, part: int) -> bool:
        """Whether a part is left out for now."""
        return part in self._cancelled

    # Private: what has gone

    def _mark(self, part: int, sent_bytes: int) -> None:
        length = self.plan.length(part)
        if not 0 <= sent_bytes <= length:
            raise ValueError(f"{part_name(part)} has {length} bytes, not {sent_bytes}")
        self.missing_bytes += self.sent_bytes(part) - sent_bytes
        self._begun.pop(part, None)
        whole = sent_bytes == length
        if not whole and sent_bytes:
            self._begun[part] = sent_bytes
        if not is_page(part):
            self._whole_chunks[part] = whole
            if not whole:
                self._next_in_file = min(self._next_in_file, part)
        elif whole:
            self._whole_pages.add(part)
        else:
            self._whole_pages.discard(part)

    def _is_done(self, unit: Unit) -> bool:
        return all(self._whole_chunks[chunk] for chunk in unit.chunks)

    def _settle(self, number: int) -> None:
        """Bring the frontier up to date with what has gone of a unit."""
        unit = self.plan.units[number]
        if self._is_done(unit):
            self._frontier[number] = False
            if self._is_open(unit):
                self._open(unit.unlocks)
            return
        self._close(unit.unlocks)
        if not self._frontier[number] and self._is_open(unit):
            self._frontier[number] = True
            self._heap = None

    def _is_open(self, unit: Unit) -> bool:
        while unit.needs is not None:
            unit = self.plan.units[unit.needs]
            if not self._is_done(unit):
                return False
        return True

    def _open(self, numbers: Iterable[int]) -> None:
        """Let these units come, and what the ones that have gone already unlock."""
        pending = list(numbers)
        while pending:
            number = pending.pop()
            unit = self.plan.units[number]
            if self._is_done(unit):
                pending += unit.unlocks
            elif not self._frontier[number]:
                self._frontier[number] = True
                if self._heap is not None:
                    heapq.heappush(self._heap, (*self._rank(unit), number))

    def _close(self, numbers: Iterable[int]) -> None:
        """Hold these units back, and all that needs them."""
        pending = list(numbers)
        while pending:
            number = pending.pop()
            if self._frontier[number]:
                self._frontier[number] = False
            elif self._is_done(self.plan.units[number]):
                pending += self.plan.units[number].unlocks

    # Private: order

    def _next_in_file_order(self) -> int | None:
        for chunk in range(self._next_in_file, self.plan.chunk_count):
            if not self._whole_chunks[chunk] and chunk not in self._cancelled:
                self._next_in_file = chunk
                part = self._page_first(chunk)
                # A page that is on its way but not in the plan yet has to be waited for.
                return part if is_page(part) or part in self.plan.unit_of else None
        self._next_in_file = self.plan.chunk_count
        return None

    def _next_in_view(self) -> int | None:
        if self._heap is None:
            self._heap = [
                (*self._rank(unit), number)
                for number, unit in enumerate(self.plan.units)
                if self._frontier[number]
            ]
            heapq.heapify(self._heap)
        page = self._unknown_page()
        while self._heap:
            *rank, number = self._heap[0]
            chunk = self._first_missing(number) if self._frontier[number] else None
            if chunk is None:
                heapq.heappop(self._heap)
                continue
            if page is not None and page[0] < tuple(rank):
                break
            return self._with_basis(chunk)
        return page[1] if page is not None else None

    def _with_basis(self, chunk: int) -> int:
        basis = self.plan.basis
        if self.plan.table[chunk].kind is ChunkKind.SH and basis is not None:
            first = self._first_missing(basis)
            if first is not None:
                return self._page_first(first)
        return self._page_first(chunk)

    def _page_first(self, chunk: int) -> int:
        page = self.plan.page_of(chunk)
        if page is not None and page_part(page.id) not in self._whole_pages:
            return page_part(page.id)
        return chunk

    def _first_missing(self, number: int) -> int | None:
        """The chunk of a unit to send next: one that is begun, else the first missing one.

        None where nothing is missing, or where what is missing was cancelled.
        """
        chunks = self.plan.units[number].chunks
        missing = [chunk for chunk in chunks if not self._whole_chunks[chunk]]
        if not missing or not self._cancelled.isdisjoint(missing):
            return None
        return next((chunk for chunk in missing if chunk in self._begun), missing[0])

    def _rank(self, unit: Unit) -> Rank:
        missing_bytes = sum(
            self.plan.length(chunk) - self._begun.get(chunk, 0)
            for chunk in unit.chunks
            if not self._whole_chunks[chunk]
        )
        density = max(unit.gain, _SMALLEST_GAIN) / max(missing_bytes, 1)
        coverage, around = self._weigh(unit)
        return self._rank_of(density, coverage, around, unit.chunks[0])

    @staticmethod
    def _rank_of(density: float, coverage: float, around: float, chunk: int) -> Rank:
        if coverage > 0:
            return -density * coverage, chunk
        return 1 / max(density * around, _LEAST_SCORE), chunk

    def _weigh(self, unit: Unit) -> tuple[float, float]:
        """Coverage and solid angle of a unit's tile: the mean over its finest tiles."""
        if self._weights is None:
            return 1.0, 1.0
        if unit.kind is ChunkKind.BASIS:  # SH calls for it; on its own it shows nothing
            return 0.0, 1.0
        tiles = self.plan.facts.fine_tiles(unit.layer, unit.tile)
        return self._weights.mean(tiles.start, tiles.stop)

    # Private: pages that are not known, for a client on its own

    def _unknown_page(self) -> tuple[Rank, int] | None:
        """The first page that is not known, ranked by the best that it may hold."""
        if self._weights is None or self.plan.table.complete:
            return None
        missing = self.plan.table.missing_pages
        page = next((p for p in missing if page_part(p.id) not in self._whole_pages), None)
        if page is None:
            return None
        rows = range(max(page.first_chunk - _PAGE_PROSPECT_ROWS, 0), page.first_chunk)
        refs = [self.plan.table[row] for row in rows if row in self.plan.table]
        gain, size = sum(ref.gain for ref in refs), sum(ref.packed_bytes for ref in refs)
        density = max(gain, _SMALLEST_GAIN) / max(size, 1)
        return (
            self._rank_of(density, self._weights.most_coverage, 1.0, page.first_chunk),
            page_part(page.id),
        )

    def _page_left(self) -> int | None:
        """A page that no chunk has called for."""
        if len(self._whole_pages) == len(self.plan.pages) or self._cancelled:
            return None
        parts = (page_part(page.id) for page in self.plan.pages)
        return next((part for part in parts if part not in self._whole_pages), None)


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """Sums of tile weights up to each tile: any mean is a difference, and nothing is cached."""

    coverage: npt.NDArray[np.float64]  # [T + 1]
    around: npt.NDArray[np.float64]  # [T + 1]
    most_coverage: float

    def mean(self, start: int, stop: int) -> tuple[float, float]:
        """Of coverage, exactly 0 where all are, and of solid angle."""
        count = stop - start
        coverage = (self.coverage[stop] - self.coverage[start]) / count
        return float(coverage), float((self.around[stop] - self.around[start]) / count)


def _sum_up(weights: TileWeights) -> _Weights:
    coverage, around = (
        np.concatenate([[0.0], np.cumsum(values)]) for values in (weights.coverage, weights.around)
    )
    return _Weights(coverage, around, float(weights.coverage.max()))
