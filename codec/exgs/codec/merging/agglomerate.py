"""Pairwise agglomeration: chooses which Gaussians are merged into one proxy.

Each round merges up to 25% of the components, those pairs of neighbours first whose merging changes
the picture least, until the wanted number is left. The error of a merge is the integral of the
squared difference, on the screen, between two components and their merged component. It is computed
for each colour channel and for coverage, and averaged over the directions of the three axes. This
is a cost function of Gaussian mixture reduction (integral squared error, Williams and Maybeck 2003)
in two dimensions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import prange

from exgs.codec.merging.moments import cluster_means, cluster_moments, covariances
from exgs.codec.payload.morton import morton_encode
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.kernel import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_COVERAGE_WEIGHT = 1.0  # of an error of coverage, relative to one of a colour channel
_ROUND_SHARE = 0.25  # of the components are merged in one round, at most
_CURVES = 3  # randomly rotated space-filling curves along which neighbours are searched
_NEIGHBOURS = 6  # in each direction along a curve
_BLUR_PIXELS = 0.5  # standard deviation; that of the screen filter is 0.55
_GRID_BITS = 20
_BLOCKS = 64  # parts of a curve that are distributed over the threads


class Mixture(NamedTuple):
    """A mixture of N Gaussian components."""

    means: Floats  # [N, 3] world units
    covariances: Floats  # [N, 6]: xx, xy, xz, yy, yz, zz, world units squared
    weights: Floats  # [N] > 0, contribution to the pictures
    colors: Floats  # [N, 3] linear RGB
    distances: Floats  # [N] > 0, mean viewing distance, world units

    @property
    def size(self) -> int:
        """The number of components."""
        return len(self.weights)

    def select(self, keep: npt.NDArray[np.bool_] | Ints) -> Mixture:
        """The components at `keep` (a mask or indices), in that order."""
        return Mixture(*(column[keep] for column in self))


def as_mixture(
    scene: Gaussians,
    colors: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
    distances: npt.NDArray[np.floating],
    pixel_sizes: npt.NDArray[np.floating],
) -> Mixture:
    """The N Gaussians of `scene` as mixture components, blurred by half a pixel.

    `colors` [N, 3] are degree-0 coefficients; `weights`, `distances` and `pixel_sizes` (world units
    per pixel) are [N].
    """
    blurred = covariances(scene)
    blurred[:, [0, 3, 5]] += np.square(_BLUR_PIXELS * pixel_sizes.astype(np.float64))[:, None]
    return Mixture(
        scene.means.astype(np.float64),
        blurred,
        weights.astype(np.float64),
        0.5 + SH_C0 * colors.astype(np.float64),
        distances.astype(np.float64),
    )


def agglomerate(mixture: Mixture, tile: Ints, count: int) -> Ints:
    """Cluster labels [N] of the components; each cluster lies in one value of `tile` [N].

    There are `count` clusters, or more if fewer would span two tiles.
    """
    labels = np.arange(mixture.size)
    rng = np.random.default_rng(0)
    while mixture.size > count:
        n = mixture.size
        partner = _partners(mixture, tile, min(n - count, math.ceil(_ROUND_SHARE * n)), rng)
        first = np.flatnonzero(partner > np.arange(n))
        if not len(first):
            break
        second = partner[first]
        mixture = _with_merged_pairs(mixture, first, second)
        keep = np.ones(n, bool)
        keep[second] = False
        number = np.cumsum(keep) - 1
        number[second] = number[first]
        labels = number[labels]
        mixture, tile = mixture.select(keep), tile[keep]
    return labels


def merge_components(mixture: Mixture, labels: Ints, count: int) -> Mixture:
    """One component with the moments of each of the `count` clusters `labels` [N]."""
    total: Floats = np.bincount(labels, mixture.weights, count).astype(np.float64)
    means, merged = cluster_moments(
        mixture.means, mixture.covariances, mixture.weights, labels, count
    )
    colors = cluster_means(mixture.colors, mixture.weights, labels, count)
    distances = cluster_means(mixture.distances[:, None], mixture.weights, labels, count)
    return Mixture(means, merged, total, colors, distances[:, 0])


def _with_merged_pairs(mixture: Mixture, first: Ints, second: Ints) -> Mixture:
    """All components; those at `first` are merged with those at `second`, which stay unchanged."""
    members = np.concatenate([first, second])
    pair = np.concatenate([np.arange(len(first))] * 2)
    merged = merge_components(mixture.select(members), pair, len(first))
    columns = [column.copy() for column in mixture]
    for column, values in zip(columns, merged, strict=True):
        column[first] = values
    return Mixture(*columns)


def _partners(mixture: Mixture, tile: Ints, limit: int, rng: np.random.Generator) -> Ints:
    """For each component, the one it is merged with, or -1 [N]; at most `limit` pairs."""
    n = mixture.size
    self_overlap = _self_overlaps(mixture.covariances)
    best, least = np.full(n, -1, np.int64), np.full(n, np.inf)
    for _ in range(_CURVES):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        order = _along_curve(mixture.means @ rotation, rng.random(3))
        _find_best(order, mixture, tile, self_overlap, best, least)
    return _match(np.argsort(least, kind="stable"), best, limit)


def _along_curve(means: Floats, shift: Floats) -> Ints:
    """The order of `means` [N, 3] along a Morton curve; `shift` [3] in [0, 1) moves its grid."""
    low, high = np.percentile(means, [0.5, 99.5], axis=0)
    extent = 2 * max(float((high - low).max()), 1e-30)
    normalized = (means - low) / extent + 0.25 * shift + 0.125
    grid = np.clip(normalized * (1 << _GRID_BITS), 0, (1 << _GRID_BITS) - 1)
    return np.argsort(morton_encode(grid.astype(np.int64)), kind="stable")


@kernel()
def _overlap(c: Floats, x: float, y: float, z: float) -> float:
    """The integral of the product of two projected components of weight 1, up to a constant.

    `c` [6] is the sum of their covariances, (x, y, z) the difference of their means. The result is
    summed over the projections along the three axes.
    """
    return (
        _overlap_2d(c[0], c[1], c[3], x, y)
        + _overlap_2d(c[0], c[2], c[5], x, z)
        + _overlap_2d(c[3], c[4], c[5], y, z)
    )


@kernel()
def _overlap_2d(xx: float, xy: float, yy: float, x: float, y: float) -> float:
    det = xx * yy - xy * xy
    return math.exp(-0.5 * (yy * x * x - 2 * xy * x * y + xx * y * y) / det) / math.sqrt(det)


@kernel(allocates=True)
def _self_overlaps(covariances: Floats) -> Floats:
    overlaps = np.empty(covariances.shape[0])
    for i in range(covariances.shape[0]):
        overlaps[i] = _overlap(2 * covariances[i], 0.0, 0.0, 0.0)
    return overlaps


@kernel(parallel=True)
def _find_best(
    order: Ints, mixture: Mixture, tile: Ints, self_overlap: Floats, best: Ints, least: Floats
) -> None:
    """Update `best` [N] and `least` [N], the cheapest partner and its error, along `order` [N]."""
    for block in prange(_BLOCKS):
        _find_best_in_block(block, order, mixture, tile, self_overlap, best, least)


@kernel(allocates=True)
def _find_best_in_block(
    block: int,
    order: Ints,
    mixture: Mixture,
    tile: Ints,
    self_overlap: Floats,
    best: Ints,
    least: Floats,
) -> None:
    n = order.shape[0]
    distances = mixture.distances
    summed, merged = np.empty(6), np.empty(6)
    for place in range(block * n // _BLOCKS, (block + 1) * n // _BLOCKS):
        i = order[place]
        for other in range(max(place - _NEIGHBOURS, 0), min(place + _NEIGHBOURS + 1, n)):
            j = order[other]
            if i == j or tile[i] != tile[j]:
                continue
            error = _merge_error(i, j, mixture, self_overlap, summed, merged)
            error *= distances[i] * distances[j]  # in pixels: areas shrink with the distance
            if error < least[i]:
                least[i], best[i] = error, j


@kernel()
def _merge_error(
    i: int, j: int, mixture: Mixture, self_overlap: Floats, summed: Floats, merged: Floats
) -> float:
    """The integral of (w_i N_i + w_j N_j - (w_i + w_j) N)^2, with N of the merged moments.

    `summed` [6] and `merged` [6] are working memory.
    """
    means, weights, colors = mixture.means, mixture.weights, mixture.colors
    a = weights[i] / (weights[i] + weights[j])
    b = 1 - a
    x, y, z = means[j, 0] - means[i, 0], means[j, 1] - means[i, 1], means[j, 2] - means[i, 2]
    first, second = mixture.covariances[i], mixture.covariances[j]
    for k in range(6):
        merged[k] = a * first[k] + b * second[k]
        summed[k] = first[k] + second[k]
    for k, product in enumerate((x * x, x * y, x * z, y * y, y * z, z * z)):
        merged[k] += a * b * product
    first_second = _overlap(summed, x, y, z)
    for k in range(6):
        summed[k] = first[k] + merged[k]
    first_merged = _overlap(summed, b * x, b * y, b * z)
    for k in range(6):
        summed[k] = second[k] + merged[k]
    second_merged = _overlap(summed, a * x, a * y, a * z)
    for k in range(6):
        summed[k] = 2 * merged[k]
    merged_merged = _overlap(summed, 0.0, 0.0, 0.0)
    error = 0.0
    for channel in range(4):
        p = weights[i] * (colors[i, channel] if channel < 3 else _COVERAGE_WEIGHT)
        q = weights[j] * (colors[j, channel] if channel < 3 else _COVERAGE_WEIGHT)
        both = p + q
        error += (
            p * p * self_overlap[i]
            + q * q * self_overlap[j]
            + both * both * merged_merged
            + 2 * p * q * first_second
            - 2 * both * (p * first_merged + q * second_merged)
        )
    return error


@kernel(allocates=True)
def _match(rank: Ints, best: Ints, limit: int) -> Ints:
    """Pairs of i and best[i], in the order of `rank`, if both are still free: partners [N]."""
    partner = np.full(rank.shape[0], -1, np.int64)
    pairs = 0
    for i in rank:
        j = best[i]
        if j < 0 or partner[i] >= 0 or partner[j] >= 0:
            continue
        partner[i], partner[j] = j, i
        pairs += 1
        if pairs >= limit:
            break
    return partner
