"""Simulates a capture with a hand-held camera: only Gaussians that some picture shows remain.

Scenes trained from photographs end where the photographs end, with sparse Gaussians at the border.
There the scene fades into empty background, which is not a gap.
"""

from __future__ import annotations

import numpy as np

from exgs.painter.training.photographs import Array
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Rasterizer
from exgs.scene.views.made_up import SceneViews

_ROAM = 0.1  # largest distance from the first position, relative to the size of the scene
_AIM = 0.06  # largest distance from the first target, relative to the size of the scene
_TRIES = 40  # attempts to find a free position
_LEAST_WEIGHT = 2.0  # least blending weight over all pictures, in pixels, to keep a Gaussian


class Capture:
    """The position and target of a photographer in a scene, drawn from `seed`."""

    def __init__(self, scene: Gaussians, seed: int) -> None:
        """Raises SceneError if the scene is empty."""
        made = SceneViews(scene)
        self._layout = made.layout
        [first] = made.views(1, seed)
        self._rng = np.random.default_rng([seed, 0xCA9])
        self._eye: Array = first.position
        distance = self._rng.uniform(0.2, 0.35) * self._layout.size
        self._target: Array = self._eye + distance * first.viewmat[2, :3]

    def cameras(self, count: int, size: tuple[int, int], fov_y_deg: float) -> tuple[Camera, ...]:
        """`count` cameras of `size` (width, height) at free positions near the photographer."""
        width, height = size
        layout, K = self._layout, pinhole(width, height, fov_y_deg)
        made = []
        for _ in range(count):
            aim = self._target + self._rng.uniform(-_AIM, _AIM, 3) * layout.size
            made.append(look_at(self._free_place(), aim, layout.up, K, width, height))
        return tuple(made)

    def _free_place(self) -> Array:
        layout = self._layout
        for _ in range(_TRIES):
            place = self._eye + self._rng.uniform(-_ROAM, _ROAM, 3) * layout.size
            cell = layout.cell_of(place)
            inside = np.all((place > layout.low) & (place < layout.high))
            if inside and layout.clearance[tuple(cell)] >= 1:
                return np.asarray(place)
        return self._eye


def seen_from(scene: Gaussians, cameras: tuple[Camera, ...], rasterizer: Rasterizer) -> Gaussians:
    """Select the Gaussians of `scene` that are visible in the pictures of `cameras`."""
    weights = sum(rasterizer.contributions(scene, camera).sum for camera in cameras)
    return scene.select(np.asarray(weights >= _LEAST_WEIGHT))
