"""Whether all that a view sees is here.

What a view sees is judged by the boxes of cells and pages, as the schedule judges it (protocol.md,
section 10). The boxes are looked at once for each view, and those of the cells only when every page
that the view sees is known; what comes is counted.
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
    """Follows what of one file is here, for the newest view; without one, everything counts."""

    def __init__(self) -> None:
        self._here: set[int] = set()  # chunks
        self._plan: PartPlan | None = None
        self._camera: Camera | None = None
        self._missing_of: list[int] = []  # chunks of each unit that are not here
        self._counted = 0  # chunks of the plan that `_missing_of` knows
        self._seen_pages: npt.NDArray[np.bool_] | None = None  # of all; None: not looked at yet
        self._unknown_seen: set[int] = set()  # pages that the view sees and whose rows are unknown
        self._in_view: npt.NDArray[np.bool_] | None = None  # units; those behind are out of view
        self._missing = 0  # chunks in view that are not here

    def follow(self, plan: PartPlan) -> None:
        """This is what is known of the file from now on; it may grow."""
        self._plan = plan
        self._missing_of, self._counted = [], 0
        self._forget()

    def look(self, camera: Camera) -> None:
        """Judge for this view from now on."""
        self._camera = camera
        self._forget()

    def page_known(self, page: int) -> None:
        """The plan has got the rows of this page."""
        self._unknown_seen.discard(page)
        if self._camera is None:
            self._in_view = None

    def arrived(self, chunk: int) -> None:
        """A chunk is here."""
        if chunk not in self._here:
            self._count(chunk, -1)
            self._here.add(chunk)

    def dropped(self, chunks: Iterable[int]) -> None:
        """These chunks are not here any more."""
        for chunk in chunks:
            if chunk in self._here:
                self._count(chunk, 1)
                self._here.discard(chunk)

    @property
    def is_ready(self) -> bool:
        """Whether all that the view sees is here."""
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
        """Count the chunks that the plan has learnt of since the last time."""
        if self._counted == len(plan.unit_of):
            return
        self._missing_of += [0] * (len(plan.units) - len(self._missing_of))
        for chunk, unit in islice(plan.unit_of.items(), self._counted, None):
            self._missing_of[unit] += chunk not in self._here
        self._counted = len(plan.unit_of)

    def _count(self, chunk: int, change: int) -> None:
        """A chunk comes or goes."""
        if self._plan is None:
            return
        self._learn(self._plan)
        unit = self._plan.unit_of[chunk]
        self._missing_of[unit] += change
        if self._in_view is not None and unit < len(self._in_view) and self._in_view[unit]:
            self._missing += change

    def _look_at_pages(self, plan: PartPlan) -> npt.NDArray[np.bool_]:
        """Which pages the view sees, by their ids; number 0 stands for the root, which is seen."""
        seen = np.ones(len(plan.pages) + 1, bool)
        if self._camera is not None and plan.pages:
            low = np.array([page.box.low for page in plan.pages], np.float64)
            high = np.array([page.box.high for page in plan.pages], np.float64)
            seen[1:] = box_weights(low, high, self._camera).coverage > 0
        return seen

    def _look_at_units(
        self, plan: PartPlan, seen_pages: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Which units the view sees: only those of pages that it sees are looked at."""
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
