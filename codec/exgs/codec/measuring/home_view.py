"""The home view: where a viewer stands first, before anyone has told it where to look.

An encoder knows the whole scene and often the photographs' cameras; a viewer with the first
kilobytes knows neither. So the index carries the camera that shows most of the scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.codec.format.facts import HomeView
from exgs.codec.measuring.picture_error import evenly
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Rasterizer

_HEIGHT = 90  # pixels of the pictures to judge by
_CANDIDATES = 16


def home_view(camera: Camera) -> HomeView:
    """Where `camera` stands and looks.

    The angle of an upright picture is taken for a square of its area: a wide one with the whole
    angle would show what no photograph has seen.
    """
    x, y, z = (float(v) for v in camera.position)
    forward_x, forward_y, forward_z = (float(v) for v in camera.viewmat[2, :3])
    side = min(camera.height, math.sqrt(camera.width * camera.height))
    fov_y = 2 * math.atan2(side, 2 * float(camera.K[1, 1]))
    return HomeView((x, y, z), (forward_x, forward_y, forward_z), fov_y)


def root_surface(scene: Gaussians) -> npt.NDArray[np.float64]:
    """What seeing each Gaussian [N] of `scene` counts: the root of its surface, world units.

    By number close-ups of fine detail would win, by surface bare walls and ceilings.
    """
    a, b, c = scene.scales.T.astype(np.float64)
    roots: npt.NDArray[np.float64] = np.sqrt(scene.opacities * (a * b + b * c + c * a))
    return roots


def best_camera(scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer) -> Camera:
    """The one of `cameras` (one or more; 16 of them are tried) that sees most of `scene`."""
    worth = root_surface(scene)

    def seen(camera: Camera) -> float:
        small = camera.resized(max(1, round(_HEIGHT * camera.width / camera.height)), _HEIGHT)
        return float(worth[rasterizer.contributions(scene, small).hits > 0].sum())

    return max(evenly(cameras, _CANDIDATES), key=seen)
