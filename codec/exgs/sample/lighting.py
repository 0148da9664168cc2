"""The light in the room: sun and sky through the window, lamps, and ambient light from the walls.

All colours are linear RGB. A glossy surface reflects each light as a spherical Gaussian lobe about
the mirrored direction. The spherical harmonics of such a lobe have a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.sample.noise import Array
from exgs.sample.occlusion import DistanceGrid
from exgs.sample.room import Room

_SUN = np.array([8.0, 6.5, 4.6])
_SKY = np.array([5.9, 6.0, 6.2])  # radiance of the window times pi
_AMBIENT_UP = np.array([0.34, 0.33, 0.32])  # reflected by the ceiling
_AMBIENT_DOWN = np.array([0.27, 0.23, 0.19])  # reflected by the floor
_SUN_BLUR = 0.004  # width of the penumbra per metre from the window
_MIRRORED_SKY, _MIRRORED_SUN = 0.9, 1.2


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """The light that arrives at n points."""

    irradiance: Array  # [n, 3] divided by pi: the colour that white paper would have
    mirrored: list[tuple[Array, Array]]  # per light: directions towards it [n, 3], strength [n, 3]


class Lighting:
    """The lights of `room` and the solids that block them."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._grid = DistanceGrid(room.solids, room.half_width, room.half_depth, room.height)
        self._walls = np.array([room.half_width, room.height, room.half_depth])

    def sun(self, points: Array, normals: Array) -> Array:
        """Visible share of the sun times the cosine of its angle of incidence, [n]."""
        window, toward = self._room.window, self._room.sun
        cosine = np.maximum(normals @ toward, 0)
        way = (window.x - points[:, 0]) / toward[0]
        y, z = points[:, 1] + way * toward[1], points[:, 2] + way * toward[2]
        free = window.open_at(y, z, 0.002 + _SUN_BLUR * np.maximum(way, 0)) * (way > 0)
        seen = np.asarray(cosine * free)
        lit = np.flatnonzero(seen > 1e-3)
        targets = points[lit] + way[lit, None] * toward
        seen[lit] *= self._grid.visibility(points[lit], normals[lit], targets, 0.03)
        return seen

    def incident(self, points: Array, normals: Array, sun: Array) -> Light:
        """All light that arrives at points [n, 3]; `sun` [n] is the result of `sun()`."""
        openness = self._grid.openness(points, normals, self._walls) ** 1.3
        up = 0.5 + 0.5 * normals[:, 1]
        total = (_AMBIENT_DOWN + (_AMBIENT_UP - _AMBIENT_DOWN) * up[:, None]) * openness[:, None]
        total += _SUN * sun[:, None]
        toward = np.broadcast_to(self._room.sun, points.shape)
        mirrored = [(toward, _MIRRORED_SUN * _SUN * (sun > 0.05)[:, None])]

        sky, at, seen = self._sky(points, normals)
        total += _SKY * (sky * openness**0.5)[:, None]
        mirrored.append((_unit(at - points), _MIRRORED_SKY * _SKY * seen[:, None]))
        for lamp in self._room.lamps:
            way = lamp.position - points
            far = np.linalg.norm(way, axis=1)
            cosine = np.maximum((normals * way).sum(1) / far, 0)
            strength = cosine / np.maximum(far, 0.5 * lamp.size) ** 2
            lit = np.flatnonzero(strength > 0.01)
            softness = np.clip(lamp.size / far[lit], 0.05, 1.0)
            strength[lit] *= self._grid.visibility(
                points[lit],
                normals[lit],
                _short_of(points[lit], lamp.position, lamp.size),
                softness,
            )
            total += lamp.color * strength[:, None]
            glint = 0.5 * lamp.color * (strength > 0.02)[:, None]
            mirrored.append((way / far[:, None], glint))
        return Light(total, mirrored)

    def _sky(self, points: Array, normals: Array) -> tuple[Array, Array, Array]:
        """Light of the sky through the window.

        Returns the form factor of the window (Lambert's polygon formula) times its visible share
        [n], the centre of the window [3], and its visible share [n].
        """
        corners = self._room.window.corners
        middle = corners.mean(0)
        rays = [_unit(corner - points) for corner in corners]
        total = np.zeros(len(points))
        for a, b in zip(rays, rays[1:] + rays[:1], strict=True):
            cross = np.cross(a, b)
            sine = np.linalg.norm(cross, axis=1) + 1e-9
            angle = np.arctan2(sine, (a * b).sum(1))
            total += angle * (cross * normals).sum(1) / sine
        inside = points[:, 0] > self._room.window.x + 0.005
        factor = np.maximum(np.where(inside, total, 0) / (2 * np.pi) * _way_round(corners), 0)
        lit = np.flatnonzero(inside)
        seen = np.zeros(len(points))
        third = (corners[1] - corners[0]) / 3
        for shift in (-third, third):
            targets = np.broadcast_to(middle + shift, (len(lit), 3))
            far = np.linalg.norm(targets - points[lit], axis=1)
            softness = np.clip(0.5 / far, 0.1, 1.0)
            seen[lit] += 0.5 * self._grid.visibility(points[lit], normals[lit], targets, softness)
        return factor * seen, middle, seen


def _way_round(corners: Array) -> float:
    """The sign (+1 or -1) that makes the form factor of a window in front of a point positive."""
    outward = np.cross(corners[1] - corners[0], corners[2] - corners[1])
    return 1.0 if outward[0] < 0 else -1.0


def _short_of(points: Array, target: Array, size: float) -> Array:
    """Where rays from `points` to a lamp meet its shade, [n, 3]."""
    way = target - points
    far = np.linalg.norm(way, axis=1, keepdims=True)
    return np.asarray(points + way * np.maximum(1 - size / far, 0.1))


def _unit(rows: Array) -> Array:
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12))


def lobe_harmonics(directions: Array, sharpness: Array) -> Array:
    """SH coefficients [n, 16] up to degree 3 of the lobe exp(sharpness * (cos - 1)).

    `directions` [n, 3] are the unit axes of the lobes. The zonal coefficients follow the recurrence
    of the von Mises-Fisher distribution. The basis has the signs of Kerbl et al. 2023.
    """
    s = sharpness
    a = [2 * np.pi * (1 - np.exp(-2 * s)) / s]
    a.append(a[0] * (1 / np.tanh(s) - 1 / s))
    for degree in (1, 2):
        a.append(a[degree - 1] - (2 * degree + 1) / s * a[degree])
    strengths = np.repeat(np.stack(a, 1), [1, 3, 5, 7], axis=1)
    return np.asarray(strengths * _basis(directions))


def _basis(directions: Array) -> Array:
    x, y, z = directions.T
    xx, yy, zz = x * x, y * y, z * z
    return np.stack(
        [
            np.full(len(x), 0.28209479177387814),
            -0.4886025119029199 * y,
            0.4886025119029199 * z,
            -0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ],
        axis=1,
    )
