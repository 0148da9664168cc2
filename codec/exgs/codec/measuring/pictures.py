"""Pictures that scenes are measured by and fitted to: values, numbers and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_T = TypeVar("_T")

_ASPECT_MAX = 2  # height of a scaled picture over the maximum width


def clipped_pictures(
    scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer
) -> list[FloatArray]:
    """The pictures [H, W, 3] of a scene, with values in [0, 1]."""
    return [np.clip(rasterizer.render(scene, camera).rgb, 0, 1) for camera in cameras]


@dataclass(frozen=True, slots=True, eq=False)
class FitViews:
    """Cameras, and the pictures [H, W, 3] of the whole scene that something is fitted to."""

    cameras: Sequence[Camera]
    references: Sequence[npt.NDArray[np.floating]]

    def some(self, count: int) -> FitViews:
        """At most `count` of the views, evenly spaced."""
        return self.select(evenly_spaced(range(len(self.cameras)), count))

    def select(self, numbers: Sequence[int]) -> FitViews:
        """The views with these numbers."""
        return FitViews(
            [self.cameras[number] for number in numbers],
            [self.references[number] for number in numbers],
        )


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
