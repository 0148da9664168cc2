"""Which cells of a scene fit into a memory budget: those that the view shows best.

The order is the scheduler's own, so what is kept is what would come first; the first layer is
always kept, so that no part of the scene is ever empty. A cell comes back a little later than it
goes, so that a view that trembles fetches nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.format.rows import ChunkRef
from exgs.wire.events import View
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import unit_scores

_COMING_SHARE = 0.8  # of the budget, into which a cell must fit to be fetched

# Of a Gaussian: mean, quaternion, scales, opacity and colour, decoded and once more in the scene
# to draw, and the 64 bytes that the rasterizer makes of it.
_GEOMETRY_BYTES = 2 * 14 * 4 + 64
_SH_BYTES = 3 * 4  # of a coefficient, in three colours


@dataclass(frozen=True, slots=True)
class Revision:
    """What to change, as chunk ids."""

    drop: frozenset[int] = frozenset()  # from memory
    leave_out: frozenset[int] = frozenset()  # of what is to come
    take_in: frozenset[int] = frozenset()  # of what was left out
    fetch_again: frozenset[int] = frozenset()  # of what was dropped


class Residency:
    """Keeps a growing scene within `budget_bytes` of memory."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._missing: set[int] = set()  # known chunks that are to come
        self._held: set[int] = set()
        self._dropped: set[int] = set()
        self._left_out: set[int] = set()
        self._costs: _Costs | None = None

    @property
    def is_full(self) -> bool:
        """Whether something is left out or was dropped for want of memory."""
        return bool(self._left_out or self._dropped)

    @property
    def is_settled(self) -> bool:
        """Whether all that is wanted of what is known is here."""
        return not self._missing

    def arrived(self, chunk: int) -> bool:
        """A chunk has come; False where there is no room for it any more."""
        self._missing.discard(chunk)
        if chunk in self._left_out:
            self._left_out.discard(chunk)
            self._dropped.add(chunk)
            return False
        self._held.add(chunk)
        return True

    def forget_left_out(self) -> None:
        """Nobody knows yet what is to be left out: the next revision says all of it."""
        self._left_out.clear()

    def revise(self, plan: PartPlan, view: View | None) -> Revision:
        """Make room for what this view needs, as far as the chunk table is known."""
        if self._costs is None or self._costs.is_older_than(plan):
            self._costs = _Costs(plan)
        coming, staying = self._costs.first_chunks(
            view, int(_COMING_SHARE * self.budget_bytes), self.budget_bytes
        )
        # A cell goes as a whole: without its detail it would stay as large as it was.
        going = {plan.table[c].cell for c in self._held - staying if _is_geometry(plan.table[c])}
        drop = {chunk for chunk in self._held if plan.table[chunk].cell in going}
        drop = {chunk for chunk in drop if plan.table[chunk].kind is not ChunkKind.BASIS}
        missing = plan.unit_of.keys() - self._held - self._dropped
        revision = Revision(
            drop=frozenset(drop),
            leave_out=frozenset(missing - coming - self._left_out),
            take_in=frozenset(self._left_out & coming),
            fetch_again=frozenset(self._dropped & coming),
        )
        self._held -= revision.drop
        self._dropped = (self._dropped | revision.drop) - revision.fetch_again
        self._left_out = (self._left_out | revision.leave_out) - revision.take_in
        self._missing = plan.unit_of.keys() - self._held - self._dropped - self._left_out
        return revision


class _Costs:
    """What the units of a plan take in memory, and the order in which a view wants them."""

    def __init__(self, plan: PartPlan) -> None:
        self._plan = plan
        self._chunk_count = len(plan.unit_of)
        units = plan.units
        self._memory_bytes = np.array(
            [sum(_memory_bytes(plan, chunk) for chunk in unit.chunks) for unit in units], np.int64
        )
        # Whole units that are kept whatever the view: so that no part of the scene is ever empty.
        self._is_kept = np.array(
            [
                unit.kind is ChunkKind.BASIS or (unit.layer == 0 and unit.kind is ChunkKind.LEAF)
                for unit in units
            ],
            bool,
        )
        self._needs = np.array(
            [-1 if unit.needs is None else unit.needs for unit in units], np.int64
        )
        self._is_linked = np.array([unit.linked for unit in units], bool)
        self._steps = _by_depth(self._needs)

    def is_older_than(self, plan: PartPlan) -> bool:
        """Whether it does not know all of the plan, or is of another one."""
        return plan is not self._plan or len(plan.unit_of) != self._chunk_count

    def first_chunks(self, view: View | None, *budgets_bytes: int) -> list[set[int]]:
        """For each budget the chunks that come first and fit, by whole units."""
        order = self._order(view)
        always_bytes = int(self._memory_bytes[self._is_kept].sum())
        used_bytes = always_bytes + np.cumsum(self._memory_bytes[order])
        kept = np.flatnonzero(self._is_kept)
        sets = []
        for budget_bytes in budgets_bytes:
            fitting = order[: int(np.searchsorted(used_bytes, budget_bytes, side="right"))]
            numbers = np.concatenate([kept, fitting])
            sets.append({chunk for n in numbers for chunk in self._plan.units[n].chunks})
        return sets

    def _order(self, view: View | None) -> npt.NDArray[np.int64]:
        """The other units in the order in which they come: by score, behind what they need."""
        arrays = self._plan.arrays
        if view is None:
            score = arrays.first_chunk.astype(np.float64)
        else:
            score = unit_scores(arrays, view.camera)
        for numbers in self._steps:  # what is needed before what needs it
            score[numbers] = np.maximum(score[numbers], score[self._needs[numbers]])
        depth = np.zeros(len(score), np.int64)
        for step, numbers in enumerate(self._steps, start=1):
            depth[numbers] = step
        order: npt.NDArray[np.int64] = np.lexsort((arrays.first_chunk, depth, score))
        is_free: npt.NDArray[np.bool_] = (self._is_linked & ~self._is_kept)[order]
        return order[is_free]


def _by_depth(needs: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Units that need another one, by how many stand below them."""
    steps: list[npt.NDArray[np.int64]] = []
    below = np.flatnonzero(needs < 0)
    while True:
        reached = np.zeros(len(needs), bool)
        reached[below] = True
        below = np.flatnonzero((needs >= 0) & reached[needs])
        if not len(below):
            return steps
        steps.append(below)


def _memory_bytes(plan: PartPlan, chunk: int) -> int:
    row = plan.table[chunk]
    if row.kind is ChunkKind.BASIS:
        return 0
    coefficients = (plan.facts.sh_degree + 1) ** 2
    if _is_geometry(row):  # the scene to draw has room for SH whether they are here or not
        return row.count * (_GEOMETRY_BYTES + _SH_BYTES * (coefficients - 1))
    # What comes later is added to what is there, SH to the sum that the first of them begin.
    return row.count * _SH_BYTES * coefficients if row.id in plan.table.joined_sh else 0


def _is_geometry(row: ChunkRef) -> bool:
    return row.kind in (ChunkKind.LEAF, ChunkKind.PROXY)
