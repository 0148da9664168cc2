"""Morton order, which puts neighbouring Gaussians close together in a file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.scene.gaussians import FloatArray

_BITS = 16  # per coordinate


def morton_order(means: FloatArray) -> npt.NDArray[np.int64]:
    """The order [N] of `means` [N, 3] along a Morton curve in their bounding box."""
    if not len(means):
        return np.zeros(0, np.int64)
    low, high = (edge(means, axis=0).astype(np.float64) for edge in (np.min, np.max))
    cells = (means - low) / np.maximum(high - low, 1e-30) * ((1 << _BITS) - 1)
    code = np.zeros(len(means), np.uint64)
    for axis, column in enumerate(cells.T.astype(np.uint64)):
        code |= _spread(column) << np.uint64(axis)
    return np.argsort(code, kind="stable")


def _spread(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Move bit i of each value to bit 3 i."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        values = (values | values << np.uint64(shift)) & np.uint64(mask)
    return values
