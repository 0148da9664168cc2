"""Moments of Gaussians and of clusters of Gaussians."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import prange

from exgs.scene.cpu.projection import axes_of
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.kernel import kernel

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def cluster_means(
    values: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
    labels: Integers,
    count: int,
) -> Doubles:
    """Means [count, D] of `values` [N, D] weighted by `weights` [N] > 0, by cluster.

    `labels` [N] lie in [0, count); each cluster has at least one member.
    """
    total = np.bincount(labels, weights, count)
    columns = [np.bincount(labels, weights * column, count) / total for column in values.T]
    return np.stack(columns, axis=1)


def cluster_moments(
    means: npt.NDArray[np.floating],
    covariances: Doubles,
    weights: npt.NDArray[np.floating],
    labels: Integers,
    count: int,
) -> tuple[Doubles, Doubles]:
    """Means [count, 3] and covariances [count, 6] of clusters of Gaussians (moment matching).

    The arguments `means` [N, 3] and `covariances` [N, 6] describe the members; the others are those
    of `cluster_means`. Covariances are xx, xy, xz, yy, yz, zz.
    """
    centers = cluster_means(means, weights, labels, count)
    offsets = means - centers[labels]
    rows, columns = np.triu_indices(3)
    second = covariances + offsets[:, rows] * offsets[:, columns]
    return centers, cluster_means(second, weights, labels, count)


def covariances(scene: Gaussians) -> npt.NDArray[np.float64]:
    """Covariances [N, 6] of the Gaussians, world units squared: xx, xy, xz, yy, yz, zz."""
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
