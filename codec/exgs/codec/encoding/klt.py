"""Fitting the SH bases: a KLT of what the base colours lack, from where it is seen.

The eigenvectors of the weighted second moments concentrate the energy in few components
(Karhunen-Loève transform). What counts is the error of the colours that the views see, and these
look at a scene from some sides only: so orthonormal is meant in the metric of the directions
seen. Then equal steps mean equal error in what is seen, and what hardly shows costs hardly a bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.payload.sh import ShBasis, product
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.kernel import kernel

_ALL = slice(None)

# Below 0.5: a dead zone that saves more bits than it adds error, the wider around zero.
_ROUNDING = 0.44
_ZERO_ROUNDING = 0.36

# Share of the metric that all directions have alike: other views may look from where none did.
_EVERYWHERE = 0.08


@dataclass(frozen=True, slots=True, eq=False)
class ShTransform:
    """The bases of a file, and the coefficients in them: the inverse of what a decoder does."""

    basis: ShBasis
    analysis: npt.NDArray[np.float64]  # [B, D, C]: coefficients = vectors @ analysis[number]

    def number(self, tile: int, level: int) -> int:
        """Which basis the `tile` of a `level` has: one for each tile of a level below."""
        return tile >> level - (len(self.basis.rows).bit_length() - 1)

    def coefficients(self, vectors: FloatArray, number: int) -> npt.NDArray[np.float64]:
        """Coefficients [N, C] of `vectors` [N, D] in the basis of this number."""
        return product(vectors.astype(np.float64), self.analysis[number])


def residual_vectors(
    scene: Gaussians, base: FloatArray, index: npt.NDArray[np.integer] | slice = _ALL
) -> FloatArray:
    """What `base` [N, 3] lacks of `scene`, or of those at `index`: [N, 3 + 3K].

    Degree 0 comes first, and channels are innermost.
    """
    sh0, rest = scene.sh0[index], scene.shN[index]
    flat = rest.reshape(len(rest), 3 * rest.shape[1])  # also of no Gaussians
    return np.concatenate([sh0 - base, flat], axis=1)


def fit_transform(
    vectors: FloatArray,
    weights: npt.NDArray[np.floating],
    regions: npt.NDArray[np.integer],
    seen: npt.NDArray[np.floating],
) -> ShTransform:
    """The KLT of `vectors` [N, 3 + 3K] under `weights` [N] in each of the `regions` [N].

    `seen` [B, 1 + K, 1 + K] is the mean of Y Y^T over the directions from which each region is
    seen, Y being the SH of degree 0 and up. Coefficients are scaled so that their squares, over
    4 pi, add up to the mean square of the colour that is seen. Rows are as the file stores them.
    """
    rows = [_fit(vectors[regions == r], weights[regions == r], seen[r]) for r in range(len(seen))]
    basis = ShBasis(np.stack(rows).astype(np.float16).astype(np.float32))
    return ShTransform(basis, np.linalg.pinv(basis.rows.astype(np.float64)))


def _fit(
    vectors: FloatArray, weights: npt.NDArray[np.floating], seen: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """The rows [D, D] of one basis."""
    everywhere = np.eye(len(seen)) / (4 * math.pi)
    metric = (1 - _EVERYWHERE) * seen.astype(np.float64) + _EVERYWHERE * everywhere
    root = np.linalg.cholesky(4 * math.pi * np.kron(metric, np.eye(3)))
    v = vectors.astype(np.float64) @ root  # squares add up to what is seen
    _, columns = np.linalg.eigh((v * weights[:, None].astype(np.float64)).T @ v)
    rows: npt.NDArray[np.float64] = np.linalg.solve(root.T, columns[:, ::-1]).T
    rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])[:, None]
    return rows


def quantize(
    vectors: FloatArray, transform: ShTransform, number: int, step: float
) -> npt.NDArray[np.int64]:
    """Coefficients [N, C] of `vectors` [N, D] in steps, with a dead zone around zero."""
    levels = np.empty((transform.analysis.shape[2], len(vectors)), np.int64)
    _write_levels(transform.coefficients(vectors, number), step, levels)
    return levels.T  # each column lies together, as it is packed


@kernel()
def _write_levels(
    coefficients: npt.NDArray[np.float64], step: float, levels: npt.NDArray[np.int64]
) -> None:
    for i in range(coefficients.shape[0]):
        for j in range(coefficients.shape[1]):
            scaled = coefficients[i, j] / step
            size = abs(scaled)
            level = 0 if size < 1 - _ZERO_ROUNDING else int(size + _ROUNDING)
            levels[j, i] = -level if scaled < 0 else level
