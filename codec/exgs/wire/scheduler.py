"""Chooses the next part by gain per byte and by coverage of the view.

Without a view, parts are sent in file order. With a view, units compete whose needed units are
complete; units out of view come last, nearest first. A page is sent before the first chunk that it
lists, the BASIS before the first SH. spec/protocol.md, section 10, specifies the order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.scene.camera import Camera
from exgs.wire.events import View
from exgs.wire.parts import HaveSet, is_page, page_part, part_name
from exgs.wire.plan import PartPlan, Unit, UnitArrays, share_of_coverage
from exgs.wire.visibility import box_weights

ENDLESS_BYTES = 1 << 62  # no limit: larger than any file

_SMALLEST_GAIN = 1e-12  # so that chunks without gain come last
_LEAST_SCORE = 1e-300
_PAGE_PROSPECT = 4.0  # assumed ratio of the best to the mean density of an unknown page

Doubles = npt.NDArray[np.float64]
Rank = tuple[float, int]  # negative score in view, inverse score out of view; then the chunk id
Ranked = tuple[float, int, int]  # rank, and its unit or page


@dataclass(frozen=True, slots=True)
class Slice:
    """The bytes to send or to fetch next."""

    part: int
    offset: int  # in the part
    length: int
    file_offset: int
    view_serial: int  # the view that it was chosen for; 0: none


class Scheduler:
    """The parts of one file that one client lacks, and their order."""

    def __init__(self, plan: PartPlan, have: HaveSet | None = None) -> None:
        self.plan = plan
        self.view: View | None = None
        self.missing_bytes = plan.head.root.file_bytes - plan.head.header.poster_end
        self._whole_chunks = bytearray(plan.chunk_count)
        self._whole_pages: set[int] = set()
        self._begun: dict[int, int] = {}  # part -> bytes that have been sent
        self._cancelled: set[int] = set()
        self._in_view: npt.NDArray[np.bool_] | None = None  # [U] in view; None: unknown
        self._in_view_missing = 0  # missing bytes of the units in view
        self._next_in_file = 0  # all places before it in file order are sent or cancelled
        self._frontier = bytearray(len(plan.units))  # whether a unit may be sent now
        self._unit_sent: dict[int, int] = {}  # unit -> bytes that have been sent, if any
        self._heap: list[Ranked] | None = None  # of units
        self._page_heap: list[Ranked] | None = None  # of unknown pages
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
        """The bytes to send now, at most `max_bytes`; None if no wanted part is left.

        Call `record` when the bytes are sent; this function does not change the order.
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
        """Record that these bytes have been sent or are being fetched."""
        self.mark(piece.part, piece.offset + piece.length)

    @property
    def in_view_missing_bytes(self) -> int:
        """Missing bytes of units in the view; 0 means ready. Without a view, all missing bytes."""
        if self.view is None:
            return self.missing_bytes
        if self._in_view is None:
            arrays = self.plan.arrays
            coverage = box_weights(arrays.low, arrays.high, self.view.camera).coverage
            self._in_view = arrays.is_basis | (coverage > 0)
            gone = np.zeros(len(self.plan.units), np.int64)
            for unit, sent in self._unit_sent.items():
                gone[unit] = sent
            self._in_view_missing = int((arrays.packed_bytes - gone)[self._in_view].sum())
        return self._in_view_missing

    # Public: what changes the order

    def set_view(self, view: View | None) -> None:
        """Set the view that following parts are chosen for."""
        self.view = view
        self._forget_ranks()

    def mark(self, part: int, sent_bytes: int) -> None:
        """Set how many bytes of a part have been sent. A failure may reduce the number."""
        self._mark(part, sent_bytes)
        if not is_page(part):
            self._settle(self.plan.unit_of[part])

    def cancel(self, parts: Iterable[int]) -> None:
        """Hold back these chunks, and the units that need them, until they are wanted."""
        self._cancelled.update(parts)
        self._heap = None

    def want(self, parts: Iterable[int], *, again: bool = False) -> None:
        """Revoke cancels. With `again`, the chunks are sent again from their first byte."""
        for part in parts:
            self._cancelled.discard(part)
            self._next_in_file = min(self._next_in_file, self.plan.place_of(part))
            if again:
                self.mark(part, 0)
        self._heap = None

    def add_page(self, page: PageRef, rows: tuple[ChunkRef, ...]) -> None:
        """Add a page to the plan. For plans that no other session shares."""
        touched = self.plan.add_page(page, rows)
        self._frontier.extend(bytes(len(self.plan.units) - len(self._frontier)))
        for number in sorted(touched):
            sent = sum(self.sent_bytes(chunk) for chunk in self.plan.units[number].chunks)
            if sent:
                self._unit_sent[number] = sent
            self._settle(number)
        self._forget_ranks()

    # Public: what has gone

    def is_whole(self, part: int) -> bool:
        """Whether all bytes of a part have been sent."""
        return part in self._whole_pages if is_page(part) else bool(self._whole_chunks[part])

    def sent_bytes(self, part: int) -> int:
        """How many bytes of a part have been sent."""
        return self.plan.length(part) if self.is_whole(part) else self._begun.get(part, 0)

    def is_cancelled(self, part: int) -> bool:
        """Whether a part is cancelled."""
        return part in self._cancelled

    # Private: what has gone

    def _mark(self, part: int, sent_bytes: int) -> None:
        length = self.plan.length(part)
        if not 0 <= sent_bytes <= length:
            raise ValueError(f"{part_name(part)} has {length} bytes, not {sent_bytes}")
        change = sent_bytes - self.sent_bytes(part)
        self.missing_bytes -= change
        self._begun.pop(part, None)
        whole = sent_bytes == length
        if not whole and sent_bytes:
            self._begun[part] = sent_bytes
        if not is_page(part):
            self._whole_chunks[part] = whole
            if not whole:
                self._next_in_file = min(self._next_in_file, self.plan.place_of(part))
            unit = self.plan.unit_of.get(part)
            if unit is not None:
                self._count(unit, change)
        elif whole:
            self._whole_pages.add(part)
        else:
            self._whole_pages.discard(part)

    def _count(self, unit: int, sent_bytes: int) -> None:
        """Record that `added` more bytes of a unit have been sent."""
        sent = self._unit_sent.pop(unit, 0) + sent_bytes
        if sent:
            self._unit_sent[unit] = sent
        if self._in_view is not None and self._in_view[unit]:
            self._in_view_missing -= sent_bytes

    def _is_done(self, unit: Unit) -> bool:
        return all(self._whole_chunks[chunk] for chunk in unit.chunks)

    def _settle(self, number: int) -> None:
        """Update the frontier after bytes of a unit have been sent."""
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
        return unit.linked

    def _open(self, numbers: Iterable[int]) -> None:
        """Open these units, and the units that complete ones among them unlock."""
        pending = list(numbers)
        opened = []
        while pending:
            number = pending.pop()
            unit = self.plan.units[number]
            if self._is_done(unit):
                pending += unit.unlocks
            elif not self._frontier[number]:
                self._frontier[number] = True
                opened.append(number)
        if self._heap is not None:
            for entry in self._ranked(opened):
                heapq.heappush(self._heap, entry)

    def _close(self, numbers: Iterable[int]) -> None:
        """Close these units and all units that need them."""
        pending = list(numbers)
        while pending:
            number = pending.pop()
            if self._frontier[number]:
                self._frontier[number] = False
            elif self._is_done(self.plan.units[number]):
                pending += self.plan.units[number].unlocks

    # Private: order

    def _next_in_file_order(self) -> int | None:
        for place in range(self._next_in_file, self.plan.chunk_count):
            chunk = self.plan.chunk_at(place)
            if chunk is None:
                # The pages of a group come before its chunks. One that is on its way but not in
                # the plan yet has to be waited for.
                self._next_in_file = place
                return self._first_page(self.plan.group_pages(place))
            if not self._whole_chunks[chunk] and chunk not in self._cancelled:
                self._next_in_file = place
                page = self._first_page(self.plan.group_pages(place))
                return page if page is not None else chunk
        self._next_in_file = self.plan.chunk_count
        return None

    def _first_page(self, pages: Iterable[PageRef]) -> int | None:
        """The first of these pages that has not been sent, as a part."""
        parts = (page_part(page.id) for page in pages)
        return next((part for part in parts if part not in self._whole_pages), None)

    def _next_in_view(self) -> int | None:
        if self._heap is None:
            self._heap = self._ranked(np.flatnonzero(np.frombuffer(self._frontier, np.uint8)))
            heapq.heapify(self._heap)
        page = self._unknown_page()
        while self._heap:
            *rank, number = self._heap[0]
            chunk = self._first_missing(number) if self._frontier[number] else None
            if chunk is None or not self._can_go(chunk):
                heapq.heappop(self._heap)
                continue
            if page is not None and page[0] < tuple(rank):
                break
            return self._with_basis(chunk)
        return page[1] if page is not None else None

    def _can_go(self, chunk: int) -> bool:
        """Whether the BASIS that an SH needs has been sent or can be sent before it."""
        basis = self.plan.basis
        if self.plan.table[chunk].kind is not ChunkKind.SH:
            return True
        if basis is None:
            return False
        unit = self.plan.units[basis]
        return self._is_done(unit) or self._cancelled.isdisjoint(unit.chunks)

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
        """The chunk of a unit to send next: a partly sent one, else the first missing one.

        None if nothing is missing, or if a missing chunk is cancelled.
        """
        chunks = self.plan.units[number].chunks
        missing = [chunk for chunk in chunks if not self._whole_chunks[chunk]]
        if not missing or not self._cancelled.isdisjoint(missing):
            return None
        return next((chunk for chunk in missing if chunk in self._begun), missing[0])

    def _ranked(self, numbers: Sequence[int] | npt.NDArray[np.integer]) -> list[Ranked]:
        """Rank these units in the view."""
        if self.view is None or not len(numbers):
            return []
        arrays = self.plan.arrays
        units = np.asarray(numbers, np.int64)
        sent = np.array([self._unit_sent.get(int(unit), 0) for unit in units], np.int64)
        scores = unit_scores(arrays, self.view.camera, units, sent)
        chunks = arrays.first_chunk[units]
        return list(zip(scores.tolist(), chunks.tolist(), units.tolist(), strict=True))

    def _forget_ranks(self) -> None:
        self._heap = None
        self._page_heap = None
        self._in_view = None

    # Private: pages that are not known, for a client on its own

    def _unknown_page(self) -> tuple[Rank, int] | None:
        """The unknown page with the best rank, and the rank.

        Earlier pages that may list the units its cells need come first.
        """
        if self.view is None or self.plan.table.complete:
            return None
        if self._page_heap is None:
            self._page_heap = self._ranked_pages()
            heapq.heapify(self._page_heap)
        while self._page_heap:
            score, first_chunk, number = self._page_heap[0]
            wanted = self.plan.pages[number - 1]
            before = self.plan.pages[: number - 1]
            region = wanted.region
            around = (page for page in before if page.region.covers(region.level, region.tile))
            part = self._first_page([*around, wanted])
            if part is not None:
                return (score, first_chunk), part
            heapq.heappop(self._page_heap)
        return None

    def _ranked_pages(self) -> list[Ranked]:
        pages = self.plan.table.missing_pages
        if self.view is None or not pages:
            return []
        low = np.array([page.box.low for page in pages], np.float64)
        high = np.array([page.box.high for page in pages], np.float64)
        gain = np.array([page.gain for page in pages], np.float64)
        size = np.array([page.chunk_bytes for page in pages], np.float64)
        level = self.plan.facts.tile_level
        share = np.array([share_of_coverage(level - page.region.level) for page in pages])
        weights = box_weights(low, high, self.view.camera)
        density = np.maximum(gain, _SMALLEST_GAIN) / np.maximum(size, 1)
        prospect = _PAGE_PROSPECT * share
        scores = _scores(density, weights.coverage * prospect, weights.around * prospect)
        return [
            (score, page.first_chunk, page.id)
            for score, page in zip(scores.tolist(), pages, strict=True)
        ]

    def _page_left(self) -> int | None:
        """A page that no wanted chunk needs."""
        if len(self._whole_pages) == len(self.plan.pages) or self._cancelled:
            return None
        parts = (page_part(page.id) for page in self.plan.pages)
        return next((part for part in parts if part not in self._whole_pages), None)


def unit_scores(
    arrays: UnitArrays,
    camera: Camera,
    units: npt.NDArray[np.int64] | slice = slice(None),
    sent_bytes: npt.NDArray[np.int64] | int = 0,
) -> Doubles:
    """The ranks of these units in this view; the least comes first.

    `sent_bytes` of each unit have been sent. A unit that another one needs comes before it,
    whatever the ranks.
    """
    missing_bytes = np.maximum(arrays.packed_bytes[units] - sent_bytes, 1)
    density = np.maximum(arrays.gain[units], _SMALLEST_GAIN) / missing_bytes
    weights = box_weights(arrays.low[units], arrays.high[units], camera)
    # SH calls for the BASIS; on its own it shows nothing.
    coverage = np.where(arrays.is_basis[units], 0.0, weights.coverage * arrays.share[units])
    around = np.where(arrays.is_basis[units], 1.0, weights.around * arrays.share[units])
    return _scores(density, coverage, around)


def _scores(density: Doubles, coverage: Doubles, around: Doubles) -> Doubles:
    """The first component of ranks. Units in view have negative values, other units positive."""
    in_view = -density * coverage
    out_of_view: Doubles = 1 / np.maximum(density * around, _LEAST_SCORE)
    return np.where(coverage > 0, in_view, out_of_view)
