"""The order of chunks is the best that precedence allows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.encoding.precedence import Step, best_order


@dataclass
class Sized:
    packed_bytes: int


def step_of(gain: float, parent: int | None, size: int = 1) -> Step[Sized]:
    return Step(gain, parent, (Sized(size),))


@st.composite
def trees(draw: st.DrawFn, most: int) -> list[Step[Sized]]:
    """Small forests with gains of either sign."""
    steps: list[Step[Sized]] = []
    for index in range(draw(st.integers(1, most))):
        parent = draw(st.none() | st.integers(0, index - 1)) if index else None
        gain, size = draw(st.integers(-5, 20)), draw(st.integers(1, 9))
        steps.append(step_of(gain, parent, size))
    return steps


def area(steps: list[Step[Sized]], order: tuple[int, ...] | list[int]) -> float:
    """Gain that is still missing, summed over the bytes: what a good order keeps small."""
    missing = sum(step.gain for step in steps)
    total = 0.0
    for index in order:
        total += steps[index].cost * missing
        missing -= steps[index].gain
    return total


def allowed(steps: list[Step[Sized]], order: tuple[int, ...] | list[int]) -> bool:
    place = {index: number for number, index in enumerate(order)}
    return all(step.parent is None or place[step.parent] < place[i] for i, step in enumerate(steps))


@settings(deadline=None, max_examples=150)
@given(trees(6))
def test_no_allowed_order_is_better(steps: list[Step[Sized]]) -> None:
    order = best_order(steps)[0]
    assert sorted(order) == list(range(len(steps)))
    assert allowed(steps, order)
    everything = permutations(range(len(steps)))
    best = min(area(steps, other) for other in everything if allowed(steps, other))
    assert area(steps, order) == pytest.approx(best)


@settings(deadline=None)
@given(trees(60))
def test_parents_come_first_in_larger_trees(steps: list[Step[Sized]]) -> None:
    order = best_order(steps)[0]
    assert sorted(order) == list(range(len(steps)))
    assert allowed(steps, order)


@settings(deadline=None)
@given(trees(60))
def test_densities_never_rise_and_sum_to_the_gains(steps: list[Step[Sized]]) -> None:
    """So what can be sent now, compared by densities alone, comes in the best order."""
    order, densities = best_order(steps)
    in_order = [densities[index] for index in order]
    assert in_order == sorted(in_order, reverse=True)
    for step, density in zip(steps, densities, strict=True):
        assert step.parent is None or densities[step.parent] >= density
    shared = sum(step.cost * density for step, density in zip(steps, densities, strict=True))
    assert shared == pytest.approx(sum(step.gain for step in steps), abs=1e-6)


def test_ties_keep_the_given_order() -> None:
    assert best_order([step_of(1, None)] * 8)[0] == list(range(8))


def test_long_chains_do_not_recurse() -> None:
    chain = [step_of(index, index - 1 if index else None) for index in range(3000)]
    assert best_order(chain)[0] == list(range(3000))


def test_a_parent_behind_its_child_is_refused() -> None:
    with pytest.raises(ValueError, match="parent"):
        best_order([step_of(1, 1), step_of(1, None)])
