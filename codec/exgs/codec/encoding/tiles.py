"""Spatial tiles: the nodes of a balanced k-d tree over the means. A layer uses one of its levels.

Tile t of level k contains the tiles 2t and 2t + 1 of level k + 1, so a tile of any level contains a
contiguous range of the finest tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_MAGNITUDE
from exgs.codec.format.rows import EMPTY_BOX, Box
from exgs.scene.gaussians import FloatArray


@dataclass(frozen=True, slots=True)
class Cut:
    """The division of a layer into cells."""

    span: int  # finest tiles per cell
    children: int  # child cells in the next layer per cell; 1 in the last layer

    def children_of(self, fine_tile: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The number [n], within its cell, of the child that contains each of the finest tiles."""
        return (fine_tile % self.span) * self.children // self.span


@dataclass(frozen=True, slots=True, eq=False)
class TileTree:
    """A complete binary tree in heap order: node i has the children 2i + 1 and 2i + 2."""

    level: int  # of the finest tiles
    axes: npt.NDArray[np.int64]  # [2^level - 1] axis of each node's split
    splits: FloatArray  # [2^level - 1] points with a smaller coordinate are in the first child

    @property
    def count(self) -> int:
        """Number of finest tiles."""
        return 1 << self.level

    def locate(self, points: FloatArray) -> npt.NDArray[np.int64]:
        """The finest tile [N] of each point [N, 3]."""
        node = np.zeros(len(points), np.int64)
        rows = np.arange(len(points))
        for _ in range(self.level):
            beyond = points[rows, self.axes[node]] >= self.splits[node]
            node = 2 * node + 1 + beyond
        return node - (self.count - 1)


def build_tiles(means: FloatArray, level: int) -> TileTree:
    """A tree of `level` levels over `means` [N, 3]; nodes split at the median of the widest axis.

    The width of an axis is measured between the 2nd and the 98th percentile, which ignores
    outliers.
    """
    inner = (1 << level) - 1
    axes = np.zeros(inner, np.int64)
    splits = np.zeros(inner, np.float32)
    groups = [np.arange(len(means))]
    node = 0
    for _ in range(level):
        halves = []
        for group in groups:
            points = means[group]
            if len(group):
                low, high = np.percentile(points, [2, 98], axis=0)
                axes[node] = np.argmax(high - low)
                splits[node] = np.median(points[:, axes[node]])
            beyond = points[:, axes[node]] >= splits[node]
            halves += [group[~beyond], group[beyond]]
            node += 1
        groups = halves
    return TileTree(level, axes, splits)


class TileBoxes:
    """The boxes of the means in the tiles of every level, rounded outward for compression."""

    def __init__(self, means: FloatArray, fine_tile: npt.NDArray[np.int64], level: int) -> None:
        self._level = level
        low = np.full((1 << level, 3), np.inf, np.float32)
        high = np.full((1 << level, 3), -np.inf, np.float32)
        np.minimum.at(low, fine_tile, means)
        np.maximum.at(high, fine_tile, means)
        self._low, self._high = {level: low}, {level: high}
        for coarser in range(level - 1, -1, -1):
            low, high = low.reshape(-1, 2, 3).min(axis=1), high.reshape(-1, 2, 3).max(axis=1)
            self._low[coarser], self._high[coarser] = low, high
        for number in range(level + 1):
            self._low[number] = -_rounded_up(-self._low[number])
            self._high[number] = _rounded_up(self._high[number])

    def box(self, level: int, tile: int) -> Box:
        """The box of a tile; EMPTY_BOX if it has no Gaussian."""
        low, high = self._low[level][tile].tolist(), self._high[level][tile].tolist()
        return Box(tuple(low), tuple(high)) if low[0] <= high[0] else EMPTY_BOX


def _rounded_up(values: FloatArray) -> FloatArray:
    """The next larger values with at most 12 explicit bits in the mantissa."""
    limited = np.clip(values, -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.float32)
    bits = limited.view(np.uint32)
    cut = (bits & np.uint32(0xFFFFF800)).view(np.float32)
    away = ((bits & np.uint32(0xFFFFF800)) + np.uint32(0x800)).view(np.float32)
    rounded = np.where(cut >= limited, cut, away)
    return np.where(np.isinf(values), values, np.minimum(rounded, MAX_MAGNITUDE)).astype(np.float32)
