"""Integer columns as byte planes, the content of chunk payloads.

A column of N unsigned integers is stored as `width` planes of N bytes, least significant first, so
that bytes with similar statistics are adjacent. Signed integers are zigzag-coded first.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from exgs.codec.errors import DamagedError

Unsigned = npt.NDArray[np.uint64]
Signed = npt.NDArray[np.int64]


def zigzag(values: npt.NDArray[np.integer]) -> Unsigned:
    """Map 0, -1, 1, -2, 2, … to 0, 1, 2, 3, 4, …"""
    v = values.astype(np.int64)
    return ((v << 1) ^ (v >> 63)).astype(np.uint64)


def unzigzag(values: npt.NDArray[np.unsignedinteger]) -> Signed:
    """The inverse of `zigzag`."""
    v = values.astype(np.uint64)
    return (v >> np.uint64(1)).astype(np.int64) ^ -(v & np.uint64(1)).astype(np.int64)


def column_width(values: npt.NDArray[np.unsignedinteger]) -> int:
    """The number of bytes for the largest value, 0 to 8; 0 for a column of zeros."""
    return (int(values.max(initial=0)).bit_length() + 7) // 8


def split_planes(values: npt.NDArray[np.unsignedinteger], width: int) -> list[bytes]:
    """`width` byte planes of a column, least significant first."""
    raw = np.ascontiguousarray(values, "<u8").view(np.uint8).reshape(len(values), 8)
    return [raw[:, plane].tobytes() for plane in range(width)]


def planes_of(
    columns: Iterable[npt.NDArray[np.unsignedinteger]], widths: Iterable[int]
) -> list[bytes]:
    """The byte planes of several columns of these widths, column by column."""
    return [
        plane
        for column, width in zip(columns, widths, strict=True)
        for plane in split_planes(column, width)
    ]


class PlaneReader:
    """Reads columns of `count` values from a payload in order."""

    def __init__(self, data: bytes, start: int, count: int, section: str) -> None:
        self._planes = np.frombuffer(data, np.uint8)
        self._position = start
        self.count = count
        self._section = section

    @property
    def position(self) -> int:
        """Where in the payload the next column begins."""
        return self._position

    def column(self, width: int, count: int | None = None) -> npt.NDArray[np.unsignedinteger]:
        """Read the next column, in the smallest dtype that fits. Raises DamagedError at the end.

        `count` overrides the number of values.
        """
        if width > 8:
            raise DamagedError(f"a column of {width} planes", section=self._section)
        count = self.count if count is None else count
        end = self._position + width * count
        if end > len(self._planes):
            raise DamagedError("the columns do not fit the payload", section=self._section)
        planes = self._planes[self._position : end].reshape(width, count)
        self._position = end
        if width == 1:
            first: npt.NDArray[np.uint8] = planes[0]
            return first
        size = 2 if width <= 2 else 4 if width <= 4 else 8
        wide = np.zeros((count, size), np.uint8)
        wide[:, :width] = planes.T
        values: npt.NDArray[np.unsignedinteger] = wide.view(f"<u{size}")[:, 0]
        return values

    def finish(self) -> None:
        """Raise DamagedError unless every byte has been read."""
        if self._position != len(self._planes):
            raise DamagedError(
                f"{len(self._planes) - self._position} bytes behind the last column",
                section=self._section,
            )
