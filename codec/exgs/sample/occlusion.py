"""Shadows: ray marching through a grid of distances to simplified solids.

The grid holds the distance to the nearest solid, limited to REACH. A ray that advances by that
distance can't pass through a solid. The smallest ratio of that distance to the length of the ray so
far gives the visible share of an area light (Quilez, 'soft shadows in raymarched SDFs').
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from exgs.sample.noise import Array, smoothstep

Distance = Callable[[Array, Array, Array], Array]  # x, y, z that broadcast -> metres to a solid

VOXEL = 0.03  # metres
REACH = 0.36  # metres; larger distances are stored as this
_STEPS = 22  # per ray; enough to cross the room
_LEAST_STEP = 0.035  # metres
_START = 0.045  # metres; the ray starts clear of the surface it leaves


@dataclass
class Solids:
    """Simplified solids of the furniture, slightly smaller than its visible surfaces."""

    boxes: list[tuple[Array, Array, float]] = field(default_factory=list)  # center, half, yaw
    capsules: list[tuple[Array, Array, float]] = field(default_factory=list)  # ends, radius
    ellipsoids: list[tuple[Array, Array]] = field(default_factory=list)  # center, radii

    def box(self, center: npt.ArrayLike, half: npt.ArrayLike, yaw: float = 0.0) -> None:
        """Add a box of half sides `half`, turned by `yaw` about the vertical axis."""
        self.boxes.append((np.asarray(center, float), np.asarray(half, float), yaw))

    def capsule(self, a: npt.ArrayLike, b: npt.ArrayLike, radius: float) -> None:
        """Add a capsule: all points within `radius` of the segment from `a` to `b`."""
        self.capsules.append((np.asarray(a, float), np.asarray(b, float), radius))

    def ellipsoid(self, center: npt.ArrayLike, radii: npt.ArrayLike) -> None:
        """Add an ellipsoid aligned with the axes of the room."""
        self.ellipsoids.append((np.asarray(center, float), np.asarray(radii, float)))


class DistanceGrid:
    """Distances to the nearest solid on a grid over the room, interpolated trilinearly."""

    def __init__(self, solids: Solids, half_width: float, half_depth: float, height: float) -> None:
        self._low = np.array([-half_width, 0.0, -half_depth]) - 2 * VOXEL
        extent = np.array([2 * half_width, height, 2 * half_depth]) + 4 * VOXEL
        self._shape = np.ceil(extent / VOXEL).astype(np.int64) + 1
        self._distances = np.full(self._shape, REACH, np.float32)
        for center, half, yaw in solids.boxes:
            wide = np.hypot(half[0], half[2])
            radius = np.array([wide, half[1], wide])
            self._carve(
                center - radius, center + radius, partial(_box, center=center, half=half, yaw=yaw)
            )
        for a, b, r in solids.capsules:
            low, high = np.minimum(a, b) - r, np.maximum(a, b) + r
            self._carve(low, high, partial(_capsule, a=a, b=b, radius=r))
        for center, radii in solids.ellipsoids:
            self._carve(
                center - radii, center + radii, partial(_ellipsoid, center=center, radii=radii)
            )
        self._flat = self._distances.ravel()

    def _carve(self, low: Array, high: Array, distance: Distance) -> None:
        first = np.floor((low - REACH - self._low) / VOXEL).astype(int).clip(0, self._shape)
        last = np.ceil((high + REACH - self._low) / VOXEL).astype(int).clip(0, self._shape - 1) + 1
        block = self._distances[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
        if block.size:
            axes = [
                (self._low[k] + VOXEL * np.arange(first[k], last[k])).astype(np.float32)
                for k in range(3)
            ]
            x, y, z = np.ix_(*axes)
            np.minimum(block, distance(x, y, z), out=block)

    def distance(self, points: Array) -> Array:
        """Metres to the nearest solid, at most REACH, [n]."""
        at = (points - self._low) / VOXEL
        at = np.clip(at, 0, self._shape - 1.001)
        base = at.astype(np.int64)
        w = (at - base).astype(np.float32)
        sy, sz = int(self._shape[2]), 1
        sx = int(self._shape[1]) * sy
        i = base[:, 0] * sx + base[:, 1] * sy + base[:, 2]
        f, wx, wy, wz = self._flat, w[:, 0], w[:, 1], w[:, 2]

        def along_z(k: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
            low = f[k]
            return np.asarray(low + wz * (f[k + sz] - low))

        near = along_z(i)
        near = near + wy * (along_z(i + sy) - near)
        far = along_z(i + sx)
        far = far + wy * (along_z(i + sx + sy) - far)
        return np.asarray(near + wx * (far - near), np.float64)

    def visibility(
        self, points: Array, normals: Array, targets: Array, softness: float | Array
    ) -> Array:
        """The visible share of a light at `targets` [n, 3] or [3] from each point, [n], 0 to 1.

        `softness` is the radius of the light divided by its distance. It sets the width of the
        penumbra.
        """
        way = targets - points
        far = np.linalg.norm(way, axis=1)
        way = way / far[:, None]
        soft = np.broadcast_to(np.asarray(softness, np.float64), (len(points),))
        seen = np.ones(len(points))
        gone = np.full(len(points), _START)
        start = points + 0.03 * normals
        live = np.arange(len(points))
        for _ in range(_STEPS):
            d = self.distance(start[live] + gone[live, None] * way[live])
            ratio = d / (soft[live] * gone[live])
            seen[live] = np.minimum(seen[live], ratio)
            gone[live] += np.clip(d, _LEAST_STEP, REACH)
            live = live[(gone[live] < far[live] - 0.05) & (seen[live] > 0.01)]
            if not len(live):
                break
        return smoothstep(0, 1, np.clip(seen, 0, 1))

    def openness(self, points: Array, normals: Array, walls: Array) -> Array:
        """Ambient occlusion [n]: 1 where the half space above a point is free, 0 where it is full.

        `walls` are the half width, height and half depth of the room.
        """
        hidden = np.zeros(len(points))
        corner = np.array([walls[0], 0, walls[2]])
        # Treat points beyond the wall, in the window, like points of the wall.
        inside = np.clip(points, -corner, walls)
        for step, weight in ((0.04, 0.30), (0.10, 0.30), (0.20, 0.28), (0.34, 0.22)):
            probe = points + step * normals
            at = inside + step * normals
            room = np.minimum(walls - np.abs(at), at + np.array([9, 0, 9])).min(1)
            # A wall at the side hides half of the half space in front of a point.
            walled = 0.5 * np.clip(1 - room / step, 0, 1)
            hidden += weight * np.maximum(np.clip(1 - self.distance(probe) / step, 0, 1), walled)
        return np.asarray(np.maximum(1 - hidden, 0))


def _box(x: Array, y: Array, z: Array, center: Array, half: Array, yaw: float) -> Array:
    dx, dy, dz = x - np.float32(center[0]), y - np.float32(center[1]), z - np.float32(center[2])
    c, s = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    qx = np.abs(c * dx + s * dz) - np.float32(half[0])
    qy = np.abs(dy) - np.float32(half[1])
    qz = np.abs(c * dz - s * dx) - np.float32(half[2])
    outside = np.sqrt(np.maximum(qx, 0) ** 2 + np.maximum(qy, 0) ** 2 + np.maximum(qz, 0) ** 2)
    return np.asarray(outside + np.minimum(np.maximum(np.maximum(qx, qy), qz), 0))


def _capsule(x: Array, y: Array, z: Array, a: Array, b: Array, radius: float) -> Array:
    px, py, pz = (q - np.float32(o) for q, o in zip((x, y, z), a, strict=True))
    bx, by, bz = (np.float32(q) for q in b - a)
    h = np.clip((px * bx + py * by + pz * bz) / (bx * bx + by * by + bz * bz + 1e-9), 0, 1)
    away = (px - bx * h) ** 2 + (py - by * h) ** 2 + (pz - bz * h) ** 2
    return np.asarray(np.sqrt(away) - np.float32(radius))


def _ellipsoid(x: Array, y: Array, z: Array, center: Array, radii: Array) -> Array:
    c, r = center.astype(np.float32), radii.astype(np.float32)
    unit = np.sqrt(((x - c[0]) / r[0]) ** 2 + ((y - c[1]) / r[1]) ** 2 + ((z - c[2]) / r[2]) ** 2)
    return np.asarray((unit - 1) * r.min())
