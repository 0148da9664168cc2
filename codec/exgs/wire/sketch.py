"""The share of a view that each tile fills, by a small drawing of layer 0 (protocol.md, 10.1).

The coverage of boxes ignores occlusion and empty space in boxes. The Gaussians of layer 0 are few
and arrive first; drawing them on 32 x 18 cells takes about a millisecond. All numbers are float64
and computed in the order of the specification, so that all implementations choose the same parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.scene.camera import Camera
from exgs.wire.visibility import Doubles, Numbers

_COLUMNS, _ROWS = 32, 18
_MOST_HALF = 4.0  # in cells: half of the side of the largest square
_MOST_DEEP = 32  # squares per cell that are blended


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """The Gaussians of layer 0 as points with a size."""

    means: Doubles  # [N, 3]
    radii: Doubles  # [N]
    opacities: Doubles  # [N]

    def owners(self, low: Doubles, high: Doubles) -> Numbers:
        """For each point [N], the nearest of these boxes [B, 3]; the first of equally near ones."""
        best = np.full(len(self.means), np.inf)
        owner = np.zeros(len(self.means), np.int64)
        for number in range(len(low)):
            x, y, z = np.maximum(
                np.maximum(low[number] - self.means, self.means - high[number]), 0
            ).T
            distance = x * x + y * y + z * z
            closer = distance < best
            best[closer], owner[closer] = distance[closer], number
        return owner

    def shares(self, owners: Numbers, count: int, camera: Camera) -> Doubles:
        """The share of the picture [count] that the points of each owner fill."""
        squares = self._squares(camera)
        wide = squares.right - squares.left
        sizes = wide * (squares.bottom - squares.top)
        total = int(sizes.sum())
        # All cells of all squares, from front to back, row by row.
        point = np.repeat(np.arange(len(sizes)), sizes)
        place = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        row, column = np.divmod(place, wide[point])
        cell = (squares.top[point] + row) * _COLUMNS + squares.left[point] + column
        by_cell = np.argsort(cell.astype(np.uint16), kind="stable")
        sorted_cells = cell[by_cell]
        first = np.searchsorted(sorted_cells, np.arange(_ROWS * _COLUMNS))
        deep = np.arange(total) - first[sorted_cells]
        kept = deep < _MOST_DEEP
        by_cell, sorted_cells, deep = by_cell[kept], sorted_cells[kept], deep[kept]
        opacity = squares.opacity[point]
        passes = np.ones((_ROWS * _COLUMNS, _MOST_DEEP + 1))  # transmittance of each square
        passes[sorted_cells, deep + 1] = 1 - opacity[by_cell]
        reaching = np.zeros(total)
        reaching[by_cell] = np.cumprod(passes, axis=1)[sorted_cells, deep]
        sums = np.bincount(owners[squares.number][point], reaching * opacity, count)
        shares: Doubles = sums / (_ROWS * _COLUMNS)
        return shares

    def _squares(self, camera: Camera) -> _Squares:
        """The squares of the points in front of the camera, nearest first."""
        rows = camera.viewmat[:3].tolist()
        x, y, z = self.means.T
        seen = [a * x + b * y + c * z + d for a, b, c, d in rows]
        depth = seen[2]
        ahead = depth > self.radii
        number = np.flatnonzero(ahead)
        number = number[np.argsort(depth[number], kind="stable")]
        depth, opacity = depth[number], self.opacities[number]
        ends = []
        for axis, (cells, size) in enumerate(((_COLUMNS, camera.width), (_ROWS, camera.height))):
            focal = float(camera.K[axis, axis]) * cells / size
            centre = float(camera.K[axis, 2]) * cells / size
            middle = seen[axis][number] / depth * focal + centre
            half = self.radii[number] / depth * focal
            small = half < 0.5
            opacity = np.where(small, opacity * (2 * half), opacity)
            half = np.minimum(half, _MOST_HALF)
            start = np.floor(np.where(small, middle, middle - half + 0.5))
            end = np.where(small, start + 1, np.floor(middle + half + 0.5))
            ends += [np.clip(place, 0, cells).astype(np.int64) for place in (start, end)]
        left, right, top, bottom = ends
        return _Squares(number, left, right, top, bottom, opacity)


@dataclass(frozen=True, slots=True, eq=False)
class _Squares:
    number: Numbers  # of the points
    left: Numbers  # columns: the first, and the one after the last
    right: Numbers
    top: Numbers  # rows likewise
    bottom: Numbers
    opacity: Doubles
