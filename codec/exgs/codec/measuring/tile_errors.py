"""Squared error of pictures by tile, from which the gains of chunks follow; sizes of pictures.

The squared error of each pixel is divided among the Gaussians of the pixel in proportion to their
blending weights, then summed over the Gaussians of each tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_T = TypeVar("_T")

_ASPECT_MAX = 2  # height of a scaled picture over the maximum width


class TileErrors:
    """Squared errors by finest tile, for several states of a scene against the whole scene.

    `fine_tile` [N] is the tile of each Gaussian of `scene`, in [0, tiles). `references` [H, W, 3]
    are the pictures to compare with, by default those of `scene`.
    """

    def __init__(
        self,
        scene: Gaussians,
        fine_tile: npt.NDArray[np.int64],
        tiles: int,
        cameras: Sequence[Camera],
        rasterizer: Rasterizer,
        references: Sequence[FloatArray] | None = None,
    ) -> None:
        self._scene = scene
        self._fine_tile = fine_tile
        self._tiles = tiles
        self._cameras = cameras
        self._rasterizer = rasterizer
        self._references = references or [self._picture(scene, camera) for camera in cameras]
        self._errors: list[list[FloatArray]] = []

    def add_state(self, state: Gaussians) -> None:
        """Draw `state` from all cameras and keep its squared errors."""
        self._errors.append(
            [
                np.square(self._picture(state, camera) - reference).sum(axis=2)
                for camera, reference in zip(self._cameras, self._references, strict=True)
            ]
        )

    def by_tile(self) -> npt.NDArray[np.float64]:
        """Squared errors [states, tiles]: summed over pixels and channels, mean over the views."""
        total = np.zeros((len(self._errors), self._tiles))
        for view, camera in enumerate(self._cameras):
            images = np.stack([errors[view] for errors in self._errors], axis=2)
            sums = self._rasterizer.backproject(self._scene, camera, images).sums
            for state, errors in enumerate(sums.T):
                total[state] += np.bincount(self._fine_tile, errors, self._tiles)
        return total / len(self._cameras)

    def _picture(self, scene: Gaussians, camera: Camera) -> FloatArray:
        return np.clip(self._rasterizer.render(scene, camera).rgb, 0, 1)


def evenly_spaced(items: Sequence[_T], count: int) -> list[_T]:
    """At most `count` of `items`, at equal distances in the sequence."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round()
    return [items[int(place)] for place in np.unique(places)]


def scaled(camera: Camera, width: int) -> Camera:
    """`camera` with pictures of at most `width` pixels wide and twice as many high."""
    factor = min(width / camera.width, _ASPECT_MAX * width / camera.height)
    if factor >= 1:
        return camera
    return camera.resized(*(max(1, round(side * factor)) for side in (camera.width, camera.height)))


def thinned(camera: Camera, pixels: int) -> Camera:
    """`camera` with pictures of at most about `pixels` pixels, and a smaller screen filter.

    The screen filter covers the same angle as in the full picture.
    """
    factor = math.sqrt(pixels / (camera.width * camera.height))
    if factor >= 1:
        return camera
    return camera.thinned(*(max(1, round(side * factor)) for side in (camera.width, camera.height)))


def zoomed(camera: Camera, factor: float) -> Camera:
    """`camera` with its focal lengths multiplied by `factor`."""
    K = camera.K.copy()
    K[[0, 1], [0, 1]] *= factor
    return replace(camera, K=K)
