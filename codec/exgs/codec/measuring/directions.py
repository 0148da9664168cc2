"""Viewing directions of Gaussians, and spherical harmonics in these directions.

Signs and order of the spherical harmonics are those of 3DGS (formulas from Sloan 2013, Efficient
Spherical Harmonic Evaluation).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import prange

from exgs.scene.gaussians import SH_C0, FloatArray
from exgs.scene.kernel import kernel

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_BLOCKS = 32  # parallel parts; their number is fixed, so sums don't depend on the thread count


class _Sums(NamedTuple):
    regions: Integers  # [N]
    distances: Doubles  # [N]
    basis: Doubles  # [N, K]
    parts: Doubles  # [_BLOCKS, R, 1 + K, 1 + K]: upper triangles of the second moments


class ViewingDirections:
    """Weighted sums over views of the distances and directions from which N Gaussians are seen.

    Y are the SH of degree 0 and up in the direction from the eye to the mean of a Gaussian.
    `regions` [N] numbers the region of each Gaussian, from 0 to `region_count` (R) - 1;
    `coefficients` (K) is the number of SH above degree 0.

    Attributes:
        distances: [N] sum of weight * distance to the eye, world units.
        basis: [N, K] sum of weight * Y, without degree 0.
    """

    def __init__(self, regions: Integers, region_count: int, coefficients: int) -> None:
        n, terms = len(regions), 1 + coefficients
        parts = np.zeros((_BLOCKS, region_count, terms, terms))
        self._sums = _Sums(regions, np.zeros(n), np.zeros((n, coefficients)), parts)
        self.distances, self.basis = self._sums.distances, self._sums.basis

    def add(self, means: FloatArray, eye: Doubles, weights: Doubles, squares: Doubles) -> None:
        """Add the view from `eye` [3].

        `weights` [N] and `squares` [N] are the sums over its pixels of the blending weights and of
        their squares.
        """
        _add_view(means, np.ascontiguousarray(eye, np.float64), weights, squares, self._sums)

    @property
    def moments(self) -> Doubles:
        """[R, 1 + K, 1 + K] sum of squares * Y Y^T over the Gaussians of each region."""
        upper: Doubles = self._sums.parts.sum(axis=0)
        return upper + np.triu(upper, 1).swapaxes(1, 2)


def sh_basis(directions: npt.NDArray[np.floating], degree: int) -> Doubles:
    """Real SH [N, (degree + 1)^2 - 1] of degrees 1 to `degree` <= 3 in unit `directions` [N, 3]."""
    basis = np.empty((len(directions), (degree + 1) ** 2 - 1))
    _write_all(np.ascontiguousarray(directions, np.float64), basis)
    return basis


@kernel()
def _write_all(directions: Doubles, basis: Doubles) -> None:
    for i in range(directions.shape[0]):
        _write_basis(directions[i, 0], directions[i, 1], directions[i, 2], basis[i])


@kernel()
def _write_basis(x: float, y: float, z: float, terms: Doubles) -> None:
    """Write 0, 3, 8 or 15 `terms`: the SH of degree 1 and up in the unit direction (x, y, z)."""
    if terms.shape[0] >= 3:
        c = 0.4886025119029199
        terms[0], terms[1], terms[2] = -c * y, c * z, -c * x
    if terms.shape[0] >= 8:
        terms[3] = 1.0925484305920792 * x * y
        terms[4] = -1.0925484305920792 * y * z
        terms[5] = 0.31539156525252005 * (2 * z * z - x * x - y * y)
        terms[6] = -1.0925484305920792 * x * z
        terms[7] = 0.5462742152960396 * (x * x - y * y)
    if terms.shape[0] >= 15:
        terms[8] = -0.5900435899266435 * y * (3 * x * x - y * y)
        terms[9] = 2.890611442640554 * x * y * z
        terms[10] = -0.4570457994644658 * y * (4 * z * z - x * x - y * y)
        terms[11] = 0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y)
        terms[12] = -0.4570457994644658 * x * (4 * z * z - x * x - y * y)
        terms[13] = 1.445305721320277 * z * (x * x - y * y)
        terms[14] = -0.5900435899266435 * x * (x * x - 3 * y * y)


@kernel(parallel=True)
def _add_view(
    means: FloatArray, eye: Doubles, weights: Doubles, squares: Doubles, sums: _Sums
) -> None:
    for block in prange(_BLOCKS):
        _add_block(block, means, eye, weights, squares, sums)


@kernel(allocates=True)
def _add_block(
    block: int, means: FloatArray, eye: Doubles, weights: Doubles, squares: Doubles, sums: _Sums
) -> None:
    n = means.shape[0]
    whole = np.empty(1 + sums.basis.shape[1])
    whole[0] = SH_C0
    for i in range(block * n // _BLOCKS, (block + 1) * n // _BLOCKS):
        if not weights[i] > 0:
            continue
        x, y, z = means[i, 0] - eye[0], means[i, 1] - eye[1], means[i, 2] - eye[2]
        distance = math.sqrt(x * x + y * y + z * z)
        sums.distances[i] += weights[i] * distance
        _write_basis(x / distance, y / distance, z / distance, whole[1:])
        for k in range(sums.basis.shape[1]):
            sums.basis[i, k] += weights[i] * whole[1 + k]
        own = sums.parts[block, sums.regions[i]]
        for row in range(whole.shape[0]):
            weighted = squares[i] * whole[row]
            for column in range(row, whole.shape[0]):
                own[row, column] += weighted * whole[column]
