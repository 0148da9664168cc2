"""Sets of small numbers as bitmaps.

A session of a server has several of them, with a bit per chunk.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Bits:
    """A set of numbers below `size`, with one bit each."""

    __slots__ = ("_bytes", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._bytes = bytearray((size + 7) // 8)

    def add(self, number: int) -> None:
        """Add a number."""
        self._bytes[number >> 3] |= 1 << (number & 7)

    def discard(self, number: int) -> None:
        """Remove a number, if it is in the set."""
        self._bytes[number >> 3] &= ~(1 << (number & 7))

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and bool(self._bytes[number >> 3] >> (number & 7) & 1)

    def update(self, numbers: npt.NDArray[np.int64]) -> None:
        """Add many numbers."""
        flags = self.flags()
        flags[numbers] = 1
        self._bytes[:] = np.packbits(flags, bitorder="little").tobytes()

    def flags(self) -> npt.NDArray[np.uint8]:
        """A new array of 0 and 1 [size]."""
        packed = np.frombuffer(self._bytes, np.uint8)
        return np.unpackbits(packed, count=self.size, bitorder="little")

    def numbers(self) -> npt.NDArray[np.int64]:
        """The numbers in the set, ascending."""
        return np.flatnonzero(self.flags())

    def numbers_without(self, other: Bits) -> npt.NDArray[np.int64]:
        """The numbers that are not in `other`, ascending."""
        return np.flatnonzero(self.flags() & ~other.flags())
