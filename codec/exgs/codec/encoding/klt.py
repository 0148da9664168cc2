"""Fits the SH bases of a file: a KLT of the residual SH vectors in each region.

The Karhunen-Loève transform (KLT) consists of the eigenvectors of the weighted second moments; it
concentrates the energy in few coefficients. The views see each region from some directions only.
The bases are orthonormal in the metric of these directions, so that equal quantization steps give
equal errors of the colours in the views, and components that the views hardly show need few bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.payload.sh import ShBasis, product
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.kernel import kernel

_ALL = slice(None)

# Offsets below 0.5 round toward zero (a dead zone), which saves more bits than it adds error.
_ROUNDING = 0.44
_ZERO_ROUNDING = 0.36

# Share of the isotropic part of the metric, for views from other directions than the measured ones.
_ISOTROPIC_SHARE = 0.08

_ROW_STEPS = 9  # the root mean square of the elements of a row, in rounding steps


@dataclass(frozen=True, slots=True, eq=False)
class ShTransform:
    """The SH bases of a file with their inverses."""

    basis: ShBasis
    analysis: npt.NDArray[np.float64]  # [B, D, C]: coefficients = vectors @ analysis[number]

    def number(self, tile: int, level: int) -> int:
        """The number of the basis of `tile` at `level`."""
        return tile >> level - (len(self.basis.rows).bit_length() - 1)

    def coefficients(self, vectors: FloatArray, number: int) -> npt.NDArray[np.float64]:
        """Coefficients [N, C] of `vectors` [N, D] in basis `number`."""
        return product(vectors.astype(np.float64), self.analysis[number])


def residual_vectors(
    scene: Gaussians, base: FloatArray, index: npt.NDArray[np.integer] | slice = _ALL
) -> FloatArray:
    """SH coefficients [N, 3 + 3K] of the Gaussians at `index`, with `base` [N, 3] subtracted.

    `base` are degree-0 coefficients. Degree 0 comes first, and channels are innermost.
    """
    sh0, rest = scene.sh0[index], scene.shN[index]
    flat = rest.reshape(len(rest), 3 * rest.shape[1])  # -1 would fail without Gaussians
    return np.concatenate([sh0 - base, flat], axis=1)


def fit_transform(
    vectors: FloatArray,
    weights: npt.NDArray[np.floating],
    regions: npt.NDArray[np.integer],
    sh_moments: npt.NDArray[np.floating],
) -> ShTransform:
    """The KLT of residual vectors in each region, with rows rounded to float16 as in the file.

    Coefficients are scaled so that the sum of their squares over 4 pi is the mean square of the
    colour in the viewing directions.

    Args:
        vectors: [N, D] residual vectors, D = 3 + 3K.
        weights: [N] weights of the second moments.
        regions: [N] region of each vector, in [0, B).
        sh_moments: [B, 1 + K, 1 + K] mean of Y Y^T over the viewing directions of each region, with
            Y the SH of degree 0 and up.
    """
    rows = [
        _fit(vectors[regions == region], weights[regions == region], moments)
        for region, moments in enumerate(sh_moments)
    ]
    return _transform(rows)


def second_moments(
    vectors: FloatArray,
    weights: npt.NDArray[np.floating],
    regions: npt.NDArray[np.integer],
    region_count: int,
) -> npt.NDArray[np.float64]:
    """Second moments [R, D, D] of `vectors` [N, D] weighted by `weights` [N], by region.

    The moments of the parts of a scene add up to those of the scene.
    """
    moments = np.empty((region_count, vectors.shape[1], vectors.shape[1]))
    for region in range(region_count):
        v = vectors[regions == region].astype(np.float64)
        moments[region] = (v * weights[regions == region, None].astype(np.float64)).T @ v
    return moments


def transform_of_moments(
    vector_moments: npt.NDArray[np.float64], sh_moments: npt.NDArray[np.floating]
) -> ShTransform:
    """`fit_transform` of vectors with the second moments `vector_moments` [B, D, D]."""
    rows = []
    for of_vectors, of_views in zip(vector_moments, sh_moments, strict=True):
        root = _metric_root(of_views)
        rows.append(_eigen_rows(root.T @ of_vectors @ root, root))
    return _transform(rows)


def _rounded(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`rows` [..., D], each rounded to multiples of a power of two, so that they compress.

    Coefficients are computed for the rounded rows, so rounding adds no error. It only makes the
    coefficients a little less compact.
    """
    size = np.sqrt(np.mean(np.square(rows), axis=-1, keepdims=True))
    step = np.exp2(np.round(np.log2(size / _ROW_STEPS)))
    rounded: npt.NDArray[np.float64] = np.round(rows / step) * step
    return rounded


def _fit(
    vectors: FloatArray, weights: npt.NDArray[np.floating], moments: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """The rows [D, D] of one basis."""
    root = _metric_root(moments)
    v = vectors.astype(np.float64) @ root  # the squared norm is 4 pi times the mean squared colour
    return _eigen_rows((v * weights[:, None].astype(np.float64)).T @ v, root)


def _metric_root(moments: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The Cholesky factor [D, D] of the metric of the viewing directions."""
    isotropic = np.eye(len(moments)) / (4 * math.pi)
    metric = (1 - _ISOTROPIC_SHARE) * moments.astype(np.float64) + _ISOTROPIC_SHARE * isotropic
    root: npt.NDArray[np.float64] = np.linalg.cholesky(4 * math.pi * np.kron(metric, np.eye(3)))
    return root


def _eigen_rows(
    moments: npt.NDArray[np.float64], root: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The rows [D, D] of a basis from second moments [D, D] in the metric."""
    _, columns = np.linalg.eigh(moments)
    rows: npt.NDArray[np.float64] = np.linalg.solve(root.T, columns[:, ::-1]).T
    rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])[:, None]
    return rows


def _transform(rows: Sequence[npt.NDArray[np.float64]]) -> ShTransform:
    basis = ShBasis(_rounded(np.stack(rows)).astype(np.float16).astype(np.float32))
    return ShTransform(basis, np.linalg.pinv(basis.rows.astype(np.float64)))


def quantize(
    vectors: FloatArray, transform: ShTransform, number: int, step: float
) -> npt.NDArray[np.int64]:
    """Quantized coefficients [N, C] of `vectors` [N, D] in basis `number`, with a dead zone."""
    levels = np.empty((transform.analysis.shape[2], len(vectors)), np.int64)
    _write_levels(transform.coefficients(vectors, number), step, levels)
    return levels.T  # columns are contiguous, as in the payload


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
