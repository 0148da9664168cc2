"""Leaves stretched until they reach their neighbours: where matter lies that has not come yet.

Layers without proxies keep a leaf in every occupied voxel, so what is missing lies between leaves
that are here. Each is stretched along its own axes, a flat one within its surface.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from exgs.codec.morton import morton_encode
from exgs.codec.proxies import rotation_matrices
from exgs.scene.gaussians import FloatArray, Gaussians

Ints = npt.NDArray[np.int64]

_NEIGHBOURS = 6
_CURVES = 3  # space-filling curves, turned and moved, along which neighbours are sought
_WINDOW = 5  # steps along each curve, either way
_FAR = 2.0  # median distances: neighbours beyond lie on something else and count as if so near
_GRID_BITS = 20
_SLAB = 1 << 14  # leaves at a time


def stretched(leaves: Gaussians) -> Gaussians:
    """`leaves` [N], each scale at least the mean square reach to its neighbours along that axis."""
    count = len(leaves)
    if count <= _NEIGHBOURS:
        return leaves
    around = candidates(leaves.means)
    reach = np.empty((count, 3), np.float32)
    for start in range(0, count, _SLAB):
        rows = slice(start, start + _SLAB)
        offsets = leaves.means[around[rows]] - leaves.means[rows, None]
        axes = rotation_matrices(leaves.quats[rows]).astype(np.float32)
        reach[rows] = _reach(offsets, around[rows], axes)
    return replace(leaves, scales=np.maximum(leaves.scales, reach))


def _reach(offsets: FloatArray, around: Ints, axes: FloatArray) -> FloatArray:
    """Root mean squares [n, 3] of the nearest of `offsets` [n, c, 3] along `axes` [n, 3, 3]."""
    distance = np.linalg.norm(offsets, axis=2)
    distance[:, 1:][around[:, 1:] == around[:, :-1]] = np.inf  # found along several curves
    nearest = np.argpartition(distance, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    offsets = np.take_along_axis(offsets, nearest[..., None], axis=1)
    distance = np.take_along_axis(distance, nearest, axis=1)
    middle = np.median(distance, axis=1, keepdims=True)
    offsets = offsets * np.minimum(1, _FAR * middle / np.maximum(distance, 1e-30))[..., None]
    along: FloatArray = np.sqrt(np.square(offsets @ axes).mean(axis=1))
    return along


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
