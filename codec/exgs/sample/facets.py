"""Cuts surfaces into facets. Each facet becomes one Gaussian.

Facets are small where colours change and large elsewhere. They start as an even grid on each patch.
Then the facets with the largest gain are halved until the wanted number is reached. The gain of a
cut is the squared difference between its two halves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from exgs.sample.builder import Cover
from exgs.sample.noise import Array
from exgs.sample.surfaces import Ids, Spot, Surface

_SIDE = 3  # samples along each side of a facet
_ROUND = 8  # each round cuts one in 8 of the facets, then gains are compared again
_HIDDEN = 0.4  # facets of which covers hide a larger share are left out
_AREA_POWER = 0.75  # below 1 because small things are viewed from nearby
_UNSEEN_PER_METRE = 0.5  # change of tone assumed where the samples show none
_TURN = 0.2  # change of tone per radian by which a curved surface turns
_SHADE = 0.35  # light in the shade, relative to full sun

Sun = Callable[[Array, Array], Array]  # points [n, 3], normals [n, 3] -> [n] visible share of sun


@dataclass(frozen=True, slots=True, eq=False)
class Facets:
    """n facets: rectangles on patches."""

    owner: Ids  # [n] index of the surface
    patch: Ids  # [n] index of the patch within the surface
    low: Array  # [n, 2] least u and v, as shares of the patch
    high: Array  # [n, 2] largest u and v
    color: Array  # [n, 3] mean albedo, linear
    sun: Array  # [n] mean share of the sun that is visible
    hidden: Array  # [n] share that covers hide
    gain: Array  # [n] gain of cutting the facet along `across`
    across: Ids  # [n] the axis with the larger gain: 0 for u, 1 for v

    def __len__(self) -> int:
        return len(self.owner)

    def select(self, index: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Facets:
        """The facets at `index`."""
        return Facets(*(getattr(self, field.name)[index] for field in fields(self)))

    @staticmethod
    def concatenate(parts: list[Facets]) -> Facets:
        """All facets of `parts`."""
        return Facets(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(Facets)
            )
        )


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts `surfaces` into facets and samples them. Facets that `covers` hide are left out."""

    surfaces: tuple[Surface, ...]
    covers: tuple[Cover, ...]
    sun: Sun

    def even(self, detail: float = 1.0) -> Facets:
        """The facets to start with: an even grid with `detail` times the default per side."""
        parts = [self._grid(owner, detail) for owner in range(len(self.surfaces))]
        return _visible(Facets.concatenate(parts))

    def cut(self, facets: Facets, count: int) -> Facets:
        """Cut `facets` until there are `count`; the result is sorted by surface and position.

        Returns all of `facets` where there are more than `count` already.
        """
        while (missing := count - len(facets)) > 0:
            more = min(missing, max(len(facets) // _ROUND, 1))
            order = np.argsort(-facets.gain, kind="stable")
            halves = _visible(self._halves(facets.select(order[:more])))
            facets = Facets.concatenate([facets.select(order[more:]), halves])
        # Sort by position: gains that differ by rounding only may have been cut in either order.
        places = (facets.low[:, 1], facets.low[:, 0], facets.patch, facets.owner)
        return facets.select(np.lexsort(places))

    def _grid(self, owner: int, detail: float) -> Facets:
        surface = self.surfaces[owner]
        nu, nv = (max(1, round(detail * facets)) for facets in surface.facets)
        u, v = np.meshgrid(np.arange(nu) / nu, np.arange(nv) / nv, indexing="ij")
        patches = len(surface.size)
        low = np.tile(np.stack([u.ravel(), v.ravel()], 1), (patches, 1))
        patch = np.repeat(np.arange(patches), nu * nv)
        return self._measured(owner, patch, low, low + np.array([1 / nu, 1 / nv]))

    def _halves(self, facets: Facets) -> Facets:
        """Both halves of each facet."""
        rows = np.arange(len(facets))
        middle = (facets.low + facets.high) / 2
        first_high, second_low = facets.high.copy(), facets.low.copy()
        first_high[rows, facets.across] = middle[rows, facets.across]
        second_low[rows, facets.across] = middle[rows, facets.across]
        owner, patch = np.tile(facets.owner, 2), np.tile(facets.patch, 2)
        low = np.concatenate([facets.low, second_low])
        high = np.concatenate([first_high, facets.high])
        parts = []
        for k in np.unique(owner):
            own = owner == k
            parts.append(self._measured(int(k), patch[own], low[own], high[own]))
        return Facets.concatenate(parts)

    def _measured(self, owner: int, patch: Ids, low: Array, high: Array) -> Facets:
        """Facets, measured by a grid of samples on each."""
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
            seen = np.full(len(points), 1 - _SHADE)
        else:
            seen = self.sun(points, np.repeat(normal, _SIDE * _SIDE, axis=0))
        hidden = np.zeros(len(points), bool)
        for cover in self.covers if surface.backed else ():
            hidden |= cover.holds(points)
        tone = np.sqrt(np.maximum(albedo, 0) * (_SHADE + seen[:, None]))
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
        gain = surface.importance * area**_AREA_POWER * np.where(across, gains[1], gains[0])
        return Facets(
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


def _visible(facets: Facets) -> Facets:
    return facets.select(facets.hidden <= _HIDDEN)
