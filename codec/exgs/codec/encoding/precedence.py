"""File order: chunks by descending gain per byte, with parents before children.

Chunks form trees: a cell needs its parent cell, and SH need their leaves. The optimal sequence
under tree precedence results from merging each block of chunks with its best successor as long as
that raises the ratio (Horn 1972, Single-machine job sequencing with treelike precedence ordering).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class _Sized(Protocol):
    @property
    def packed_bytes(self) -> int: ...


Chunk = TypeVar("Chunk", bound=_Sized)


@dataclass(frozen=True, slots=True)
class Step(Generic[Chunk]):
    """One element of the sequence: chunks that are drawn only together."""

    gain: float  # reduction of the squared error
    parent: int | None  # number of the step that must come before; less than this step's number
    chunks: tuple[Chunk, ...]

    @property
    def cost(self) -> int:
        """The bytes of the chunks."""
        return sum(chunk.packed_bytes for chunk in self.chunks)


def in_best_order(steps: Sequence[Step[Chunk]]) -> list[tuple[Chunk, float]]:
    """The chunks of all steps in the best order, each with its share of the gain of its block."""
    numbers, densities = best_order(steps)
    return [
        (chunk, densities[number] * chunk.packed_bytes)
        for number in numbers
        for chunk in steps[number].chunks
    ]


def best_order(steps: Sequence[Step[Chunk]]) -> tuple[list[int], list[float]]:
    """Numbers of `steps` by descending gain per byte, parents first, and the density of each.

    A block is a step together with what it makes possible, as far as that is better than itself.
    The density of a step is the gain per byte of its block. So no density is less than that of a
    step that needs it: by densities alone, steps that can be done come in the same order. Ties keep
    their order. Raises ValueError if the number of a parent is not less than that of its child.
    """
    children: list[list[int]] = [[] for _ in steps]
    for number, step in enumerate(steps):
        if step.parent is not None:
            if not 0 <= step.parent < number:
                raise ValueError(f"step {number} has the parent {step.parent}")
            children[step.parent].append(number)

    # Bottom up, each step is the head of a block of steps. `following` holds the blocks behind it.
    Block = tuple[float, int, float, float, list[int]]  # -ratio, head, gain, cost, steps
    following: list[list[Block]] = [[] for _ in steps]
    heads: list[Block | None] = [None] * len(steps)
    for number in reversed(range(len(steps))):
        step = steps[number]
        waiting: list[Block] = []
        for child in children[number]:
            block = heads[child]
            if block is not None:
                heapq.heappush(waiting, block)
        gain, cost, members = step.gain, float(step.cost), [number]
        while waiting and -waiting[0][0] > gain / cost:
            _, head, more_gain, more_cost, more = heapq.heappop(waiting)
            gain, cost = gain + more_gain, cost + more_cost
            members += more
            for block in following[head]:
                heapq.heappush(waiting, block)
        following[number] = waiting
        heads[number] = (-gain / cost, number, gain, cost, members)

    ready: list[Block] = []
    for number, step in enumerate(steps):
        block = heads[number]
        if step.parent is None and block is not None:
            heapq.heappush(ready, block)
    order: list[int] = []
    densities = [0.0] * len(steps)
    while ready:
        negative, head, _, _, members = heapq.heappop(ready)
        order += members
        for member in members:
            densities[member] = -negative
        for block in following[head]:
            heapq.heappush(ready, block)
    return order, densities
