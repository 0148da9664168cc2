"""The order of chunks is the best that precedence allows."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.encoding.precedence import Job, best_order


@st.composite
def trees(draw: st.DrawFn, most: int) -> list[Job]:
    """Small forests with gains of either sign."""
    jobs: list[Job] = []
    for index in range(draw(st.integers(1, most))):
        parent = draw(st.none() | st.integers(0, index - 1)) if index else None
        jobs.append(Job(draw(st.integers(-5, 20)), draw(st.integers(1, 9)), parent))
    return jobs


def area(jobs: list[Job], order: tuple[int, ...] | list[int]) -> float:
    """Gain that is still missing, summed over the bytes: what a good order keeps small."""
    missing = sum(job.gain for job in jobs)
    total = 0.0
    for index in order:
        total += jobs[index].cost * missing
        missing -= jobs[index].gain
    return total


def allowed(jobs: list[Job], order: tuple[int, ...] | list[int]) -> bool:
    place = {index: number for number, index in enumerate(order)}
    return all(job.parent is None or place[job.parent] < place[i] for i, job in enumerate(jobs))


@settings(deadline=None, max_examples=150)
@given(trees(6))
def test_no_allowed_order_is_better(jobs: list[Job]) -> None:
    order = best_order(jobs).jobs
    assert sorted(order) == list(range(len(jobs)))
    assert allowed(jobs, order)
    everything = permutations(range(len(jobs)))
    best = min(area(jobs, other) for other in everything if allowed(jobs, other))
    assert area(jobs, order) == pytest.approx(best)


@settings(deadline=None)
@given(trees(60))
def test_parents_come_first_in_larger_trees(jobs: list[Job]) -> None:
    order = best_order(jobs).jobs
    assert sorted(order) == list(range(len(jobs)))
    assert allowed(jobs, order)


@settings(deadline=None)
@given(trees(60))
def test_densities_never_rise_and_sum_to_the_gains(jobs: list[Job]) -> None:
    """So what can be sent now, compared by densities alone, comes in the best order."""
    order = best_order(jobs)
    densities = [order.densities[index] for index in order.jobs]
    assert densities == sorted(densities, reverse=True)
    for job, density in zip(jobs, order.densities, strict=True):
        assert job.parent is None or order.densities[job.parent] >= density
    shared = sum(job.cost * density for job, density in zip(jobs, order.densities, strict=True))
    assert shared == pytest.approx(sum(job.gain for job in jobs), abs=1e-6)


def test_ties_keep_the_given_order() -> None:
    assert best_order([Job(1, 1, None)] * 8).jobs == list(range(8))


def test_long_chains_do_not_recurse() -> None:
    chain = [Job(index, 1, index - 1 if index else None) for index in range(3000)]
    assert best_order(chain).jobs == list(range(3000))


def test_a_parent_behind_its_child_is_refused() -> None:
    with pytest.raises(ValueError, match="parent"):
        best_order([Job(1, 1, 1), Job(1, 1, None)])
