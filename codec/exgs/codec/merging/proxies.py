"""Merges each cluster of Gaussians into one proxy.

A proxy has the mean and covariance of its cluster (moment matching), its mean colour, and the
opacity for which it covers the visible area of its members.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.codec.merging.moments import cluster_means, cluster_moments, covariances
from exgs.scene.gaussians import FloatArray, Gaussians
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
    """One proxy for each of the `count` clusters of `scene`; proxies have SH degree 0.

    Args:
        scene: N Gaussians.
        colors: [N, 3] degree-0 coefficients to average.
        weights: [N] > 0, weights of the averages.
        visibility: [N] > 0, the visible share of each Gaussian's area, in any unit: members that
            are hidden behind others of their cluster add nothing to the area of the proxy.
        labels: [N] the cluster of each Gaussian, in [0, count); each value occurs.
        count: number of clusters.
    """
    means, upper = cluster_moments(scene.means, covariances(scene), weights, labels, count)
    matrices = np.empty((count, 3, 3))
    for number, (i, j) in enumerate(zip(*np.triu_indices(3), strict=True)):
        matrices[:, i, j] = matrices[:, j, i] = upper[:, number]
    variances, vectors = np.linalg.eigh(matrices)
    vectors[:, :, 0] *= np.sign(np.linalg.det(vectors))[:, None]
    largest = variances.max(axis=1, keepdims=True)
    scales = np.sqrt(np.maximum(variances, 1e-12 * largest + 1e-30))
    # The sum of the visible areas, over the mean visibility weighted by visible area.
    visible = scene.opacities * mean_area(scene.scales) * visibility
    weighted = np.bincount(labels, visible * visibility, count)
    covered = np.square(np.bincount(labels, visible, count)) / np.maximum(weighted, 1e-300)
    opacities = np.clip(covered / mean_area(scales), _OPACITY_MIN, _OPACITY_MAX)
    sh0 = cluster_means(colors, weights, labels, count)
    return Gaussians(
        means.astype(np.float32),
        quats_from_matrices(vectors).astype(np.float32),
        scales.astype(np.float32),
        opacities.astype(np.float32),
        sh0.astype(np.float32),
        np.zeros((count, 0, 3), np.float32),
    )


def mean_area(scales: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Approximate mean projected area [N] of ellipsoids with half axes `scales` [N, 3].

    Up to a constant factor, it is the product of the two longest axes plus half of the products
    with the shortest one.
    """
    a, b, c = scales.T.astype(np.float64)
    low, high = np.minimum(a, b), np.maximum(a, b)
    longest, rest = np.maximum(high, c), np.minimum(high, c)
    middle, shortest = np.maximum(low, rest), np.minimum(low, rest)
    area: npt.NDArray[np.float64] = longest * middle + 0.5 * shortest * (middle + longest)
    return area
