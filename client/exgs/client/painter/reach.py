"""Where a picture may show anything at all: the tiles' boxes, projected.

A gap outside of them is no gap but the empty background, which no painter may fill.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from exgs.codec.index import SceneFacts
from exgs.scene.camera import Camera

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]

_BOXES_MAX = 64  # neighbouring tiles are joined to at most so many boxes
_MARGIN = 0.02  # of a box's diagonal: bounds are those of the means, Gaussians reach beyond
_NEAR = 1e-3  # of the scene's size: what is closer counts as behind the camera
_FAR_PIXELS = 1e5
_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
_EDGES = [(a, b) for a in range(8) for b in range(a) if (_CORNERS[a] != _CORNERS[b]).sum() == 1]


def reach(facts: SceneFacts, camera: Camera) -> Mask:
    """Pixels [H, W] of `camera` into which a tile's box projects."""
    boxes = _join(facts.tile_bounds.astype(np.float64))
    canvas = Image.new("1", (camera.width, camera.height))
    if not len(boxes):
        return np.asarray(canvas)
    size = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    boxes[:, 0] -= _MARGIN * size[:, None]
    boxes[:, 1] += _MARGIN * size[:, None]
    draw = ImageDraw.Draw(canvas)
    near = _NEAR * float(np.linalg.norm(boxes[:, 1].max(axis=0) - boxes[:, 0].min(axis=0)))
    for low, high in boxes:
        corners = np.where(_CORNERS, high, low) @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        outline = _hull(_project(_in_front(corners, near), camera))
        if len(outline) > 2:
            draw.polygon([(x, y) for x, y in outline], fill=1)
    return np.asarray(canvas)


def _join(bounds: Points) -> Points:
    """At most _BOXES_MAX boxes around the finest tiles' ones, without those of empty tiles."""
    group = max(1, len(bounds) // _BOXES_MAX)
    empty = np.logical_not(bounds.reshape(len(bounds), -1).any(axis=1, keepdims=True))
    low = np.where(empty, np.inf, bounds[:, 0]).reshape(-1, group, 3).min(axis=1)
    high = np.where(empty, -np.inf, bounds[:, 1]).reshape(-1, group, 3).max(axis=1)
    joined = np.stack([low, high], axis=1)
    kept: Points = joined[np.isfinite(joined).all(axis=(1, 2))]
    return kept


def _in_front(corners: Points, near: float) -> Points:
    """A box's corners before the near plane, and where its edges cross it."""
    depth = corners[:, 2]
    points = [corners[depth >= near]]
    for a, b in _EDGES:
        if (depth[a] < near) != (depth[b] < near):
            t = (near - depth[a]) / (depth[b] - depth[a])
            points.append((corners[a] + t * (corners[b] - corners[a]))[None])
    return np.concatenate(points)


def _project(points: Points, camera: Camera) -> Points:
    pixels = points[:, :2] / points[:, 2:] * camera.K[[0, 1], [0, 1]] + camera.K[:2, 2]
    clipped: Points = np.clip(pixels, -_FAR_PIXELS, _FAR_PIXELS)
    return clipped


def _hull(points: Points) -> list[tuple[float, float]]:
    """The convex hull in order (Andrew 1979, the monotone chain)."""
    ordered = sorted({(float(x), float(y)) for x, y in points})

    def chain(along: list[tuple[float, float]]) -> list[tuple[float, float]]:
        hull: list[tuple[float, float]] = []
        for x, y in along:
            while len(hull) > 1 and (
                (hull[-1][0] - hull[-2][0]) * (y - hull[-2][1])
                <= (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0])
            ):
                hull.pop()
            hull.append((x, y))
        return hull[:-1]

    return chain(ordered) + chain(ordered[::-1])
