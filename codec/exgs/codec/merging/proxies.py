"""Remainder proxies: few merged Gaussians that stand for all that have not arrived yet.

Each cluster becomes one Gaussian by moment matching: mean and covariance of the mixture, mean
colour, and the opacity that conserves the area that the members are seen to cover.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import prange

from exgs.scene.cpu.projection import axes_of
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.kernel import kernel
from exgs.scene.rotations import quats_from_matrices

_OPACITY_MIN = 0.005
_OPACITY_MAX = 0.995


def merge(
    scene: Gaussians,
    colors: FloatArray,
    weights: npt.NDArray[np.floating],
    visibility: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    count: int,
) -> Gaussians:
    """`count` proxies of the clusters `labels` [N] of `scene`; SH are left out.

    Args:
        colors: [N, 3] degree-0 coefficients to average.
        weights: [N] > 0, weights of the averages.
        visibility: [N] > 0, the share of its area that is seen, in any unit: what lies hidden
            behind the others of its cluster adds nothing to the area.
        labels: [N] in [0, count), each value at least once.
    """
    total = np.bincount(labels, weights, count)

    def averaged(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return np.bincount(labels, weights * values, count) / total

    means = np.stack([averaged(scene.means[:, i]) for i in range(3)], axis=1)
    own = covariances(scene)
    offsets = scene.means - means[labels]
    mixed = np.empty((count, 3, 3))
    for number, (i, j) in enumerate(zip(*np.triu_indices(3), strict=True)):
        second = own[:, number] + offsets[:, i] * offsets[:, j]
        mixed[:, i, j] = mixed[:, j, i] = averaged(second)
    variances, vectors = np.linalg.eigh(mixed)
    vectors[:, :, 0] *= np.sign(np.linalg.det(vectors))[:, None]
    largest = variances.max(axis=1, keepdims=True)
    scales = np.sqrt(np.maximum(variances, 1e-12 * largest + 1e-30))
    seen = scene.opacities * mean_area(scene.scales) * visibility
    usual = np.bincount(labels, seen * visibility, count)
    covered = np.square(np.bincount(labels, seen, count)) / np.maximum(usual, 1e-300)
    opacities = np.clip(covered / mean_area(scales), _OPACITY_MIN, _OPACITY_MAX)
    sh0 = np.stack([averaged(colors[:, i]) for i in range(3)], axis=1)
    return Gaussians(
        means.astype(np.float32),
        quats_from_matrices(vectors).astype(np.float32),
        scales.astype(np.float32),
        opacities.astype(np.float32),
        sh0.astype(np.float32),
        np.zeros((count, 0, 3), np.float32),
    )


def mean_area(scales: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Silhouette area of ellipsoids [N, 3] up to a constant: largest face plus half the others."""
    a, b, c = scales.T.astype(np.float64)
    low, high = np.minimum(a, b), np.maximum(a, b)
    longest, rest = np.maximum(high, c), np.minimum(high, c)
    middle, shortest = np.maximum(low, rest), np.minimum(low, rest)
    area: npt.NDArray[np.float64] = longest * middle + 0.5 * shortest * (middle + longest)
    return area


def covariances(scene: Gaussians) -> npt.NDArray[np.float64]:
    """Covariances [N, 6] of `scene`, world units squared: xx, xy, xz, yy, yz, zz."""
    out = np.empty((len(scene), 6))
    _write_covariances(scene.quats, scene.scales, out)
    return out


@kernel(parallel=True)
def _write_covariances(quats: FloatArray, scales: FloatArray, out: npt.NDArray[np.float64]) -> None:
    for i in prange(out.shape[0]):
        _write_covariance(quats[i], scales[i], out[i])


@kernel()
def _write_covariance(quat: FloatArray, scale: FloatArray, out: npt.NDArray[np.float64]) -> None:
    out[:] = 0
    axes = axes_of(quat)
    for axis in range(3):
        x, y, z = axes[axis]
        variance = np.float64(scale[axis]) ** 2
        out[0] += variance * x * x
        out[1] += variance * x * y
        out[2] += variance * x * z
        out[3] += variance * y * y
        out[4] += variance * y * z
        out[5] += variance * z * z
