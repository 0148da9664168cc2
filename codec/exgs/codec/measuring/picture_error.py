"""Squared error of pictures by tile, which gives the gain of each chunk.

The squared error of each pixel is divided between the Gaussians of the pixel, in proportion to
their blending weights, and summed over the Gaussians of each tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_TALLEST = 2  # heights of pictures, in widths that they may have


class ErrorBook:
    """The errors of several states of a scene against the whole, by finest tile."""

    def __init__(
        self,
        scene: Gaussians,
        fine_tile: npt.NDArray[np.int64],
        tiles: int,
        cameras: Sequence[Camera],
        rasterizer: Rasterizer,
    ) -> None:
        self._scene = scene
        self._fine_tile = fine_tile
        self._tiles = tiles
        self._cameras = cameras
        self._rasterizer = rasterizer
        self._references = [self._picture(scene, camera) for camera in cameras]
        self._errors: list[list[FloatArray]] = []

    @property
    def pixels(self) -> float:
        """Pixels of a view, on average."""
        return float(np.mean([camera.width * camera.height for camera in self._cameras]))

    def draw(self, state: Gaussians) -> int:
        """Draw the next state; returns its number."""
        self._errors.append(
            [
                np.square(self._picture(state, camera) - reference).sum(axis=2)
                for camera, reference in zip(self._cameras, self._references, strict=True)
            ]
        )
        return len(self._errors) - 1

    def errors_by_tile(self) -> npt.NDArray[np.float64]:
        """Squared error [states, tiles], summed over pixels and channels, mean over the views."""
        booked = np.zeros((len(self._errors), self._tiles))
        for view, camera in enumerate(self._cameras):
            images = np.stack([errors[view] for errors in self._errors], axis=2)
            sums = self._rasterizer.backproject(self._scene, camera, images).sums
            for state, of_state in enumerate(sums.T):
                booked[state] += np.bincount(self._fine_tile, of_state, self._tiles)
        return booked / len(self._cameras)

    def _picture(self, scene: Gaussians, camera: Camera) -> FloatArray:
        return np.clip(self._rasterizer.render(scene, camera).rgb, 0, 1)


def evenly(cameras: Sequence[Camera], count: int) -> list[Camera]:
    """At most `count` of `cameras`, evenly spread over the sequence."""
    picks = np.linspace(0, len(cameras) - 1, min(count, len(cameras))).round()
    return [cameras[int(pick)] for pick in np.unique(picks)]


def scaled(camera: Camera, width: int) -> Camera:
    """`camera` with pictures of at most `width` pixels across and twice as many down."""
    factor = min(width / camera.width, _TALLEST * width / camera.height)
    if factor >= 1:
        return camera
    return camera.resized(*(max(1, round(side * factor)) for side in (camera.width, camera.height)))


def thinned(camera: Camera, pixels: int) -> Camera:
    """`camera` with pictures of about so many pixels at most, and a screen filter to match."""
    factor = math.sqrt(pixels / (camera.width * camera.height))
    if factor >= 1:
        return camera
    return camera.thinned(*(max(1, round(side * factor)) for side in (camera.width, camera.height)))


def shrunk(picture: FloatArray, height: int, width: int) -> FloatArray:
    """`picture` [H, W, C] at a smaller size: each pixel the mean of the area that it covers."""
    rows, columns = _cover(height, picture.shape[0]), _cover(width, picture.shape[1])
    lower = np.tensordot(rows, picture, axes=1)
    small: FloatArray = np.matmul(columns, lower)
    return small


def _cover(small: int, large: int) -> FloatArray:
    """[small, large] by which share each of `large` pixels in a row makes up each of `small`."""
    edges = np.linspace(0, large, small + 1)
    reached = np.clip(edges[:, None] - np.arange(large), 0, 1)
    return (np.diff(reached, axis=0) * (small / large)).astype(np.float32)


def zoomed(camera: Camera, factor: float) -> Camera:
    """The camera with a focal length `factor` times as long."""
    K = camera.K.copy()
    K[[0, 1], [0, 1]] *= factor
    return replace(camera, K=K)
