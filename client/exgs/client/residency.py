"""Which cells of a scene fit into a memory budget: those that the view shows best.

The order is the scheduler's own, so what is kept is what would come first; the first layer is
always kept, so that no part of the scene is ever empty. A cell comes back a little later than it
goes, so that a view that trembles fetches nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from exgs.codec.constants import ChunkKind
from exgs.codec.format.rows import ChunkRef
from exgs.wire.events import View
from exgs.wire.parts import is_page
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import ENDLESS_BYTES, Scheduler

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
        self._known: set[int] = set()
        self._held: set[int] = set()
        self._dropped: set[int] = set()
        self._left_out: set[int] = set()

    @property
    def is_full(self) -> bool:
        """Whether something is left out or was dropped for want of memory."""
        return bool(self._left_out or self._dropped)

    @property
    def is_settled(self) -> bool:
        """Whether all that is wanted of what is known is here."""
        return self._held | self._dropped | self._left_out >= self._known

    def arrived(self, chunk: int) -> bool:
        """A chunk has come; False where there is no room for it any more."""
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
        coming, staying = _first_chunks(
            plan, view, int(_COMING_SHARE * self.budget_bytes), self.budget_bytes
        )
        self._known = set(plan.unit_of)
        # A cell goes as a whole: without its detail it would stay as large as it was.
        going = {_cell(plan, c) for c in self._held - staying if _is_geometry(plan.table[c])}
        drop = {chunk for chunk in self._held if _cell(plan, chunk) in going}
        drop = {chunk for chunk in drop if plan.table[chunk].kind is not ChunkKind.BASIS}
        missing = self._known - self._held - self._dropped
        revision = Revision(
            drop=frozenset(drop),
            leave_out=frozenset(missing - coming - self._left_out),
            take_in=frozenset(self._left_out & coming),
            fetch_again=frozenset(self._dropped & coming),
        )
        self._held -= revision.drop
        self._dropped = (self._dropped | revision.drop) - revision.fetch_again
        self._left_out = (self._left_out | revision.leave_out) - revision.take_in
        return revision


def _first_chunks(plan: PartPlan, view: View | None, *budgets_bytes: int) -> list[set[int]]:
    """For each budget the chunks that come first and fit, by whole units, and the first layer."""
    scheduler = Scheduler(plan)
    scheduler.set_view(view)
    always = {
        chunk
        for unit in plan.units
        if unit.kind is ChunkKind.BASIS or (unit.layer == 0 and unit.kind is ChunkKind.LEAF)
        for chunk in unit.chunks
    }
    sets = [set(always) for _ in budgets_bytes]
    used_bytes = sum(_memory_bytes(plan, chunk) for chunk in always)
    begun: set[int] = set()
    while (piece := scheduler.next(ENDLESS_BYTES)) is not None:
        scheduler.record(piece)
        number = -1 if is_page(piece.part) else plan.unit_of[piece.part]
        if number < 0 or number in begun or piece.part in always:
            continue
        begun.add(number)
        unit = plan.units[number]
        used_bytes += sum(_memory_bytes(plan, chunk) for chunk in unit.chunks)
        for kept, budget_bytes in zip(sets, budgets_bytes, strict=True):
            if used_bytes <= budget_bytes:
                kept.update(unit.chunks)
        if used_bytes > max(budgets_bytes):
            break
    return sets


def _memory_bytes(plan: PartPlan, chunk: int) -> int:
    row = plan.table[chunk]
    if row.kind is ChunkKind.BASIS:
        return 0
    coefficients = (plan.facts.sh_degree + 1) ** 2
    if _is_geometry(row):  # the scene to draw has room for SH whether they are here or not
        return row.count * (_GEOMETRY_BYTES + _SH_BYTES * (coefficients - 1))
    # What comes later is added to what is there, SH to the sum that the first of them begin.
    return row.count * _SH_BYTES * coefficients if row.id in plan.table.joined_sh else 0


def _cell(plan: PartPlan, chunk: int) -> tuple[int, int]:
    row = plan.table[chunk]
    return row.layer, row.tile


def _is_geometry(row: ChunkRef) -> bool:
    return row.kind in (ChunkKind.LEAF, ChunkKind.PROXY)
