"""Chooses the next part by gain per byte and by what the view shows of it.

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

from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.wire.bits import Bits
from exgs.wire.events import View
from exgs.wire.parts import HaveSet, is_page, page_part
from exgs.wire.plan import PartPlan
from exgs.wire.progress import Progress
from exgs.wire.ranking import Rank, Ranked, Ranking
from exgs.wire.scores import densities_of, scores_of, share_of_coverage
from exgs.wire.sight import Sight
from exgs.wire.sketch import Sketch
from exgs.wire.visibility import Numbers, box_weights

ENDLESS_BYTES = 1 << 62  # larger than any file: no limit

_PAGE_PROSPECT = 4.0  # assumed ratio of the best to the mean density of an unknown page
_FEW_PLACES = 32  # of the file order that are checked one by one


@dataclass(frozen=True, slots=True)
class Slice:
    """The bytes to send or to fetch next."""

    part: int
    offset: int  # in the part
    length: int
    file_offset: int
    view_serial: int  # the view that it was chosen for; 0: none


class Scheduler:
    """The missing parts of one client, and their order."""

    def __init__(self, plan: PartPlan, have: HaveSet | None = None) -> None:
        self.plan = plan
        self.view: View | None = None
        self._progress = Progress(plan, have)
        self._cancelled: Bits | None = None  # chunks
        self._cancelled_count = 0
        self._in_view: npt.NDArray[np.bool_] | None = None  # [U] in view; None: unknown
        self._in_view_missing = 0  # missing bytes of the units in view
        self._next_in_file = 0  # all places before it in file order are sent or cancelled
        self._ranking: Ranking | None = None
        self._page_heap: list[Ranked] | None = None  # of unknown pages
        self._seen: Sight | None = None  # of the view, as far as pages are known

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
        offset = self._progress.begun.get(part, 0)
        return Slice(
            part=part,
            offset=offset,
            length=min(max_bytes, self.plan.length(part) - offset),
            file_offset=self.plan.offset(part) + offset,
            view_serial=self.view.serial if self.view else 0,
        )

    def record(self, piece: Slice) -> None:
        """Record that these bytes have been sent or requested."""
        self.mark(piece.part, piece.offset + piece.length)

    @property
    def missing_bytes(self) -> int:
        """Bytes of the file that have not been sent."""
        return self._progress.missing_bytes

    @property
    def in_view_missing_bytes(self) -> int:
        """Missing bytes of units in the view; 0 means ready. Without a view, all missing bytes."""
        if self.view is None:
            return self.missing_bytes
        if self._in_view is None:
            self._in_view = self.plan.units_in_view(self.view.camera)
            self._in_view_missing = int(self._progress.missing_by_unit()[self._in_view].sum())
        return self._in_view_missing

    # Public: what changes the order

    def set_view(self, view: View | None) -> None:
        """Set the view that following parts are chosen for."""
        self.view = view
        self._ranking = None
        self._page_heap = None
        self._in_view = None
        self._seen = None

    def set_sketch(self, sketch: Sketch) -> None:
        """Set the sketch of layer 0 once it is here. For plans that no other session shares."""
        self.plan.screen.sketch = sketch
        self._ranking = None
        self._page_heap = None
        self._seen = None

    def mark(self, part: int, sent_bytes: int) -> None:
        """Set how many bytes of a part have been sent. A failure may reduce the number."""
        if is_page(part):
            self._progress.mark(part, sent_bytes)
            if not self._progress.is_whole(part):
                self._page_heap = None
            return
        unit = self.plan.unit(part)
        if self._ranking is not None:
            self._ranking.before_change(unit)
        change = self._progress.mark(part, sent_bytes)
        if not self.is_whole(part):
            self._next_in_file = min(self._next_in_file, self.plan.place_of(part))
        elif self.is_cancelled(part):
            self._ranking = None  # the unit may come again
        if self._in_view is not None and self._in_view[unit]:
            self._in_view_missing -= change
        self._settle(unit)

    def cancel(self, parts: Iterable[int]) -> None:
        """Hold back these chunks, and the units that need them, until they are wanted."""
        for part in parts:
            if self._cancelled is None:
                self._cancelled = Bits(self.plan.chunk_count)
            self._cancelled_count += part not in self._cancelled
            self._cancelled.add(part)
        self._ranking = None

    def want(self, parts: Iterable[int], *, again: bool = False) -> None:
        """Revoke cancels. With `again`, the chunks are sent again from their first byte."""
        for part in parts:
            if self._cancelled is not None:
                self._cancelled_count -= part in self._cancelled
                self._cancelled.discard(part)
            self._next_in_file = min(self._next_in_file, self.plan.place_of(part))
            if again:
                self.mark(part, 0)
        self._ranking = None

    def add_page(self, page: PageRef, rows: Sequence[ChunkRef]) -> None:
        """Add a page to the plan. For plans that no other session shares."""
        for number in self.plan.add_page(page, rows).tolist():
            self._progress.count(number)
            self._settle(number)
        self._ranking = None
        self._in_view = None
        self._seen = None
        if self.plan.screen.sketch is not None:  # more of its tiles may be known
            self._page_heap = None

    # Public: what has been sent

    def is_whole(self, part: int) -> bool:
        """Whether all bytes of a part have been sent."""
        return self._progress.is_whole(part)

    def sent_bytes(self, part: int) -> int:
        """How many bytes of a part have been sent."""
        return self._progress.sent_bytes(part)

    def is_cancelled(self, part: int) -> bool:
        """Whether a part is cancelled."""
        return self._cancelled is not None and not is_page(part) and part in self._cancelled

    # Private: order

    def _sight(self, view: View) -> Sight:
        if self._seen is None:
            self._seen = self.plan.sight(view.camera)
        return self._seen

    def _settle(self, unit: int) -> None:
        """Update which units are open after bytes of a unit have been sent."""
        progress = self._progress
        was_open = unit in progress.open_units
        if progress.is_done(unit):
            progress.open_units.discard(unit)
            if was_open or progress.needs_are_met(unit):
                opened = progress.open(self.plan.unlocks(unit))
                if self._ranking is not None:
                    self._ranking.add(opened)
        elif not was_open:
            progress.close(self.plan.unlocks(unit))
            if progress.needs_are_met(unit):
                progress.open_units.add(unit)
                self._ranking = None

    def _next_in_file_order(self) -> int | None:
        while (place := self._next_in_file) < self.plan.chunk_count:
            chunk = self.plan.chunk_at(place)
            # The pages of a group come before its chunks. One that is on its way but not in the
            # plan yet has to be waited for.
            if chunk is None:
                return self._first_page(self._parts_of_group(place))
            if not self.is_whole(chunk) and not self.is_cancelled(chunk):
                page = self._first_page(self._parts_of_group(place))
                return page if page is not None else chunk
            self._next_in_file = self._next_wanted(place + 1)
        return None

    def _next_wanted(self, place: int) -> int:
        """The next place, from `place` on, of a wanted or unknown chunk."""
        end = self.plan.chunk_count
        for _ in range(min(_FEW_PLACES, end - place)):
            chunk = self.plan.chunk_at(place)
            if chunk is None or not (self.is_whole(chunk) or self.is_cancelled(chunk)):
                return place
            place += 1
        if place < end:
            following = self.plan.chunks_from(place)
            is_passed = self._progress.whole_flags()
            if self._cancelled is not None:
                is_passed |= self._cancelled.flags()
            place += int(np.argmin(np.append(is_passed[following], 0)))
        return place

    def _parts_of_group(self, place: int) -> Iterable[int]:
        return (page_part(page.id) for page in self.plan.group_pages(place))

    def _first_page(self, parts: Iterable[int]) -> int | None:
        """The first of these pages that has not been sent."""
        return next((part for part in parts if not self.is_whole(part)), None)

    def _next_in_view(self) -> int | None:
        if self.view is None:
            return None
        if self._ranking is None:
            self._ranking = Ranking(
                self.plan, self._sight(self.view), self._progress, self._units_held_back()
            )
        page = self._unknown_page()
        while (best := self._ranking.best()) is not None:
            *rank, unit = best
            chunk = self._first_missing(unit) if unit in self._progress.open_units else None
            if chunk is None or not self._can_go(chunk):
                self._ranking.pop()
                continue
            if page is not None and page[0] < tuple(rank):
                break
            return self._with_basis(chunk)
        return page[1] if page is not None else None

    def _units_held_back(self) -> Numbers | None:
        """Units with a chunk that is missing and cancelled."""
        if self._cancelled is None:
            return None
        chunks = np.flatnonzero(self._cancelled.flags() & ~self._progress.whole_flags())
        units = self.plan.units_by_chunk[chunks]
        return np.unique(units[units >= 0]).astype(np.int64)

    def _first_missing(self, unit: int) -> int | None:
        return self._progress.first_missing(unit, self._cancelled or ())

    def _can_go(self, chunk: int) -> bool:
        """Whether the BASIS that an SH needs has been sent or can be sent before it."""
        if not self.plan.is_sh(chunk):
            return True
        basis = self.plan.basis
        if basis is None:
            return False
        return self._progress.is_done(basis) or self._first_missing(basis) is not None

    def _with_basis(self, chunk: int) -> int:
        basis = self.plan.basis
        if self.plan.is_sh(chunk) and basis is not None:
            first = self._first_missing(basis)
            if first is not None:
                return self._page_first(first)
        return self._page_first(chunk)

    def _page_first(self, chunk: int) -> int:
        page = self.plan.page_of(chunk)
        if page is not None and not self.is_whole(page_part(page.id)):
            return page_part(page.id)
        return chunk

    # Private: unknown pages, for a client that chooses itself

    def _unknown_page(self) -> tuple[Rank, int] | None:
        """The unknown page with the best rank, and its rank.

        Earlier pages that may list units that its cells need come first.
        """
        if self.view is None or self.plan.table.complete:
            return None
        if self._page_heap is None:
            self._page_heap = self._ranked_pages()
            heapq.heapify(self._page_heap)
        while self._page_heap:
            score, first_chunk, number = self._page_heap[0]
            part = self._first_page(self.plan.pages_to(self.plan.pages[number - 1]))
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
        size = np.array([page.chunk_bytes for page in pages], np.int64)
        level = self.plan.facts.tile_level
        levels = np.array([page.region.level for page in pages])
        tiles = np.array([page.region.tile for page in pages])
        share = np.array([share_of_coverage(level - some) for some in levels.tolist()])
        weights = box_weights(low, high, self.view.camera)
        places = self.plan.screen.places(levels, tiles)
        weight = self._sight(self.view).weights(places, weights.coverage, share)
        around = weights.around * share
        density = densities_of(gain, size)
        scores = scores_of(density, weight * _PAGE_PROSPECT, around * _PAGE_PROSPECT)
        return [
            (score, page.first_chunk, page.id)
            for score, page in zip(scores.tolist(), pages, strict=True)
        ]

    def _page_left(self) -> int | None:
        """A page that no wanted chunk needs."""
        if len(self._progress.whole_pages) == len(self.plan.pages) or self._cancelled_count:
            return None
        return self._first_page(page_part(page.id) for page in self.plan.pages)
