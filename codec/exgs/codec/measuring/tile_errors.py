"""Squared error of pictures by tile, from which the gains of chunks follow.

The squared error of each pixel is divided among the Gaussians of the pixel in proportion to their
blending weights, then summed over the Gaussians of each tile.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.codec.measuring.pictures import clipped_pictures
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer


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
        self._references = references or clipped_pictures(scene, cameras, rasterizer)
        self._errors: list[list[FloatArray]] = []

    def add_state(self, state: Gaussians) -> None:
        """Draw `state` from all cameras and keep its squared errors."""
        pictures = clipped_pictures(state, self._cameras, self._rasterizer)
        self._errors.append(
            [
                np.square(picture - reference).sum(axis=2)
                for picture, reference in zip(pictures, self._references, strict=True)
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
