"""Ranks are the same whether they are computed all at once or a few at a time."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from exgs.scene.camera import look_at, pinhole
from exgs.wire import ranking
from exgs.wire.bits import Bits
from exgs.wire.events import View
from exgs.wire.parts import is_page
from exgs.wire.scheduler import Scheduler, Slice
from tests.wire.synthetic import synthetic_plan

known_plan = cache(synthetic_plan)


def _session(seed: int) -> list[Slice]:
    """Fragments of a session that looks around, cancels, and wants again."""
    rng = np.random.default_rng(seed)
    plan = known_plan(4_000_000)
    scheduler = Scheduler(plan)
    pieces: list[Slice] = []
    for serial in range(1, 25):
        eye = rng.normal((2, 0, 2), (15, 3, 10))
        at = eye + rng.normal(0, 1, 3)
        camera = look_at(tuple(eye), tuple(at), (0, -1, 0), pinhole(640, 360, 60), 640, 360)
        scheduler.set_view(View(serial, camera))
        some = rng.integers(0, plan.chunk_count, 20).tolist()
        action = rng.random()
        if action < 0.2:
            scheduler.cancel(some)
        elif action < 0.4:
            scheduler.want(some)
        elif action < 0.5 and pieces:
            whole = [p.part for p in pieces[-3:] if scheduler.is_whole(p.part)]
            scheduler.want([part for part in whole if not is_page(part)], again=True)
        for _ in range(int(rng.integers(1, 250))):
            piece = scheduler.next(int(rng.choice([1000, 1 << 20])))
            if piece is None:
                break
            scheduler.record(piece)
            pieces.append(piece)
            if rng.random() < 0.02 and not is_page(piece.part):  # fails
                scheduler.mark(piece.part, piece.offset)
            if rng.random() < 0.05:  # comes beside it
                chunk = int(rng.integers(plan.chunk_count))
                scheduler.mark(chunk, plan.length(chunk) // 2)
    return pieces


@pytest.mark.parametrize("seed", range(8))
def test_a_few_at_a_time_give_the_same_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_BATCH", 1 << 20)
    monkeypatch.setattr(ranking, "_MOST_HELD", 1 << 20)
    at_once = _session(seed)
    monkeypatch.setattr(ranking, "_BATCH", 4)
    monkeypatch.setattr(ranking, "_LARGEST_BATCH", 16)
    monkeypatch.setattr(ranking, "_MOST_HELD", 40)
    assert _session(seed) == at_once


def test_bits_are_a_set() -> None:
    rng = np.random.default_rng(0)
    bits, numbers = Bits(77), set[int]()
    for number in rng.integers(0, 77, 300).tolist():
        if rng.random() < 0.6:
            bits.add(number)
            numbers.add(number)
        else:
            bits.discard(number)
            numbers.discard(number)
        assert (number in bits) == (number in numbers)
    assert bits.numbers().tolist() == sorted(numbers)
    other = Bits(77)
    other.update(np.arange(0, 77, 2))
    assert bits.numbers_without(other).tolist() == sorted(n for n in numbers if n % 2)
