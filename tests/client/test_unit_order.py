"""What fits into a budget is what a full sort of all units gives."""

from __future__ import annotations

import numpy as np
import pytest

from exgs.client import unit_order
from exgs.client.unit_order import UnitOrder
from exgs.codec.constants import ChunkKind
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.wire.plan import PartPlan
from tests.wire.test_ranking import synthetic_plan


def _slow_first_units(
    plan: PartPlan, unit_bytes: np.ndarray, camera: Camera | None, budget_bytes: int
) -> set[int]:
    """Units by score, one after the other, each after what it needs, until one does not fit."""
    units = plan.units
    everything = np.arange(len(units))
    if camera is None:
        score = [float(unit.chunks[0]) for unit in units]
    else:
        score = plan.scores(everything, plan.sight(camera)).tolist()
    ranks = []
    kept = set()
    for number, unit in enumerate(units):
        first = unit.layer == 0 and unit.kind is ChunkKind.LEAF
        if first or unit.kind is ChunkKind.BASIS:
            kept.add(number)
            continue
        latest, depth, needed = score[number], 0, unit.needs
        while needed is not None:
            depth += 1
            if not (units[needed].layer == 0 and units[needed].kind is ChunkKind.LEAF):
                latest = max(latest, score[needed])
            needed = units[needed].needs
        ranks.append((latest, depth, unit.chunks[0], number))
    used = int(unit_bytes[list(kept)].sum())
    for *_, number in sorted(ranks):
        used += int(unit_bytes[number])
        if used > budget_bytes:
            break
        kept.add(number)
    return kept


@pytest.mark.parametrize("few", [8, 1024])
def test_what_fits_is_what_comes_first(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_order, "_FEW", few)
    plan = synthetic_plan(200_000)
    rng = np.random.default_rng(few)
    unit_bytes = rng.integers(1, 1000, plan.unit_count)
    order = UnitOrder(plan, unit_bytes)
    total = int(unit_bytes.sum())
    cameras: list[Camera | None] = [None]
    for _ in range(6):
        eye = rng.normal((2, 0, 2), (15, 3, 10))
        at = tuple(eye + rng.normal(0, 1, 3))
        cameras.append(look_at(tuple(eye), at, (0, -1, 0), pinhole(640, 360, 60), 640, 360))
    for camera in cameras:
        budgets = (total // 50, total // 3, 2 * total)
        found = order.first_units(camera, *budgets)
        for budget, units in zip(budgets, found, strict=True):
            assert len(set(units.tolist())) == len(units)
            assert set(units.tolist()) == _slow_first_units(plan, unit_bytes, camera, budget)
