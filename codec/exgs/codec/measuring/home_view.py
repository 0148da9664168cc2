"""The home view: the camera from which a viewer starts.

The encoder knows the whole scene and often the cameras of its photographs. A viewer that has only
the first kilobytes knows neither, so the file contains a camera that shows the scene well. The
length of its direction is the distance to the point that it looks at, which viewers orbit.
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

VISIBLE_OPACITY = 1 / 255  # the rasterizer draws nothing below it

_X_AXES_VARIANCE_MIN = 0.02  # if the x axes of the cameras vary less, they don't define a plane


@dataclass(frozen=True, slots=True)
class Home:
    """The home view and the up direction (a unit vector) of a scene."""

    view: HomeView
    up: Vector
    is_up_known: bool = True  # False if nothing tells it: that of RDF is taken


def find_home(
    scene: Gaussians,
    cameras: Sequence[Camera] = (),
    *,
    up: Vector | None = None,
    antialiased: bool = False,
) -> Home:
    """The best home view of a scene: one of its `cameras`, or a generated view if there are none.

    If `up` is None, it is found from the cameras, or from the floor of the scene (`find_up`).
    The result is deterministic. Raises SceneError if the scene has no visible Gaussian.
    """
    visible = scene.select(scene.opacities >= VISIBLE_OPACITY)
    if up is None and cameras:
        up = up_of(cameras)
    best = choose_home(visible, cameras, up=up, antialiased=antialiased)
    return Home(home_view(best.camera, best.distance), up or _vector(best.up), best.is_up_known)


def find_up(scene: Gaussians, cameras: Sequence[Camera] = ()) -> Vector:
    """The up direction, from the `cameras` of the photographs or else from the scene's floor."""
    return up_of(cameras) if cameras else _vector(survey(scene).up)


def home_view(camera: Camera, distance: float = 1.0) -> HomeView:
    """The home view at the position and direction of `camera`.

    `distance` (world units) is the distance to the point that it looks at. The vertical field of
    view of an upright picture is that of a square of the same area: a wide picture with the full
    field of view would show regions that no photograph covers.
    """
    side = min(camera.height, math.sqrt(camera.width * camera.height))
    fov_y = 2 * math.atan2(side, 2 * float(camera.K[1, 1]))
    forward = camera.viewmat[2, :3] * distance
    return HomeView(_vector(camera.position), _vector(forward), fov_y)


def up_of(cameras: Sequence[Camera]) -> Vector:
    """The up direction (a unit vector) in the pictures of one or more `cameras`.

    Photographers keep the horizon level, so up is perpendicular to the x axes of all cameras. If
    all x axes point in about the same direction, up is the mean of the -y axes.
    """
    mean = np.mean([-camera.viewmat[1, :3] for camera in cameras], axis=0)
    x_axes = np.array([camera.viewmat[0, :3] for camera in cameras])
    values, vectors = np.linalg.eigh(x_axes.T @ x_axes / len(x_axes))
    up = mean
    if (
        values[1] > _X_AXES_VARIANCE_MIN
        and values[0] < 0.25 * values[1]
        and np.any(mean @ vectors[:, 0])
    ):
        up = vectors[:, 0] * np.sign(mean @ vectors[:, 0])
    return _vector(up / max(float(np.linalg.norm(up)), 1e-9))


def _vector(values: npt.NDArray[np.floating]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
