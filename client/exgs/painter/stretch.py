"""Leaves stretched until they reach their neighbours: where matter lies that has not come yet.

Layers without proxies keep a leaf in every occupied voxel, so what is missing lies between leaves
that are here. Each is stretched along its own axes, a flat one within its surface.
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
SLAB = 1 << 14  # leaves at a time
_CURVES = 3  # space-filling curves, turned and moved, along which neighbours are sought
_WINDOW = 5  # steps along each curve, either way
_FAR = 2.0  # median distances: neighbours beyond lie on something else and count as if so near
_GRID_BITS = 20
_TINY = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """What lies near n leaves; of more than 6 leaves in all."""

    around: Ints  # [n, 6] the nearest leaves, nearest first
    distance: DoubleArray  # [n, 6] to them
    close: DoubleArray  # [n, 6, 3] the way to them, cut where one lies far beyond the others
    wider: DoubleArray  # [n, c, 3] the way to all that were found; 0 for one that was found before
    found: Ints  # [n, 1] how many these are


def stretched(leaves: Gaussians, near_by: Ints | None = None) -> Gaussians:
    """`leaves` [N], each scale at least the mean square reach to its neighbours along that axis.

    `near_by` are their `candidates`, where these are known already.
    """
    count = len(leaves)
    if count <= NEIGHBOURS:
        return leaves
    if near_by is None:
        near_by = candidates(leaves.means)
    reach = np.empty((count, 3), np.float32)
    for start in range(0, count, SLAB):
        rows = slice(start, start + SLAB)
        along = near(leaves.means, near_by, rows).close @ rotation_matrices(leaves.quats[rows])
        reach[rows] = np.sqrt(np.square(along).mean(axis=1))
    return replace(leaves, scales=np.maximum(leaves.scales, reach))


def near(means: FloatArray, near_by: Ints, rows: slice) -> Near:
    """What lies near the leaves of `rows`, of those at `means` [N, 3] with `near_by` [N, c]."""
    found_at = near_by[rows]
    wider = means[found_at].astype(np.float64) - means[rows, None]
    distance = np.linalg.norm(wider, axis=2)
    again = np.zeros(distance.shape, bool)
    again[:, 1:] = found_at[:, 1:] == found_at[:, :-1]  # along several curves
    distance[again], wider[again] = np.inf, 0
    nearest = np.argpartition(distance, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    order = np.argsort(np.take_along_axis(distance, nearest, axis=1), axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=1)
    distance = np.take_along_axis(distance, nearest, axis=1)
    close = np.take_along_axis(wider, nearest[..., None], axis=1)
    middle = np.median(distance, axis=1, keepdims=True)
    close = close * np.minimum(1, _FAR * middle / np.maximum(distance, _TINY))[..., None]
    around = np.take_along_axis(found_at, nearest, axis=1)
    return Near(around, distance, close, wider, (~again).sum(axis=1, keepdims=True))


def candidates(means: FloatArray) -> Ints:
    """Indices [N, c], ascending, of leaves that lie close along some space-filling curve."""
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
