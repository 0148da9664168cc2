"""File order: chunks by descending gain per byte, with parents before children.

Chunks form trees: a cell needs its parent cell, and SH need their leaves. The optimal sequence
under tree precedence results from merging each block of chunks with its best successor as long as
that raises the ratio (Horn 1972, Single-machine job sequencing with treelike precedence ordering).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


class _Sized(Protocol):
    @property
    def packed_bytes(self) -> int: ...


_Chunk = TypeVar("_Chunk", bound=_Sized)


@dataclass(frozen=True, slots=True)
class Job:
    """One element of the sequence: chunks that are drawn only together."""

    gain: float  # reduction of the squared error
    cost: float  # bytes, > 0
    parent: int | None  # index of the job that must come before; less than this job's index


@dataclass(frozen=True, slots=True)
class Order:
    """The best sequence of jobs."""

    jobs: list[int]  # indices
    densities: list[float]  # of each job: gain per cost of its block


def in_best_order(
    jobs: Sequence[Job], chunks: Sequence[Sequence[_Chunk]]
) -> list[tuple[_Chunk, float]]:
    """The `chunks` of all jobs in the best order, each with its share of the gain of its block."""
    order = best_order(jobs)
    return [
        (chunk, order.densities[number] * chunk.packed_bytes)
        for number in order.jobs
        for chunk in chunks[number]
    ]


def best_order(jobs: Sequence[Job]) -> Order:
    """`jobs` by descending gain per cost, with parents first; ties keep their order.

    A block is a job together with what it makes possible, as far as that is better than itself. So
    no density is less than that of a job that needs it: by densities alone, jobs that can be done
    come in the same order. Raises ValueError if the index of a parent is not less than that of its
    child.
    """
    children: list[list[int]] = [[] for _ in jobs]
    for index, job in enumerate(jobs):
        if job.parent is not None:
            if not 0 <= job.parent < index:
                raise ValueError(f"job {index} has the parent {job.parent}")
            children[job.parent].append(index)

    # Bottom up, each job is the head of a block of jobs. `following` holds the blocks behind it.
    Block = tuple[float, int, float, float, list[int]]  # -ratio, head, gain, cost, jobs
    following: list[list[Block]] = [[] for _ in jobs]
    heads: list[Block | None] = [None] * len(jobs)
    for index in reversed(range(len(jobs))):
        job = jobs[index]
        waiting: list[Block] = []
        for child in children[index]:
            block = heads[child]
            if block is not None:
                heapq.heappush(waiting, block)
        gain, cost, members = job.gain, job.cost, [index]
        while waiting and -waiting[0][0] > gain / cost:
            _, head, more_gain, more_cost, more = heapq.heappop(waiting)
            gain, cost = gain + more_gain, cost + more_cost
            members += more
            for block in following[head]:
                heapq.heappush(waiting, block)
        following[index] = waiting
        heads[index] = (-gain / cost, index, gain, cost, members)

    ready: list[Block] = []
    for index, job in enumerate(jobs):
        block = heads[index]
        if job.parent is None and block is not None:
            heapq.heappush(ready, block)
    order: list[int] = []
    densities = [0.0] * len(jobs)
    while ready:
        negative, head, _, _, members = heapq.heappop(ready)
        order += members
        for member in members:
            densities[member] = -negative
        for block in following[head]:
            heapq.heappush(ready, block)
    return Order(order, densities)
