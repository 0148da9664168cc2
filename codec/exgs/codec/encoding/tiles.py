"""Spatial tiles: a balanced kd tree over the means, cut at one level per layer.

Tile t of level k has the children 2t and 2t + 1 of level k + 1, so a tile of any level covers a
contiguous range of the finest tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_MAGNITUDE
from exgs.scene.gaussians import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class TileTree:
    """Cuts of a complete binary tree in heap order: node i has the children 2i + 1 and 2i + 2."""

    level: int
    axes: npt.NDArray[np.int64]  # [2^level - 1] axis of each cut
    cuts: FloatArray  # [2^level - 1] a point below the cut is in the first child

    @property
    def count(self) -> int:
        """Number of finest tiles."""
        return 1 << self.level

    def locate(self, points: FloatArray) -> npt.NDArray[np.int64]:
        """The finest tile [N] of each point [N, 3]."""
        node = np.zeros(len(points), np.int64)
        rows = np.arange(len(points))
        for _ in range(self.level):
            beyond = points[rows, self.axes[node]] >= self.cuts[node]
            node = 2 * node + 1 + beyond
        return node - (self.count - 1)


def build_tiles(means: FloatArray, level: int) -> TileTree:
    """`level` halvings of `means` [N, 3] at the median of the widest axis.

    The widest axis is judged between the 2nd and the 98th percentile, so that floaters far out
    don't decide the cut.
    """
    inner = (1 << level) - 1
    axes = np.zeros(inner, np.int64)
    cuts = np.zeros(inner, np.float32)
    groups = [np.arange(len(means))]
    node = 0
    for _ in range(level):
        halves = []
        for group in groups:
            points = means[group]
            if len(group):
                low, high = np.percentile(points, [2, 98], axis=0)
                axes[node] = np.argmax(high - low)
                cuts[node] = np.median(points[:, axes[node]])
            beyond = points[:, axes[node]] >= cuts[node]
            halves += [group[~beyond], group[beyond]]
            node += 1
        groups = halves
    return TileTree(level, axes, cuts)


def tile_bounds(means: FloatArray, tile: npt.NDArray[np.int64], count: int) -> FloatArray:
    """Minimum and maximum of the means in each of `count` tiles, [count, 2, 3]; 0 where empty."""
    low = np.full((count, 3), np.inf, np.float32)
    high = np.full((count, 3), -np.inf, np.float32)
    np.minimum.at(low, tile, means)
    np.maximum.at(high, tile, means)
    bounds = np.stack([low, high], axis=1)
    finite = np.where(np.isfinite(bounds), bounds, 0)
    return np.clip(finite, -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.float32)
