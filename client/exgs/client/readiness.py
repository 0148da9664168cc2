"""Whether everything in the view has arrived.

The boxes of cells and pages decide what is in view, as in the schedule (protocol.md, section 10).
Boxes are tested once per view, those of cells only when all pages in view are known. After that,
arrivals are counted.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.wire.bits import Bits
from exgs.wire.plan import PartPlan
from exgs.wire.visibility import box_weights


class Readiness:
    """Tracks the arrivals of one file for the newest view. Without a view, everything counts."""

    def __init__(self) -> None:
        self._here: set[int] | Bits = set()  # chunks that have arrived; bits once a plan is known
        self._plan: PartPlan | None = None
        self._camera: Camera | None = None
        self._unknown_seen: set[int] | None = None  # unknown pages in view; None: not computed yet
        self._in_view: npt.NDArray[np.bool_] | None = None  # units in view; later units are not
        self._missing = 0  # missing chunks in view

    def follow(self, plan: PartPlan) -> None:
        """Set the plan of the file, which may grow."""
        self._plan = plan
        if isinstance(self._here, set):
            here = Bits(plan.chunk_count)
            for chunk in self._here:
                here.add(chunk)
            self._here = here
        self._forget()

    def look(self, camera: Camera) -> None:
        """Set the view."""
        self._camera = camera
        self._forget()

    def page_known(self, page: int) -> None:
        """Record that the plan contains the rows of this page."""
        if self._unknown_seen is not None:
            self._unknown_seen.discard(page)
        if self._camera is None:
            self._in_view = None

    def arrived(self, chunk: int) -> None:
        """Record that a chunk has arrived."""
        if chunk not in self._here:
            self._here.add(chunk)
            self._missing -= self._is_in_view(chunk)

    def dropped(self, chunks: Iterable[int]) -> None:
        """Record that these chunks have been dropped."""
        for chunk in chunks:
            if chunk in self._here:
                self._here.discard(chunk)
                self._missing += self._is_in_view(chunk)

    @property
    def is_ready(self) -> bool:
        """Whether everything in the view has arrived."""
        plan = self._plan
        if plan is None:
            return False
        if self._unknown_seen is None:
            self._unknown_seen = self._unknown_pages(plan)
        if self._unknown_seen:
            return False
        if self._in_view is None:
            self._look_at_units(plan)
        return self._missing == 0

    def _forget(self) -> None:
        self._in_view = self._unknown_seen = None

    def _is_in_view(self, chunk: int) -> bool:
        if self._plan is None or self._in_view is None:
            return False
        unit = self._plan.unit(chunk)
        return 0 <= unit < len(self._in_view) and bool(self._in_view[unit])

    def _unknown_pages(self, plan: PartPlan) -> set[int]:
        """The pages in view whose rows are unknown."""
        pages = plan.table.missing_pages
        if self._camera is None or not pages:
            return {page.id for page in pages}
        low = np.array([page.box.low for page in pages], np.float64)
        high = np.array([page.box.high for page in pages], np.float64)
        seen = box_weights(low, high, self._camera).coverage > 0
        return {page.id for page, is_seen in zip(pages, seen, strict=True) if is_seen}

    def _look_at_units(self, plan: PartPlan) -> None:
        """Find the units in view, and count their chunks that are missing."""
        if self._camera is None:
            in_view = np.ones(plan.unit_count, bool)
        else:
            in_view = plan.units_in_view(self._camera)
        units = plan.units_by_chunk
        is_wanted = np.append(in_view, False)[units]  # the last for unknown chunks
        if isinstance(self._here, Bits):
            is_wanted &= self._here.flags() == 0
        self._in_view = in_view
        self._missing = int(np.count_nonzero(is_wanted))
