"""The units of a plan in the order of a view, as far as a memory budget reaches.

The order is that of the scheduler: the least score first, each unit after those it needs. Only
units that may fit are scored exactly: limits of scores (`PartPlan.score_limits`) leave out others.
"""

from __future__ import annotations

import numpy as np

from exgs.codec.constants import ChunkKind
from exgs.scene.camera import Camera
from exgs.wire.plan import PartPlan
from exgs.wire.visibility import Doubles, Numbers

_FEW = 1024  # units that are scored first


class UnitOrder:
    """The known units of a plan, and the memory that each of them takes."""

    def __init__(self, plan: PartPlan, unit_bytes: Numbers) -> None:
        tree = plan.tree
        self._plan = plan
        self._unit_bytes = unit_bytes
        self._needs = tree.needs
        # Kept for every view, so that no part of the scene is empty.
        is_kept = (tree.kind == ChunkKind.BASIS) | (
            (tree.depth == 0) & (tree.kind == ChunkKind.LEAF)
        )
        self._kept = np.flatnonzero(is_kept)
        self._kept_bytes = int(unit_bytes[self._kept].sum())
        self._others = np.flatnonzero(~is_kept)
        self._by_depth = [
            np.flatnonzero(tree.depth == depth) for depth in range(1, int(tree.depth.max()) + 1)
        ]
        self._depth = tree.depth

    def first_units(self, camera: Camera | None, *budgets_bytes: int) -> list[Numbers]:
        """For each budget: the units that come first and fit, and those that are always kept."""
        order = self._order(camera, max(budgets_bytes))
        used_bytes = self._kept_bytes + np.cumsum(self._unit_bytes[order])
        ends = (np.searchsorted(used_bytes, budget, side="right") for budget in budgets_bytes)
        return [np.concatenate([self._kept, order[:end]]) for end in ends]

    def _order(self, camera: Camera | None, budget_bytes: int) -> Numbers:
        """The units that are not always kept, at least until `budget_bytes` are used."""
        everything = np.arange(self._plan.unit_count)
        if camera is None:
            score = self._after_needs(self._plan.first_chunks(everything).astype(np.float64))
            return self._sorted(self._others, score)
        sight = self._plan.sight(camera)
        limits = self._plan.score_limits(everything, sight)
        unseen = np.flatnonzero(limits == 0)
        limits[unseen] = self._plan.scores_out_of_view(unseen, sight)
        limits = self._after_needs(limits)[self._others]
        count = _FEW
        while True:
            few = self._others
            reach = np.inf
            if count < len(few):
                place = np.argpartition(limits, count)
                few, reach = few[place[:count]], limits[place[count]]
            score = np.full(len(everything), np.inf)
            score[self._kept] = -np.inf
            score[few] = self._plan.scores(few, sight)
            score = self._after_needs(score)
            order = self._sorted(few, score)
            # All units with lower scores than `reach` are among these few.
            sure = order[: np.searchsorted(score[order], reach)]
            used_bytes = self._kept_bytes + int(self._unit_bytes[sure].sum())
            if reach == np.inf or used_bytes > budget_bytes:
                return sure
            count *= 2

    def _after_needs(self, score: Doubles) -> Doubles:
        """The scores, none lower than that of a needed unit; infinite where that is unknown."""
        score = np.append(score, np.inf)  # of unknown units, whose number is -1
        for units in self._by_depth:
            score[units] = np.maximum(score[units], score[self._needs[units]])
        return score[:-1]

    def _sorted(self, units: Numbers, score: Doubles) -> Numbers:
        order = np.lexsort((self._plan.first_chunks(units), self._depth[units], score[units]))
        found: Numbers = units[order]
        found = found[score[found] < np.inf]
        return found
