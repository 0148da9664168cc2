"""Views from street level: near matter, low above it, with nothing between eye and target."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.probe import Prober
from exgs.scene.views.survey import Survey, survey

_DISTANCES = (0.06, 0.2)  # from eye to target, relative to the diagonal of the scene
_ELEVATIONS_DEG = (2.0, 20.0)
_FOV_Y_DEG = 50.0
_CANDIDATES = 3  # for each view; those inside haze or close to matter are left out
_TRIES = 400  # for each view


def street_views(
    scene: Gaussians, count: int, *, width: int = 480, height: int = 270, seed: int = 0
) -> list[Camera]:
    """`count` views of points of `scene`, chosen by their area, from near and low above them."""
    layout = survey(scene)
    rng = np.random.default_rng(seed)
    K = pinhole(width, height, _FOV_Y_DEG)
    up = layout.up
    east = np.cross(up, np.roll(up, 1))
    east /= np.linalg.norm(east)
    north = np.cross(east, up)
    cameras: list[Camera] = []
    for _ in range(_TRIES * count):
        if len(cameras) == _CANDIDATES * count:
            break
        target = layout.points[rng.integers(len(layout.points))]
        azimuth = rng.uniform(0, 2 * math.pi)
        elevation = math.radians(rng.uniform(*_ELEVATIONS_DEG))
        level = math.cos(azimuth) * east + math.sin(azimuth) * north
        toward = math.cos(elevation) * level + math.sin(elevation) * up
        eye = target + layout.size * rng.uniform(*_DISTANCES) * toward
        if _is_free(layout, eye, target):
            cameras.append(look_at(eye, target, up, K, width, height))
    return Prober(layout).best(cameras, count)


def _is_free(layout: Survey, eye: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> bool:
    """Whether the eye is in free space within the bounds and sees the target."""
    if np.any(eye < layout.low) or np.any(eye > layout.high):
        return False
    if layout.clearance[tuple(layout.cell_of(eye))] < 1:
        return False
    distance = float(np.linalg.norm(target - eye))
    share = max(1 - 2 * layout.cell / distance, 0)
    along = eye + np.linspace(0, share, 64)[:, None] * (target - eye)
    return not layout.holds_matter(along).any()
