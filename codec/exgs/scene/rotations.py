"""Unit quaternions (wxyz): from rotation matrices, and in 'smallest three' form.

The smallest-three form drops the largest component, which follows from the others. PLY, SOG and
SPZ variants use it with different bit counts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.scene.gaussians import FloatArray

# Row i: the indices of the three components that are stored if component i is the largest.
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def join_smallest_three(smallest: FloatArray, largest: npt.NDArray[np.integer]) -> FloatArray:
    """Quaternions [N, 4] from three components [N, 3] and the index [N] of the missing one.

    The missing component is not negative. It makes the length 1 if the others allow it.
    """
    quats = np.empty((len(smallest), 4), np.float32)
    rows = np.arange(len(smallest))[:, None]
    quats[rows, _OTHERS[largest]] = smallest
    rest = 1 - np.einsum("ni,ni->n", smallest, smallest)
    quats[rows[:, 0], largest] = np.sqrt(np.maximum(rest, 0))
    return quats


def split_smallest_three(quats: FloatArray) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """The inverse for unit quaternions [N, 4]: three components [N, 3] and the index [N]."""
    largest = np.argmax(np.abs(quats), axis=1)
    rows = np.arange(len(quats))[:, None]
    sign = np.where(quats[rows[:, 0], largest] < 0, np.float32(-1), np.float32(1))
    return quats[rows, _OTHERS[largest]] * sign[:, None], largest


def quats_from_matrices(matrices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Unit quaternions [N, 4] (wxyz) of rotation matrices [N, 3, 3] (Shepperd 1978)."""
    m = matrices
    trace = m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2]
    squares = np.stack([trace, m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]], axis=1)
    best = squares.argmax(axis=1)
    quats = np.empty((len(m), 4))
    w = best == 0
    quats[w, 0] = 1 + trace[w]
    for axis in range(3):
        j, k = (axis + 1) % 3, (axis + 2) % 3
        quats[w, axis + 1] = m[w, k, j] - m[w, j, k]
        s = best == axis + 1
        quats[s, axis + 1] = 1 + m[s, axis, axis] - m[s, j, j] - m[s, k, k]
        quats[s, 0] = m[s, k, j] - m[s, j, k]
        quats[s, j + 1] = m[s, j, axis] + m[s, axis, j]
        quats[s, k + 1] = m[s, k, axis] + m[s, axis, k]
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    return quats


def multiplied(
    quat: npt.NDArray[np.float64], quats: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """`quat` [4] times each of `quats` [N, 4]: the rotation of `quats` is applied first."""
    a, b, c, d = quat
    w, x, y, z = quats.T
    product = (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    )
    return np.stack(product, axis=1)


def rotation_matrices(quats: FloatArray) -> npt.NDArray[np.float64]:
    """Rotation matrices [N, 3, 3] of unit quaternions [N, 4], wxyz."""
    w, x, y, z = quats.astype(np.float64).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)
