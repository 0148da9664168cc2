"""Measuring pictures while encoding: error by tile.

An encoder needs to know which chunk mends how much. The squared error of each pixel is booked to
the tile in which its visible surface lies, found through the rendered depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.tiles import TileTree
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterize import Rasterizer


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One camera with the full scene's picture and the tile that each pixel shows."""

    camera: Camera
    reference: FloatArray  # [H, W, 3]
    tile: npt.NDArray[np.int32]  # [H, W] finest tile of the visible surface


def prepare_views(
    scene: Gaussians, tiles: TileTree, cameras: Sequence[Camera], rasterizer: Rasterizer
) -> list[View]:
    """Render the references, and find each pixel's tile by lifting it to its expected depth."""
    views = []
    for camera in cameras:
        picture = rasterizer.render(scene, camera)
        surface = _lift(camera, picture.depth)
        tile = tiles.locate(surface).reshape(picture.depth.shape).astype(np.int32)
        views.append(View(camera, picture.rgb, tile))
    return views


def _lift(camera: Camera, depth: FloatArray) -> FloatArray:
    """World points [H * W, 3] of the pixels at `depth` [H, W]."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) @ np.linalg.inv(camera.K).T
    local = rays * depth.reshape(-1, 1)
    rotation, shift = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    return ((local - shift) @ rotation).astype(np.float32)


def tile_errors(
    scene: Gaussians, views: Sequence[View], tiles: int, rasterizer: Rasterizer
) -> npt.NDArray[np.float64]:
    """Squared error (sum over channels and pixels, mean over views) booked to each finest tile."""
    total = np.zeros(tiles)
    for view in views:
        picture = rasterizer.render(scene, view.camera).rgb
        error = np.clip(picture, 0, 1) - np.clip(view.reference, 0, 1)
        square = np.einsum("hwc,hwc->hw", error, error)
        total += np.bincount(view.tile.ravel(), square.ravel(), tiles)
    return total / max(len(views), 1)
