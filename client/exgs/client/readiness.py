"""Whether everything in the view has arrived.

The boxes of cells and pages decide what is in view, as in the schedule (protocol.md, section 10).
Boxes are tested once per view, those of cells only when all pages in view are known. After that,
arrivals are counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.wire.plan import PartPlan
from exgs.wire.visibility import box_weights


class Readiness:
    """Tracks the arrivals of one file for the newest view. Without a view, everything counts."""

    def __init__(self) -> None:
        self._here: set[int] = set()  # chunks that have arrived
        self._plan: PartPlan | None = None
        self._camera: Camera | None = None
        self._missing_of: list[int] = []  # missing chunks of each unit
        self._counted = 0  # chunks of the plan that `_missing_of` includes
        self._seen_pages: npt.NDArray[np.bool_] | None = None  # in view; None: unknown
        self._unknown_seen: set[int] = set()  # pages in view whose rows are unknown
        self._in_view: npt.NDArray[np.bool_] | None = None  # units in view; later units are not
        self._missing = 0  # missing chunks in view

    def follow(self, plan: PartPlan) -> None:
        """Set the plan of the file, which may grow."""
        self._plan = plan
        self._missing_of, self._counted = [], 0
        self._forget()

    def look(self, camera: Camera) -> None:
        """Set the view."""
        self._camera = camera
        self._forget()

    def page_known(self, page: int) -> None:
        """Record that the plan contains the rows of this page."""
        self._unknown_seen.discard(page)
        if self._camera is None:
            self._in_view = None

    def arrived(self, chunk: int) -> None:
        """Record that a chunk has arrived."""
        if chunk not in self._here:
            self._count(chunk, -1)
            self._here.add(chunk)

    def dropped(self, chunks: Iterable[int]) -> None:
        """Record that these chunks have been dropped."""
        for chunk in chunks:
            if chunk in self._here:
                self._count(chunk, 1)
                self._here.discard(chunk)

    @property
    def is_ready(self) -> bool:
        """Whether everything in the view has arrived."""
        plan = self._plan
        if plan is None:
            return False
        if self._seen_pages is None:
            self._seen_pages = self._look_at_pages(plan)
            unknown = (page.id for page in plan.table.missing_pages)
            self._unknown_seen = {page for page in unknown if self._seen_pages[page]}
        if self._unknown_seen:
            return False
        if self._in_view is None:
            self._learn(plan)
            self._in_view = self._look_at_units(plan, self._seen_pages)
            self._missing = int(np.array(self._missing_of, np.int64)[self._in_view].sum())
        return self._missing == 0

    def _forget(self) -> None:
        self._seen_pages = self._in_view = None
        self._unknown_seen = set()

    def _learn(self, plan: PartPlan) -> None:
        """Count the chunks that the plan has received since the last call."""
        if self._counted == len(plan.unit_of):
            return
        self._missing_of += [0] * (len(plan.units) - len(self._missing_of))
        for chunk, unit in islice(plan.unit_of.items(), self._counted, None):
            self._missing_of[unit] += chunk not in self._here
        self._counted = len(plan.unit_of)

    def _count(self, chunk: int, change: int) -> None:
        """Update the counts for a chunk that arrives or is dropped."""
        if self._plan is None:
            return
        self._learn(self._plan)
        unit = self._plan.unit_of[chunk]
        self._missing_of[unit] += change
        if self._in_view is not None and unit < len(self._in_view) and self._in_view[unit]:
            self._missing += change

    def _look_at_pages(self, plan: PartPlan) -> npt.NDArray[np.bool_]:
        """Which pages are in view, by id. Number 0 is the root, which always is."""
        seen = np.ones(len(plan.pages) + 1, bool)
        if self._camera is not None and plan.pages:
            low = np.array([page.box.low for page in plan.pages], np.float64)
            high = np.array([page.box.high for page in plan.pages], np.float64)
            seen[1:] = box_weights(low, high, self._camera).coverage > 0
        return seen

    def _look_at_units(
        self, plan: PartPlan, seen_pages: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Which units are in view. Only units of pages in view are tested."""
        arrays = plan.arrays
        if self._camera is None:
            return np.ones(len(plan.units), bool)
        starts = np.array([page.first_chunk for page in plan.pages], np.int64)
        page_of = np.searchsorted(starts, arrays.first_chunk, side="right")
        candidates = np.flatnonzero(seen_pages[page_of])
        seen = arrays.is_basis.copy()
        weights = box_weights(arrays.low[candidates], arrays.high[candidates], self._camera)
        seen[candidates] |= weights.coverage > 0
        return seen
