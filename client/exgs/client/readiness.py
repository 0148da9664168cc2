"""Whether all that a view sees is here.

What a view sees is judged by the boxes of cells and pages, as the schedule judges it (protocol.md,
section 10). The boxes are looked at once for each view, and those of the cells only when every page
that the view sees is known; what comes is counted.
"""

from __future__ import annotations

from collections.abc import Iterable

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
        self._pages_in_view: set[int] | None = None  # that are not known; None: not looked at yet
        self._in_view: npt.NDArray[np.bool_] | None = None  # units; those behind are out of view
        self._missing = 0  # chunks in view that are not here

    def follow(self, plan: PartPlan) -> None:
        """This is what is known of the file from now on; it may grow."""
        self._plan = plan
        self._forget()

    def look(self, camera: Camera) -> None:
        """Judge for this view from now on."""
        self._camera = camera
        self._forget()

    def page_known(self, page: int) -> None:
        """The plan has got the rows of this page."""
        if self._camera is None:
            self._forget()
        elif self._pages_in_view:
            self._pages_in_view.discard(page)

    def arrived(self, chunk: int) -> None:
        """A chunk is here."""
        if chunk not in self._here:
            self._here.add(chunk)
            self._missing -= self._is_in_view(chunk)

    def dropped(self, chunks: Iterable[int]) -> None:
        """These chunks are not here any more."""
        for chunk in chunks:
            if chunk in self._here:
                self._here.discard(chunk)
                self._missing += self._is_in_view(chunk)

    @property
    def is_ready(self) -> bool:
        """Whether all that the view sees is here."""
        plan = self._plan
        if plan is None:
            return False
        if self._pages_in_view is None:
            self._pages_in_view = self._unknown_pages(plan)
        if self._pages_in_view:
            return False
        if self._in_view is None:
            self._in_view = self._units_in_view(plan)
            self._missing = sum(
                chunk not in self._here
                for unit in np.flatnonzero(self._in_view)
                for chunk in plan.units[unit].chunks
            )
        return self._missing == 0

    def _forget(self) -> None:
        self._pages_in_view = self._in_view = None

    def _is_in_view(self, chunk: int) -> bool:
        if self._in_view is None or self._plan is None:
            return False
        unit = self._plan.unit_of[chunk]
        return unit < len(self._in_view) and bool(self._in_view[unit])

    def _unknown_pages(self, plan: PartPlan) -> set[int]:
        pages = plan.table.missing_pages
        if self._camera is None or not pages:
            return {page.id for page in pages}
        low = np.array([page.box.low for page in pages], np.float64)
        high = np.array([page.box.high for page in pages], np.float64)
        seen = box_weights(low, high, self._camera).coverage > 0
        return {page.id for page, is_seen in zip(pages, seen, strict=True) if is_seen}

    def _units_in_view(self, plan: PartPlan) -> npt.NDArray[np.bool_]:
        arrays = plan.arrays
        if self._camera is None:
            return np.ones(len(plan.units), bool)
        seen = box_weights(arrays.low, arrays.high, self._camera).coverage > 0
        return arrays.is_basis | seen
