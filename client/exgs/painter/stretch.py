"""Stretches leaves until they reach their neighbours, to show where leaves are missing.

Layers without proxies have a leaf in every occupied voxel, so missing leaves lie between those that
have arrived. Each leaf is stretched along its own axes; a flat leaf stays flat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.payload.morton import morton_encode
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import DoubleArray
from exgs.scene.rotations import rotation_matrices

Ints = npt.NDArray[np.int64]

NEIGHBOURS = 6
SLAB = 1 << 14  # leaves processed at a time
_CURVES = 3  # rotated and shifted Morton curves along which neighbours are searched
_WINDOW = 5  # positions along each curve, in each direction
_FAR = 2.0  # times the median distance; farther neighbours count as if they were this near
_GRID_BITS = 20
_TINY = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The neighbours of n leaves, among more than 6 leaves."""

    nearest: Ints  # [n, 6] indices of the nearest leaves, nearest first
    distances: DoubleArray  # [n, 6] to the nearest leaves
    offsets: DoubleArray  # [n, 6, 3] to the nearest leaves, shortened for outliers
    all_offsets: DoubleArray  # [n, c, 3] to all candidates; 0 for repeated candidates
    count: Ints  # [n, 1] number of different candidates


def stretched(leaves: Gaussians, candidates: Ints | None = None) -> Gaussians:
    """Enlarge each scale to at least the root mean square offset of the neighbours along its axis.

    Returns `leaves` itself if there are 6 or fewer. `candidates` is the result of
    `find_candidates`, if it is known already.
    """
    count = len(leaves)
    if count <= NEIGHBOURS:
        return leaves
    if candidates is None:
        candidates = find_candidates(leaves.means)
    reach = np.empty((count, 3), np.float32)
    for start in range(0, count, SLAB):
        rows = slice(start, start + SLAB)
        offsets = find_neighbours(leaves.means, candidates, rows).offsets
        along = offsets @ rotation_matrices(leaves.quats[rows])
        reach[rows] = np.sqrt(np.square(along).mean(axis=1))
    return replace(leaves, scales=np.maximum(leaves.scales, reach))


def find_neighbours(means: FloatArray, candidates: Ints, rows: slice) -> Neighbours:
    """Find the neighbours of the leaves of `rows`, from `means` [N, 3] and `candidates` [N, c]."""
    own = candidates[rows]
    all_offsets = means[own].astype(np.float64) - means[rows, None]
    distances = np.linalg.norm(all_offsets, axis=2)
    repeated = np.zeros(distances.shape, bool)
    repeated[:, 1:] = own[:, 1:] == own[:, :-1]  # found along several curves
    distances[repeated], all_offsets[repeated] = np.inf, 0
    columns = np.argpartition(distances, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    order = np.argsort(np.take_along_axis(distances, columns, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    distances = np.take_along_axis(distances, columns, axis=1)
    offsets = np.take_along_axis(all_offsets, columns[..., None], axis=1)
    median = np.median(distances, axis=1, keepdims=True)
    offsets = offsets * np.minimum(1, _FAR * median / np.maximum(distances, _TINY))[..., None]
    nearest = np.take_along_axis(own, columns, axis=1)
    count = (~repeated).sum(axis=1, keepdims=True)
    return Neighbours(nearest, distances, offsets, all_offsets, count)


def find_candidates(means: FloatArray) -> Ints:
    """Indices [N, c], ascending, of leaves that are close along one of the Morton curves."""
    rng = np.random.default_rng(0)
    low, high = np.percentile(means, [0.5, 99.5], axis=0)
    extent = 3 * max(float((high - low).max()), 1e-30)
    steps = np.delete(np.arange(-_WINDOW, _WINDOW + 1), _WINDOW)
    found = []
    for _ in range(_CURVES):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        cells = ((means - (low + high) / 2) / extent) @ turn + rng.uniform(0.45, 0.55, 3)
        grid = np.clip(cells, 0, 1 - 2.0**-_GRID_BITS) * (1 << _GRID_BITS)
        order = np.argsort(morton_encode(grid.astype(np.int64)), kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        found.append(order[(place[:, None] + steps) % len(order)])
    return np.sort(np.concatenate(found, axis=1), axis=1)
