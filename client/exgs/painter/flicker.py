"""Flicker: the change between consecutive pictures that camera motion does not explain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray

_DEPTH_TOLERANCE = 0.02  # relative; a larger difference means that the surface has changed


def flicker(
    frames: Sequence[FloatArray], depths: Sequence[FloatArray], cameras: Sequence[Camera]
) -> float:
    """Mean absolute difference between each picture [H, W, 3] and its warped predecessor.

    `depths` [H, W] are those of the whole scene. Only surfaces that both pictures show count.
    Returns NaN if there are none.
    """
    differences = []
    for now in range(1, len(frames)):
        warped, seen = warp(
            frames[now - 1], depths[now - 1], cameras[now - 1], depths[now], cameras[now]
        )
        differences.append(np.abs(warped - frames[now])[seen])
    values = np.concatenate(differences) if differences else np.zeros(0)
    return float(values.mean()) if values.size else float("nan")


def warp(
    frame: FloatArray, depth: FloatArray, camera: Camera, new_depth: FloatArray, new_camera: Camera
) -> tuple[FloatArray, np.ndarray[tuple[int, int], np.dtype[np.bool_]]]:
    """Warp `frame` to `new_camera` [H, W, 3]; also return where both show one surface [H, W]."""
    height, width = new_depth.shape
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(new_camera.K).T
    to_old = camera.viewmat @ np.linalg.inv(new_camera.viewmat)
    points = (rays * new_depth[..., None]) @ to_old[:3, :3].T + to_old[:3, 3]
    z = np.maximum(points[..., 2], 1e-6)
    x, y = np.moveaxis((points / z[..., None]) @ camera.K.T, 2, 0)[:2] - 0.5
    inside = (x >= 0) & (x <= frame.shape[1] - 1) & (y >= 0) & (y <= frame.shape[0] - 1)
    inside &= (points[..., 2] > 0) & (new_depth > 0)
    x, y = np.where(inside, x, 0), np.where(inside, y, 0)
    there = _sample(depth[..., None], x, y)[..., 0]
    seen = inside & (np.abs(there - z) < _DEPTH_TOLERANCE * z)
    return _sample(frame, x, y), seen


def _sample(image: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Bilinear samples [..., C] of `image` [H, W, C] at pixel indices x, y."""
    left = np.minimum(x.astype(np.int64), image.shape[1] - 2)
    top = np.minimum(y.astype(np.int64), image.shape[0] - 2)
    u, v = (x - left)[..., None], (y - top)[..., None]
    upper = image[top, left] * (1 - u) + image[top, left + 1] * u
    lower = image[top + 1, left] * (1 - u) + image[top + 1, left + 1] * u
    return np.asarray(upper * (1 - v) + lower * v, np.float32)
