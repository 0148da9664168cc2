"""How much of a view each finest tile fills, from its box alone.

A box is judged by the rectangle around its projection, cut by the picture; boxes that the near
plane cuts are clipped first. Boxes outside the picture get their solid angle instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera

Weights = npt.NDArray[np.float64]

_NEAR = 1e-2  # of a box's size: nearer corners are clipped
_PADDING = 0.05  # of a box's diagonal: Gaussians reach beyond the box around their means
_MARGIN_PX = 1.0
_CORNERS = np.array([[(i >> axis) & 1 for axis in range(3)] for i in range(8)])
_EDGES = np.array([(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit])


@dataclass(frozen=True, slots=True, eq=False)
class TileWeights:
    """What a view sees of each finest tile."""

    coverage: Weights  # [T] fraction of the picture that the tile's box fills, 0 out of view
    around: Weights  # [T] fraction of the sphere around the viewer that it fills


def tile_weights(tile_bounds: npt.NDArray[np.float32], camera: Camera) -> TileWeights:
    """Weigh the tiles with these bounds [T, 2, 3] for one view."""
    low, high = tile_bounds[:, 0].astype(np.float64), tile_bounds[:, 1].astype(np.float64)
    diagonal = np.linalg.norm(high - low, axis=1, keepdims=True)
    low, high = low - _PADDING * diagonal, high + _PADDING * diagonal
    return TileWeights(_coverage(low, high, diagonal[:, 0], camera), _around(low, high, camera))


def _coverage(low: Weights, high: Weights, diagonal: Weights, camera: Camera) -> Weights:
    corners = np.where(_CORNERS, high[:, None], low[:, None])  # [T, 8, 3]
    points = corners @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    near = np.maximum(_NEAR * diagonal, 1e-9)[:, None]
    start, end = points[:, _EDGES[:, 0]], points[:, _EDGES[:, 1]]
    depth = end[..., 2] - start[..., 2]
    crosses = (start[..., 2] < near) != (end[..., 2] < near)
    along = np.where(crosses, (near - start[..., 2]) / np.where(crosses, depth, 1.0), 0.0)
    cuts = start + along[..., None] * (end - start)
    candidates = np.concatenate([points, cuts], axis=1)
    usable = np.concatenate([points[..., 2] >= near, crosses], axis=1)
    z = np.where(usable, candidates[..., 2], 1.0)
    area: Weights = np.ones(len(low))
    for axis, size in enumerate((camera.width, camera.height)):
        focal, centre = camera.K[axis, axis], camera.K[axis, 2]
        pixel = candidates[..., axis] / z * focal + centre
        first = np.where(usable, pixel, np.inf).min(axis=1) - _MARGIN_PX
        last = np.where(usable, pixel, -np.inf).max(axis=1) + _MARGIN_PX
        area *= np.clip(np.minimum(last, size) - np.maximum(first, 0), 0, None) / size
    inside = ((camera.position >= low) & (camera.position <= high)).all(axis=1)
    return np.where(inside, 1.0, area)


def _around(low: Weights, high: Weights, camera: Camera) -> Weights:
    radius_squared = ((high - low) ** 2).sum(axis=1) / 4
    distance_squared = ((camera.position - (low + high) / 2) ** 2).sum(axis=1)
    fraction: Weights = radius_squared / np.maximum(4 * distance_squared, 1e-18)
    return np.minimum(fraction, 1.0)
