"""The order of the open units for one view, computed as far as it is needed.

Bounds of the scores select the units that may come next; the exact formulas are applied to these
only. So a new view is cheap in a large file, and a session stores few ranks.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from exgs.wire.bits import Bits
from exgs.wire.plan import PartPlan
from exgs.wire.progress import Progress
from exgs.wire.sight import Sight
from exgs.wire.visibility import Doubles, Numbers

Rank = tuple[float, int]  # score (the smallest comes first), first chunk
Ranked = tuple[float, int, int]  # rank, unit

_NONE_LEFT: Rank = (np.inf, -1)  # larger than all ranks
_BATCH = 256  # units that are ranked at a time
_LARGEST_BATCH = 1024
_MOST_HELD = 2048  # ranks; of more, the worse half is discarded and computed again later


class Ranking:
    """The ranks of open units in a view, at the time when the ranking was created.

    A unit that opens later is ranked at that time. Bytes that are sent later do not change
    ranks: so `before_change` must be called before bytes of a unit are sent.
    """

    def __init__(
        self, plan: PartPlan, sight: Sight, progress: Progress, left_out: Numbers | None = None
    ) -> None:
        """Units in `left_out` are not ranked."""
        self._plan = plan
        self._sight = sight
        self._progress = progress
        self._heap: list[Ranked] = []
        self._is_ranked = Bits(plan.chunk_count)  # ranked and left-out units
        self._floor: Rank = (-np.inf, -1)  # lower bound of the ranks of units that are not ranked
        self._is_all_in_view = False  # whether all unranked units are out of view
        self._batch = _BATCH
        if left_out is not None:
            self._is_ranked.update(left_out)
        # Partly sent units have a higher density than the bounds assume.
        self.add([unit for unit in progress.sent_of_unit if unit in progress.open_units])

    def best(self) -> Ranked | None:
        """The first unit and its rank. It may have been sent since it was ranked."""
        while self._floor < _NONE_LEFT and (not self._heap or self._heap[0] >= self._floor):
            self._rank_more()
        if len(self._heap) > _MOST_HELD:
            self._forget_worst()
        return self._heap[0] if self._heap else None

    def pop(self) -> None:
        """Remove the first unit."""
        heapq.heappop(self._heap)

    def add(self, units: Sequence[int]) -> None:
        """Rank these units now, unless they are ranked already."""
        fresh = [unit for unit in units if unit not in self._is_ranked]
        if fresh:
            sent = [self._progress.sent_of_unit.get(unit, 0) for unit in fresh]
            numbers = np.array(fresh, np.int64)
            scores = self._plan.scores(numbers, self._sight, np.array(sent, np.int64))
            self._push(numbers, scores)

    def before_change(self, unit: int) -> None:
        """Call before the sent bytes of this unit change."""
        if unit in self._progress.open_units:
            self.add([unit])

    def _push(self, units: Numbers, scores: Doubles) -> None:
        entries = zip(
            scores.tolist(), self._plan.first_chunks(units).tolist(), units.tolist(), strict=True
        )
        for entry in entries:
            heapq.heappush(self._heap, entry)
            self._is_ranked.add(entry[2])

    def _forget_worst(self) -> None:
        """Keep the ranks of the first units. The others are ranked again when they come next."""
        self._heap.sort()
        begun = self._progress.sent_of_unit
        worst = self._heap[_MOST_HELD // 2 :]
        kept = [entry for entry in worst if entry[2] in begun]  # ranked with fewer sent bytes
        forgotten = [entry for entry in worst if entry[2] not in begun]
        del self._heap[_MOST_HELD // 2 :]
        self._heap += kept
        for _, _, unit in forgotten:
            self._is_ranked.discard(unit)
        if forgotten:
            self._floor = min(self._floor, forgotten[0][:2])
            self._is_all_in_view &= forgotten[0][0] >= 0

    def _rank_more(self) -> None:
        """Rank the next units, and raise the floor."""
        units = self._progress.open_units.numbers_without(self._is_ranked)
        if len(units) <= self._batch:
            self._floor = _NONE_LEFT
            self.add(units.tolist())
            return
        if not self._is_all_in_view:
            limits = self._plan.score_limits(units, self._sight)
            in_view = limits < 0
            units, limits = units[in_view], limits[in_view]
            first, following = self._first(limits, otherwise=0.0)
            self._floor = (following, -1)
            self._is_all_in_view = following == 0.0
            self.add(units[first].tolist())
        else:
            scores = self._plan.scores_out_of_view(units, self._sight)
            first, following = self._first(scores, otherwise=np.inf)
            self._floor = (following, -1)
            self._push(units[first], scores[first])
        self._batch = min(2 * self._batch, _LARGEST_BATCH)

    def _first(self, scores: Doubles, otherwise: float) -> tuple[Numbers, float]:
        """The places of the smallest scores, and the smallest of the others (or `otherwise`)."""
        if len(scores) <= self._batch:
            return np.arange(len(scores)), otherwise
        order = np.argpartition(scores, self._batch)
        return order[: self._batch], float(scores[order[self._batch]])
