"""Surfaces cut into cells, each to become one splat: fine where colours change, coarse elsewhere.

Cells start as an even grid on each patch. The cell that gains most is halved, across its better
side, until there are as many as wanted; what a cut gains is the squared difference of its halves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from exgs.sample.builder import Cover
from exgs.sample.noise import Array
from exgs.sample.surfaces import Ids, Spot, Surface

_SIDE = 3  # samples along a side of a cell
_ROUND = 8  # of the cells, one in so many is cut before gains are compared again
_HIDDEN = 0.4  # share of a cell behind covers from which it is left out
_SMALL_COUNTS = 0.75  # power of the area: small things are looked at from nearby
_UNSEEN_PER_METRE = 0.5  # change of tone that is expected even where none was sampled
_TURN = 0.2  # change of tone with a radian of a curved surface's turning
_DIM = 0.35  # light in the shade, beside the sun's

Sun = Callable[[Array, Array], Array]  # points [n, 3], normals [n, 3] -> [n] share of the sun seen


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """n rectangles on patches."""

    owner: Ids  # [n] index of the surface
    patch: Ids  # [n] of the surface
    low: Array  # [n, 2] u and v, shares of the patch
    high: Array  # [n, 2]
    color: Array  # [n, 3] mean albedo, linear
    sun: Array  # [n] mean share of the sun seen
    hidden: Array  # [n] share that covers hide
    gain: Array  # [n] of a cut across the better side
    across: Ids  # [n] that side: 0 for u, 1 for v

    def __len__(self) -> int:
        return len(self.owner)

    def select(self, index: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Cells:
        """The cells at `index`."""
        return Cells(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def concatenate(parts: list[Cells]) -> Cells:
        """All cells of `parts`."""
        return Cells(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(Cells)
            )
        )


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts `surfaces` and samples what lies on the cells; what `covers` hide is left out."""

    surfaces: tuple[Surface, ...]
    covers: tuple[Cover, ...]
    sun: Sun

    def even(self, detail: float = 1.0) -> Cells:
        """The even grids that surfaces start with, with `detail` times as many cells a side."""
        parts = [self._grid(owner, detail) for owner in range(len(self.surfaces))]
        return _visible(Cells.concatenate(parts))

    def cut(self, cells: Cells, count: int) -> Cells:
        """`count` cells from `cells`, by surface and place; more where there were more already."""
        while (missing := count - len(cells)) > 0:
            more = min(missing, max(len(cells) // _ROUND, 1))
            order = np.argsort(-cells.gain, kind="stable")
            halves = _visible(self._halves(cells.select(order[:more])))
            cells = Cells.concatenate([cells.select(order[more:]), halves])
        # Gains that differ by rounding alone may be cut in either order; places never differ.
        places = (cells.low[:, 1], cells.low[:, 0], cells.patch, cells.owner)
        return cells.select(np.lexsort(places))

    def _grid(self, owner: int, detail: float) -> Cells:
        surface = self.surfaces[owner]
        nu, nv = (max(1, round(detail * cells)) for cells in surface.cells)
        u, v = np.meshgrid(np.arange(nu) / nu, np.arange(nv) / nv, indexing="ij")
        patches = len(surface.size)
        low = np.tile(np.stack([u.ravel(), v.ravel()], 1), (patches, 1))
        patch = np.repeat(np.arange(patches), nu * nv)
        return self._measured(owner, patch, low, low + np.array([1 / nu, 1 / nv]))

    def _halves(self, cells: Cells) -> Cells:
        """Both halves of each of `cells`."""
        rows = np.arange(len(cells))
        middle = (cells.low + cells.high) / 2
        first_high, second_low = cells.high.copy(), cells.low.copy()
        first_high[rows, cells.across] = middle[rows, cells.across]
        second_low[rows, cells.across] = middle[rows, cells.across]
        owner, patch = np.tile(cells.owner, 2), np.tile(cells.patch, 2)
        low = np.concatenate([cells.low, second_low])
        high = np.concatenate([first_high, cells.high])
        parts = []
        for k in np.unique(owner):
            own = owner == k
            parts.append(self._measured(int(k), patch[own], low[own], high[own]))
        return Cells.concatenate(parts)

    def _measured(self, owner: int, patch: Ids, low: Array, high: Array) -> Cells:
        """Cells with what a grid of samples on each of them says."""
        surface = self.surfaces[owner]
        n, steps = len(patch), (np.arange(_SIDE) + 0.5) / _SIDE
        u = low[:, 0, None, None] + (high - low)[:, 0, None, None] * steps[:, None]
        v = low[:, 1, None, None] + (high - low)[:, 1, None, None] * steps
        u, v = (np.broadcast_to(k, (n, _SIDE, _SIDE)).ravel() for k in (u, v))
        ids = np.repeat(patch, _SIDE * _SIDE)
        points = surface.place(ids, u, v)
        size = surface.size[ids]
        albedo = surface.material.paint(Spot(ids, u * size[:, 0], v * size[:, 1], size, points))

        grid = points.reshape(n, _SIDE, _SIDE, 3)
        along_u, along_v = grid[:, -1] - grid[:, 0], grid[:, :, -1] - grid[:, :, 0]
        normal = np.cross(along_u.mean(1), along_v.mean(1))
        area = np.linalg.norm(normal, axis=1)
        normal /= area[:, None] + 1e-12
        if surface.material.glow:
            seen = np.full(len(points), 1 - _DIM)
        else:
            seen = self.sun(points, np.repeat(normal, _SIDE * _SIDE, axis=0))
        hidden = np.zeros(len(points), bool)
        for cover in self.covers if surface.backed else ():
            hidden |= cover.holds(points)
        tone = np.sqrt(np.maximum(albedo, 0) * (_DIM + seen[:, None]))
        tone = np.where(hidden[:, None], 2.0, tone).reshape(n, _SIDE, _SIDE, 3)

        gains = []
        for k, along in ((1, along_u), (2, along_v)):
            row, places = np.moveaxis(tone, k, 1), np.moveaxis(grid, k, 1)
            change = row.mean(2).var(1)
            length = np.linalg.norm(along, axis=2).mean(1) + 1e-9
            ends = places[:, 0] + places[:, -1]
            bow = np.linalg.norm(ends - 2 * places[:, _SIDE // 2], axis=2).mean(1) / length
            gains.append(change.sum(1) + (_UNSEEN_PER_METRE * length) ** 2 + (_TURN * 4 * bow) ** 2)
        across = (gains[1] > gains[0]).astype(np.int64)
        gain = surface.worth * area**_SMALL_COUNTS * np.where(across, gains[1], gains[0])
        return Cells(
            np.full(n, owner),
            patch,
            low,
            high,
            albedo.reshape(n, -1, 3).mean(1),
            seen.reshape(n, -1).mean(1),
            hidden.reshape(n, -1).mean(1),
            gain,
            across,
        )


def _visible(cells: Cells) -> Cells:
    return cells.select(cells.hidden <= _HIDDEN)
