"""'Smallest three': a unit quaternion without its largest component, which follows from the rest.

Three formats share the idea and differ in the bits; what they share is here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.scene.gaussians import FloatArray

# Row i: the places of the three components that are stored when i is the largest.
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def join_smallest_three(smallest: FloatArray, largest: npt.NDArray[np.integer]) -> FloatArray:
    """Quaternions [N, 4] from three components [N, 3] and the place [N] of the one left out.

    That one is positive, and makes the length 1 where the others leave room for it.
    """
    quats = np.empty((len(smallest), 4), np.float32)
    rows = np.arange(len(smallest))[:, None]
    quats[rows, _OTHERS[largest]] = smallest
    rest = 1 - np.einsum("ni,ni->n", smallest, smallest)
    quats[rows[:, 0], largest] = np.sqrt(np.maximum(rest, 0))
    return quats


def split_smallest_three(quats: FloatArray) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """The inverse for unit quaternions [N, 4]: three components [N, 3], and the place [N]."""
    largest = np.argmax(np.abs(quats), axis=1)
    rows = np.arange(len(quats))[:, None]
    sign = np.where(quats[rows[:, 0], largest] < 0, np.float32(-1), np.float32(1))
    return quats[rows, _OTHERS[largest]] * sign[:, None], largest
