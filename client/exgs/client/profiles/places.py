"""Where the known parts lie in a file, in order of offsets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Place:
    """The bytes of one part."""

    part: int
    start: int  # offset in the file
    end: int  # offset of the first byte behind it


class Places:
    """The places of all known parts, which don't overlap. Kept as arrays."""

    def __init__(self) -> None:
        self._starts: Numbers = np.zeros(0, np.int64)
        self._ends: Numbers = np.zeros(0, np.int64)
        self._parts: Numbers = np.zeros(0, np.int64)

    def add(
        self,
        starts: npt.NDArray[np.integer[Any]],
        lengths: npt.NDArray[np.integer[Any]],
        parts: npt.NDArray[np.integer[Any]],
    ) -> None:
        """Add parts that are not known yet."""
        starts = starts.astype(np.int64)
        places = np.searchsorted(self._starts, order := np.sort(starts))
        ranks = np.argsort(starts, kind="stable")
        self._starts = np.insert(self._starts, places, order)
        self._ends = np.insert(self._ends, places, (starts + lengths)[ranks])
        self._parts = np.insert(self._parts, places, parts[ranks])

    def at(self, position: int) -> Place | None:
        """The part that has the byte at `position`."""
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self._place(number) if number >= 0 and position < self._ends[number] else None

    def next_start(self, position: int) -> int | None:
        """Where the first part behind `position` starts."""
        number = int(np.searchsorted(self._starts, position, side="right"))
        return int(self._starts[number]) if number < len(self._starts) else None

    def from_start(self, start: int) -> Iterator[Place]:
        """The parts that start at `start` or behind it."""
        for number in range(int(np.searchsorted(self._starts, start)), len(self._starts)):
            yield self._place(number)

    def touched_by(self, start: int, end: int) -> list[Place]:
        """The parts that have bytes from `start` to before `end`, and perhaps the one before."""
        first = max(0, int(np.searchsorted(self._starts, start, side="right")) - 1)
        return [self._place(n) for n in range(first, int(np.searchsorted(self._starts, end)))]

    def _place(self, number: int) -> Place:
        return Place(int(self._parts[number]), int(self._starts[number]), int(self._ends[number]))
