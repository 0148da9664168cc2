"""Decides which cells of a scene stay in memory for the current view and budget.

The order is that of the scheduler, so the cells that would arrive first are kept. The first layer
is always kept, so that no part of the scene is empty. A dropped cell is fetched again only if it
clearly fits, so that small camera movements do not fetch cells twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.client.unit_order import UnitOrder
from exgs.codec.constants import ChunkKind
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.wire.events import View
from exgs.wire.plan import PartPlan

_COMING_SHARE = 0.8  # share of the budget within which a cell must fit to be fetched

# Per Gaussian: mean, quaternion, scales, opacity and colour, both decoded and in the scene to draw,
# plus 64 bytes for the rasterizer.
_GEOMETRY_BYTES = 2 * 14 * 4 + 64
_SH_BYTES = 3 * 4  # per coefficient, three channels


@dataclass(frozen=True, slots=True)
class Revision:
    """Changes, as chunk ids."""

    drop: frozenset[int] = frozenset()  # remove from memory
    leave_out: frozenset[int] = frozenset()  # cancel: not received yet
    take_in: frozenset[int] = frozenset()  # want again: cancelled before
    fetch_again: frozenset[int] = frozenset()  # fetch again: dropped before


class Residency:
    """Keeps a growing scene within `budget_bytes` of memory."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._plan: PartPlan | None = None
        self._known: _Known | None = None
        self._held = np.zeros(0, bool)  # by chunk, like the following arrays
        self._dropped = np.zeros(0, bool)
        self._left_out = np.zeros(0, bool)
        self._away = 0  # chunks that are dropped or left out
        self._missing = 0  # known chunks that will arrive

    @property
    def is_full(self) -> bool:
        """Whether something was left out or dropped for lack of memory."""
        return self._away > 0

    @property
    def is_settled(self) -> bool:
        """Whether all known and wanted chunks have arrived."""
        return self._missing == 0

    def arrived(self, chunk: int) -> bool:
        """Add an arrived chunk. Returns False if there is no room for it any more."""
        self._reserve(chunk + 1)
        if self._left_out[chunk]:
            self._left_out[chunk] = False
            self._dropped[chunk] = True
            return False
        if not self._held[chunk]:
            self._held[chunk] = True
            is_known = self._known is not None and self._known.unit_of[chunk] >= 0
            self._missing -= is_known and not self._dropped[chunk]
        return True

    def holds(self, chunk: int) -> bool:
        """Whether a chunk is in memory."""
        return chunk < len(self._held) and bool(self._held[chunk])

    def forget_left_out(self) -> None:
        """Forget what the other side knows: the next revision lists everything to leave out."""
        self._away -= int(self._left_out.sum())
        self._left_out[:] = False

    def revise(self, plan: PartPlan, view: View | None) -> Revision:
        """Decide the changes for this view, as far as the chunk table is known."""
        self._reserve(plan.chunk_count)
        if self._known is None or self._plan is not plan:
            self._plan, self._known = plan, _Known(plan)
        self._known.learn()
        known = self._known
        coming_bytes = int(_COMING_SHARE * self.budget_bytes)
        if known.memory_bytes <= coming_bytes and not self._away:  # everything fits
            is_known = known.unit_of >= 0
            self._missing = int((is_known & ~self._held).sum())
            return Revision()
        coming, staying = known.first_chunks(view, coming_bytes, self.budget_bytes)
        is_known, is_geometry = known.unit_of >= 0, known.is_geometry
        # A cell is dropped as a whole: dropping its SH alone would free no memory.
        going = np.zeros(known.cell_count, bool)
        going[known.cell_of[self._held & is_known & ~staying & is_geometry]] = True
        drop = self._held & is_known & ~known.is_basis
        drop &= going[known.cell_of]
        leave_out = is_known & ~self._held & ~self._dropped & ~coming & ~self._left_out
        take_in = self._left_out & coming
        fetch_again = self._dropped & coming
        self._held &= ~drop
        self._dropped = (self._dropped | drop) & ~fetch_again
        self._left_out = (self._left_out | leave_out) & ~take_in
        away = self._dropped | self._left_out
        self._away = int(away.sum())
        self._missing = int((is_known & ~self._held & ~away).sum())
        return Revision(_ids(drop), _ids(leave_out), _ids(take_in), _ids(fetch_again))

    def _reserve(self, chunk_count: int) -> None:
        more = chunk_count - len(self._held)
        if more > 0:
            self._held = np.pad(self._held, (0, more))
            self._dropped = np.pad(self._dropped, (0, more))
            self._left_out = np.pad(self._left_out, (0, more))


class _Known:
    """The known chunks of a file as arrays, and their order for a view."""

    def __init__(self, plan: PartPlan) -> None:
        count = plan.chunk_count
        self._plan = plan
        self.unit_of = np.full(count, -1, np.int32)  # by chunk; -1: unknown
        self.cell_of = np.zeros(count, np.int32)  # by chunk
        self.is_geometry = np.zeros(count, bool)
        self.is_basis = np.zeros(count, bool)
        self.memory_bytes = 0  # of all known chunks
        self._chunk_bytes = np.zeros(count, np.int64)
        self._batches_seen = 0  # of the chunk table
        self._order: UnitOrder | None = None

    @property
    def cell_count(self) -> int:
        """The number of cells, known or not."""
        return self._plan.cells.count

    def learn(self) -> None:
        """Add the chunks that the plan has received since the last call."""
        batches = self._plan.table.batches[self._batches_seen :]
        if not batches:
            return
        self._batches_seen += len(batches)
        for rows in batches:
            chunks = slice(rows.first_id, rows.first_id + len(rows))
            self.cell_of[chunks] = self._plan.cells.of(rows.layer, rows.tile)
            self.is_geometry[chunks] = rows.is_geometry
            self.is_basis[chunks] = rows.kind == ChunkKind.BASIS
            memory_bytes = _memory_bytes(rows, self._plan.facts.sh_degree)
            self._chunk_bytes[chunks] = memory_bytes
            self.memory_bytes += int(memory_bytes.sum())
        self.unit_of = self._plan.units_by_chunk
        self._order = None

    def first_chunks(self, view: View | None, *budgets_bytes: int) -> list[npt.NDArray[np.bool_]]:
        """For each budget: which chunks come first and fit, by whole units."""
        plan = self._plan
        if self._order is None:
            known = self.unit_of >= 0
            unit_bytes = np.zeros(plan.unit_count, np.int64)
            np.add.at(unit_bytes, self.unit_of[known], self._chunk_bytes[known])
            self._order = UnitOrder(plan, unit_bytes)
        sets = []
        camera = view.camera if view is not None else None
        for units in self._order.first_units(camera, *budgets_bytes):
            is_kept = np.zeros(plan.unit_count + 1, bool)  # the last entry is for unknown units
            is_kept[units] = True
            sets.append(is_kept[self.unit_of])
        return sets


def _ids(chunks: npt.NDArray[np.bool_]) -> frozenset[int]:
    return frozenset(np.flatnonzero(chunks).tolist())


def _memory_bytes(rows: ChunkRows, sh_degree: int) -> npt.NDArray[np.int64]:
    """The memory that each of these chunks takes."""
    coefficients = (sh_degree + 1) ** 2
    each = np.zeros(len(rows), np.int64)
    # The scene to draw has room for SH from the start.
    each[rows.is_geometry] = _GEOMETRY_BYTES + _SH_BYTES * (coefficients - 1)
    # Later chunks are added in place, SH to the sum that the first SH allocates.
    each[rows.is_joined] = _SH_BYTES * coefficients
    return each * rows.counts
