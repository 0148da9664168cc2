"""Decides which cells of a scene stay in memory for the current view and budget.

The order is that of the scheduler, so the cells that would arrive first are kept. The first layer
is always kept, so that no part of the scene is empty. A dropped cell is fetched again only if it
clearly fits, so that small camera movements do not fetch cells twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.format.rows import Cell, ChunkRef
from exgs.wire.events import View
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import unit_scores

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

    def forget_left_out(self) -> None:
        """Forget what the other side knows: the next revision lists everything to leave out."""
        self._away -= int(self._left_out.sum())
        self._left_out[:] = False

    def revise(self, plan: PartPlan, view: View | None) -> Revision:
        """Decide the changes for this view, as far as the chunk table is known."""
        self._reserve(plan.chunk_count)
        if self._known is None or self._plan is not plan:
            self._plan, self._known = plan, _Known(plan)
        self._known.learn(plan)
        known = self._known
        coming_bytes = int(_COMING_SHARE * self.budget_bytes)
        if known.memory_bytes <= coming_bytes and not self._away:  # everything fits
            is_known = known.unit_of >= 0
            self._missing = int((is_known & ~self._held).sum())
            return Revision()
        coming, staying = known.first_chunks(plan, view, coming_bytes, self.budget_bytes)
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
        self.unit_of = np.full(count, -1, np.int64)  # by chunk; -1: unknown
        self.cell_of = np.zeros(count, np.int64)  # a number for each cell, by chunk
        self.is_geometry = np.zeros(count, bool)
        self.is_basis = np.zeros(count, bool)
        self.memory_bytes = 0  # of all known chunks
        self._cells: dict[Cell, int] = {}
        self._learnt = 0  # chunks
        self._unit_bytes: list[int] = []  # memory, by unit
        self._order: _Order | None = None

    @property
    def cell_count(self) -> int:
        """The number of known cells."""
        return max(len(self._cells), 1)

    def learn(self, plan: PartPlan) -> None:
        """Add the chunks that the plan has received since the last call."""
        if self._learnt == len(plan.unit_of):
            return
        self._unit_bytes += [0] * (len(plan.units) - len(self._unit_bytes))
        for chunk, unit in islice(plan.unit_of.items(), self._learnt, None):
            row = plan.table[chunk]
            memory_bytes = _memory_bytes(plan, row)
            self.unit_of[chunk] = unit
            self.cell_of[chunk] = self._cells.setdefault(row.cell, len(self._cells))
            self.is_geometry[chunk] = _is_geometry(row)
            self.is_basis[chunk] = row.kind is ChunkKind.BASIS
            self._unit_bytes[unit] += memory_bytes
            self.memory_bytes += memory_bytes
        self._learnt = len(plan.unit_of)
        self._order = None

    def first_chunks(
        self, plan: PartPlan, view: View | None, *budgets_bytes: int
    ) -> list[npt.NDArray[np.bool_]]:
        """For each budget: which chunks come first and fit, by whole units."""
        if self._order is None:
            self._order = _Order(plan, np.array(self._unit_bytes, np.int64))
        sets = []
        for units in self._order.first_units(plan, view, budgets_bytes):
            is_kept = np.zeros(len(plan.units) + 1, bool)  # the last entry is for unknown units
            is_kept[units] = True
            sets.append(is_kept[self.unit_of])
        return sets


class _Order:
    """The order of a plan's units, and their memory."""

    def __init__(self, plan: PartPlan, unit_bytes: npt.NDArray[np.int64]) -> None:
        self._unit_bytes = unit_bytes
        # Kept for every view, so that no part of the scene is empty.
        self._is_kept = np.array(
            [
                unit.kind is ChunkKind.BASIS or (unit.layer == 0 and unit.kind is ChunkKind.LEAF)
                for unit in plan.units
            ],
            bool,
        )
        self._needs = np.array(
            [-1 if unit.needs is None else unit.needs for unit in plan.units], np.int64
        )
        self._is_linked = np.array([unit.linked for unit in plan.units], bool)
        self._steps = _by_depth(self._needs)
        self._depth = np.zeros(len(self._needs), np.int64)
        for step, numbers in enumerate(self._steps, start=1):
            self._depth[numbers] = step

    def first_units(
        self, plan: PartPlan, view: View | None, budgets_bytes: Sequence[int]
    ) -> list[npt.NDArray[np.int64]]:
        """For each budget: the units that come first and fit, and those that are always kept."""
        arrays = plan.arrays
        if view is None:
            score = arrays.first_chunk.astype(np.float64)
        else:
            score = unit_scores(arrays, view.camera)
        for numbers in self._steps:  # needed units first
            score[numbers] = np.maximum(score[numbers], score[self._needs[numbers]])
        order = np.lexsort((arrays.first_chunk, self._depth, score))
        order = order[(self._is_linked & ~self._is_kept)[order]]
        used_bytes = self._unit_bytes[self._is_kept].sum() + np.cumsum(self._unit_bytes[order])
        kept = np.flatnonzero(self._is_kept)
        return [
            np.concatenate([kept, order[: np.searchsorted(used_bytes, budget, side="right")]])
            for budget in budgets_bytes
        ]


def _ids(chunks: npt.NDArray[np.bool_]) -> frozenset[int]:
    return frozenset(np.flatnonzero(chunks).tolist())


def _by_depth(needs: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Units that need another one, grouped by depth."""
    steps: list[npt.NDArray[np.int64]] = []
    below = np.flatnonzero(needs < 0)
    while True:
        reached = np.zeros(len(needs), bool)
        reached[below] = True
        below = np.flatnonzero((needs >= 0) & reached[needs])
        if not len(below):
            return steps
        steps.append(below)


def _memory_bytes(plan: PartPlan, row: ChunkRef) -> int:
    if row.kind is ChunkKind.BASIS:
        return 0
    coefficients = (plan.facts.sh_degree + 1) ** 2
    if _is_geometry(row):  # the scene to draw has room for SH from the start
        return row.count * (_GEOMETRY_BYTES + _SH_BYTES * (coefficients - 1))
    # Later chunks are added in place, SH to the sum that the first SH allocates.
    return row.count * _SH_BYTES * coefficients if row.id in plan.table.joined_sh else 0


def _is_geometry(row: ChunkRef) -> bool:
    return row.kind in (ChunkKind.LEAF, ChunkKind.PROXY)
