"""The home view: where a viewer stands first, before anyone has told it where to look.

An encoder knows the whole scene and often the photographs' cameras; a viewer with the first
kilobytes knows neither. So the index carries a camera that shows the scene well. Its direction is
as long as the way to what it looks at: around that place one may walk.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.format.facts import HomeView, Vector
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.home import choose_home
from exgs.scene.views.survey import survey

VISIBLE_OPACITY = 1 / 255  # below it the rasterizer draws nothing

_LEVEL_SPREAD = 0.02  # of the cameras' x axes, from which they tell the horizon


@dataclass(frozen=True, slots=True)
class Stand:
    """A home view, and which way is up."""

    home: HomeView
    up: Vector


def find_stand(
    scene: Gaussians,
    cameras: Sequence[Camera] = (),
    *,
    up: Vector | None = None,
    antialiased: bool = False,
) -> Stand:
    """The best home view of a scene, of its photographs' `cameras` where there are any.

    Up is given, or else what is up in most photographs, or under the scene's floor's convention.
    The same scene gives the same answer. Raises SceneError for a scene of nothing to be seen.
    """
    seen = scene.select(scene.opacities >= VISIBLE_OPACITY)
    up = up or find_up(seen, cameras)
    best = choose_home(seen, cameras, up=up, antialiased=antialiased)
    return Stand(home_view(best.camera, best.distance), up)


def find_up(scene: Gaussians, cameras: Sequence[Camera] = ()) -> Vector:
    """Which way is up: by the photographs' `cameras`, or else by the scene's floor."""
    return up_of(cameras) if cameras else _vector(survey(scene).up)


def home_view(camera: Camera, distance: float = 1.0) -> HomeView:
    """Where `camera` stands and looks; what it looks at is `distance` away.

    The angle of an upright picture is taken for a square of its area: a wide one with the whole
    angle would show what no photograph has seen.
    """
    side = min(camera.height, math.sqrt(camera.width * camera.height))
    fov_y = 2 * math.atan2(side, 2 * float(camera.K[1, 1]))
    forward = camera.viewmat[2, :3] * distance
    return HomeView(_vector(camera.position), _vector(forward), fov_y)


def up_of(cameras: Sequence[Camera]) -> Vector:
    """The direction that is up in most pictures of one or more `cameras`.

    Photographers hold the horizon level, so it is at right angles to the pictures' rows; where
    these all point one way, the mean of the columns is taken.
    """
    mean = np.mean([-camera.viewmat[1, :3] for camera in cameras], axis=0)
    rows = np.array([camera.viewmat[0, :3] for camera in cameras])
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    up = mean
    if values[1] > _LEVEL_SPREAD and values[0] < 0.25 * values[1] and np.any(mean @ vectors[:, 0]):
        up = vectors[:, 0] * np.sign(mean @ vectors[:, 0])
    return _vector(up / max(float(np.linalg.norm(up)), 1e-9))


def root_surface(scene: Gaussians) -> npt.NDArray[np.float64]:
    """What seeing each Gaussian [N] of `scene` counts: the root of its surface, world units.

    By number close-ups of fine detail would win, by surface bare walls and ceilings.
    """
    a, b, c = scene.scales.T.astype(np.float64)
    roots: npt.NDArray[np.float64] = np.sqrt(scene.opacities * (a * b + b * c + c * a))
    return roots


def _vector(values: npt.NDArray[np.floating]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
