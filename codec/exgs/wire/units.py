"""Units of a plan as objects, for reading; the plan itself keeps them in arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.wire.visibility import Doubles, Numbers


@dataclass(frozen=True, slots=True)
class Unit:
    """Chunks that are scheduled together."""

    kind: ChunkKind  # LEAF for the unit that draws the cell
    layer: int
    tile: int
    chunks: list[int]  # known ones, rising
    gain: float
    packed_bytes: int
    needs: int | None  # the unit that must be complete first, if it is known
    unlocks: list[int]  # known units that need this one


@dataclass(frozen=True, slots=True, eq=False)
class UnitArrays:
    """The values that ranks depend on, for all U units."""

    low: Doubles  # [U, 3] box of the unit's tile
    high: Doubles  # [U, 3]
    share: Doubles  # [U] factor on the coverage of its box, see spec/protocol.md section 10
    gain: Doubles  # [U]
    packed_bytes: Numbers  # [U]
    first_chunk: Numbers  # [U]
    is_basis: npt.NDArray[np.bool_]  # [U]


@dataclass(frozen=True, slots=True, eq=False)
class UnitTree:
    """Which of the U units need which other one."""

    kind: npt.NDArray[np.uint8]  # [U] values of ChunkKind; LEAF for units that draw a cell
    needs: Numbers  # [U] the unit that must be complete first; -1: none, or not known
    depth: Numbers  # [U] how many units it needs, in turn


class Units(Sequence[Unit]):
    """Units by number."""

    def __init__(self, count: int, make: Callable[[int], Unit]) -> None:
        self._count = count
        self._make = make

    @overload
    def __getitem__(self, unit: int) -> Unit: ...
    @overload
    def __getitem__(self, unit: slice) -> list[Unit]: ...
    def __getitem__(self, unit: int | slice) -> Unit | list[Unit]:
        if isinstance(unit, slice):
            return [self._make(number) for number in range(*unit.indices(self._count))]
        return self._make(range(self._count)[unit])

    def __len__(self) -> int:
        return self._count


class UnitOf(Mapping[int, int]):
    """The units of known chunks."""

    def __init__(self, units: npt.NDArray[np.int32]) -> None:
        """`units` has -1 for chunks that are not known."""
        self._units = units

    def __getitem__(self, chunk: int) -> int:
        if not 0 <= chunk < len(self._units) or self._units[chunk] < 0:
            raise KeyError(chunk)
        return int(self._units[chunk])

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._units >= 0).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._units >= 0))
