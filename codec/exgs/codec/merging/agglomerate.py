"""Pairwise agglomeration: which Gaussians are merged into one proxy.

Neighbours whose merging changes the picture least are merged first, a share of all in each round,
until as many are left as asked for. On the screen a Gaussian is light spread over its footprint;
the error of a merge is the energy of what two of them show less what the merged one would show,
in each colour and in coverage, averaged over three directions of view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import prange

from exgs.codec.merging.proxies import covariances
from exgs.codec.payload.morton import morton_encode
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.kernel import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COVERAGE = 1.0  # weight of an error of coverage, against one of a colour channel
_ROUND_SHARE = 0.25  # of all that may be merged in one round
_CURVES = 3  # space-filling curves, turned at random, along which neighbours are sought
_REACH = 6  # steps along each curve
_BLUR_PIXELS = 0.5  # standard deviation; the screen filter's is 0.55
_GRID_BITS = 20
_BLOCKS = 64  # parts of a curve that are dealt out to the threads


@dataclass(frozen=True, slots=True, eq=False)
class Blobs:
    """N Gaussians as lights."""

    means: Floats  # [N, 3] world units
    covariances: Floats  # [N, 6]: xx, xy, xz, yy, yz, zz
    masses: Floats  # [N] > 0, how much of the pictures they make up
    colors: Floats  # [N, 3] linear RGB
    distances: Floats  # [N] > 0, typical viewing distance

    def __len__(self) -> int:
        return len(self.masses)

    def select(self, keep: npt.NDArray[np.bool_] | Ints) -> Blobs:
        """Those at `keep` (a mask or integers), in that order."""
        return Blobs(
            self.means[keep],
            self.covariances[keep],
            self.masses[keep],
            self.colors[keep],
            self.distances[keep],
        )


def as_blobs(
    scene: Gaussians,
    colors: npt.NDArray[np.floating],
    masses: npt.NDArray[np.floating],
    distances: npt.NDArray[np.floating],
    pixel_sizes: npt.NDArray[np.floating],
) -> Blobs:
    """`scene` [N] as lights, blurred by half a pixel; `colors` [N, 3] degree-0 coefficients."""
    blurred = covariances(scene)
    blurred[:, [0, 3, 5]] += np.square(_BLUR_PIXELS * pixel_sizes.astype(np.float64))[:, None]
    return Blobs(
        scene.means.astype(np.float64),
        blurred,
        masses.astype(np.float64),
        0.5 + SH_C0 * colors.astype(np.float64),
        distances.astype(np.float64),
    )


def agglomerate(blobs: Blobs, tile: Ints, count: int) -> Ints:
    """Labels [N] of about `count` clusters, none of which spans two values of `tile` [N]."""
    labels = np.arange(len(blobs))
    rng = np.random.default_rng(0)
    while len(blobs) > count:
        n = len(blobs)
        mate = _mates(blobs, tile, min(n - count, math.ceil(_ROUND_SHARE * n)), rng)
        first = np.flatnonzero(mate > np.arange(n))
        if not len(first):
            break
        second = mate[first]
        blobs = _merged(blobs, first, second)
        keep = np.ones(n, bool)
        keep[second] = False
        number = np.cumsum(keep) - 1
        number[second] = number[first]
        labels = number[labels]
        blobs, tile = blobs.select(keep), tile[keep]
    return labels


def summed(blobs: Blobs, labels: Ints, count: int) -> Blobs:
    """One blob for each of `count` clusters `labels` [N]: moments weighted by mass."""
    masses: Floats = np.bincount(labels, blobs.masses, count).astype(np.float64)

    def averaged(values: Floats) -> Floats:
        columns = [np.bincount(labels, blobs.masses * v, count) / masses for v in values.T]
        return np.stack(columns, axis=1)

    means = averaged(blobs.means)
    spread = _outer(blobs.means - means[labels])
    return Blobs(
        means,
        averaged(blobs.covariances + spread),
        masses,
        averaged(blobs.colors),
        averaged(blobs.distances[:, None])[:, 0],
    )


def _merged(blobs: Blobs, first: Ints, second: Ints) -> Blobs:
    """All blobs, with those at `second` merged into those at `first`."""
    touched = np.concatenate([first, second])
    place = np.concatenate([np.arange(len(first))] * 2)
    part = summed(blobs.select(touched), place, len(first))
    columns: list[Floats] = []
    for name in ("means", "covariances", "masses", "colors", "distances"):
        column = getattr(blobs, name).copy()
        column[first] = getattr(part, name)
        columns.append(column)
    return Blobs(*columns)


def _outer(offsets: Floats) -> Floats:
    """Upper triangles [N, 6] of the outer products of `offsets` [N, 3] with themselves."""
    rows, columns = np.triu_indices(3)
    product: Floats = offsets[:, rows] * offsets[:, columns]
    return product


def _mates(blobs: Blobs, tile: Ints, limit: int, rng: np.random.Generator) -> Ints:
    """The partner [N] of each blob that is to be merged, -1 for the others; `limit` pairs."""
    n = len(blobs)
    own = _own_energy(blobs.covariances)
    best, least = np.full(n, -1, np.int64), np.full(n, np.inf)
    for _ in range(_CURVES):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        order = _along_curve(blobs.means @ turn, rng.random(3))
        _find_best(
            order,
            blobs.means,
            blobs.covariances,
            blobs.masses,
            blobs.colors,
            blobs.distances,
            tile,
            own,
            best,
            least,
        )
    return _match(np.argsort(least, kind="stable"), best, limit)


def _along_curve(means: Floats, shift: Floats) -> Ints:
    """The order of `means` along a space-filling curve, the grid moved by `shift` in [0, 1)."""
    low, high = np.percentile(means, [0.5, 99.5], axis=0)
    extent = 2 * max(float((high - low).max()), 1e-30)
    cells = (means - low) / extent + 0.25 * shift + 0.125
    grid = np.clip(cells * (1 << _GRID_BITS), 0, (1 << _GRID_BITS) - 1)
    return np.argsort(morton_encode(grid.astype(np.int64)), kind="stable")


@kernel()
def _overlap(c: Floats, x: float, y: float, z: float) -> float:
    """Inner product of two footprints of mass 1, `c` [6] their summed covariance.

    Up to a constant; (x, y, z) is the offset of their means. Mean over views along the axes.
    """
    return (
        _flat_overlap(c[0], c[1], c[3], x, y)
        + _flat_overlap(c[0], c[2], c[5], x, z)
        + _flat_overlap(c[3], c[4], c[5], y, z)
    )


@kernel()
def _flat_overlap(xx: float, xy: float, yy: float, x: float, y: float) -> float:
    det = xx * yy - xy * xy
    return math.exp(-0.5 * (yy * x * x - 2 * xy * x * y + xx * y * y) / det) / math.sqrt(det)


@kernel()
def _own_energy(covariances: Floats) -> Floats:
    energy = np.empty(covariances.shape[0])
    for i in range(covariances.shape[0]):
        energy[i] = _overlap(2 * covariances[i], 0.0, 0.0, 0.0)
    return energy


@kernel(parallel=True)
def _find_best(
    order: Ints,
    means: Floats,
    covariances: Floats,
    masses: Floats,
    colors: Floats,
    distances: Floats,
    tile: Ints,
    own: Floats,
    best: Ints,
    least: Floats,
) -> None:
    """Lower `least` [N] to the error of merging with `best` [N], a neighbour in `order`."""
    for block in prange(_BLOCKS):
        _find_range(
            block, order, means, covariances, masses, colors, distances, tile, own, best, least
        )


@kernel()
def _find_range(
    block: int,
    order: Ints,
    means: Floats,
    covariances: Floats,
    masses: Floats,
    colors: Floats,
    distances: Floats,
    tile: Ints,
    own: Floats,
    best: Ints,
    least: Floats,
) -> None:
    n = order.shape[0]
    both, merged = np.empty(6), np.empty(6)
    for place in range(block * n // _BLOCKS, (block + 1) * n // _BLOCKS):
        i = order[place]
        for other in range(max(place - _REACH, 0), min(place + _REACH + 1, n)):
            j = order[other]
            if i == j or tile[i] != tile[j]:
                continue
            error = _merge_error(i, j, means, covariances, masses, colors, own, both, merged)
            error *= distances[i] * distances[j]  # footprints shrink with the distance
            if error < least[i]:
                least[i], best[i] = error, j


@kernel()
def _merge_error(
    i: int,
    j: int,
    means: Floats,
    covariances: Floats,
    masses: Floats,
    colors: Floats,
    own: Floats,
    both: Floats,
    merged: Floats,
) -> float:
    """Energy of m_i N_i + m_j N_j - (m_i + m_j) N, with N of the merged moments."""
    a = masses[i] / (masses[i] + masses[j])
    b = 1 - a
    x, y, z = means[j, 0] - means[i, 0], means[j, 1] - means[i, 1], means[j, 2] - means[i, 2]
    first, second = covariances[i], covariances[j]
    for k in range(6):
        merged[k] = a * first[k] + b * second[k]
        both[k] = first[k] + second[k]
    for k, product in enumerate((x * x, x * y, x * z, y * y, y * z, z * z)):
        merged[k] += a * b * product
    first_second = _overlap(both, x, y, z)
    for k in range(6):
        both[k] = first[k] + merged[k]
    first_merged = _overlap(both, b * x, b * y, b * z)
    for k in range(6):
        both[k] = second[k] + merged[k]
    second_merged = _overlap(both, a * x, a * y, a * z)
    for k in range(6):
        both[k] = 2 * merged[k]
    merged_merged = _overlap(both, 0.0, 0.0, 0.0)
    error = 0.0
    for channel in range(4):
        p = masses[i] * (colors[i, channel] if channel < 3 else COVERAGE)
        q = masses[j] * (colors[j, channel] if channel < 3 else COVERAGE)
        whole = p + q
        error += (
            p * p * own[i]
            + q * q * own[j]
            + whole * whole * merged_merged
            + 2 * p * q * first_second
            - 2 * whole * (p * first_merged + q * second_merged)
        )
    return error


@kernel()
def _match(rank: Ints, best: Ints, limit: int) -> Ints:
    """Pairs of i and best[i], in the order of `rank` where both are still free."""
    mate = np.full(rank.shape[0], -1, np.int64)
    pairs = 0
    for i in rank:
        j = best[i]
        if j < 0 or mate[i] >= 0 or mate[j] >= 0:
            continue
        mate[i], mate[j] = j, i
        pairs += 1
        if pairs >= limit:
            break
    return mate
