"""Morton codes: three 21-bit grid coordinates interleaved into one 63-bit integer, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SPREAD = (
    (32, 0x1F00000000FFFF),
    (16, 0x1F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)
_AXIS_MASK = 0x1FFFFF


def morton_encode(grid: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """Interleave grid coordinates [N, 3] below 2^21 to codes [N]. Bit 0 of a code is that of x."""
    code = np.zeros(len(grid), np.uint64)
    for axis in range(3):
        bits = grid[:, axis].astype(np.uint64) & np.uint64(_AXIS_MASK)
        for shift, mask in _SPREAD:
            bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
        code |= bits << np.uint64(axis)
    return code


def morton_decode(code: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """Grid coordinates [N, 3] of Morton codes [N]."""
    grid = np.empty((len(code), 3), np.uint32)
    for axis in range(3):
        bits = (code >> np.uint64(axis)) & np.uint64(_SPREAD[-1][1])
        for (shift, _), (_, mask) in zip(
            reversed(_SPREAD), [*reversed(_SPREAD[:-1]), (0, _AXIS_MASK)], strict=True
        ):
            bits = (bits | (bits >> np.uint64(shift))) & np.uint64(mask)
        grid[:, axis] = bits
    return grid
