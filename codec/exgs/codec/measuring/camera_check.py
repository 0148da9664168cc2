"""Checks whether cameras fit a scene.

Cameras in another coordinate frame or unit would spoil a file without any error. Each camera's
picture is checked for the projected means: a camera does not fit if almost none of them lie in its
picture, or if most of them lie within a few pixels. There is no upper bound on their extent, since
rooms are larger than their pictures. Two weaker signs are not enough for a warning: Gaussians that
no camera sees, and Gaussians that are smaller than a pixel.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.codec.measuring.importance import Importance
from exgs.codec.measuring.pictures import evenly_spaced
from exgs.scene.camera import Camera
from exgs.scene.errors import SceneWarning
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.survey import survey

_CAMERAS = 64  # cameras that are checked, at most
_POINTS = 4000
_EXTENT_MIN = 0.1  # of 90% of the points, relative to the longer side of the picture
_INSIDE_MIN = 0.005  # share of the points inside the picture
_SPREAD_MIN = 0.02  # of the camera positions, relative to the size of the scene
_FAULTY_SHARE = 0.5  # of the cameras; fewer faulty cameras do not indicate a wrong frame
_NEAR = 0.01  # world units
_SEEN_MIN = 0.05  # share of the Gaussians
# Training places Gaussians where cameras look, and makes few of them smaller than a pixel.
_PLAUSIBLE_SEEN = 0.7
_PLAUSIBLE_PIXELS = 0.7  # median size of a Gaussian

Doubles = npt.NDArray[np.float64]


def check_cameras(
    scene: Gaussians, cameras: Sequence[Camera], importance: Importance | None = None
) -> None:
    """Warn with a SceneWarning if `cameras` (one or more) do not fit `scene`.

    `importance` is the measurement from some of them, if there is one.
    """
    faults = camera_faults(scene, cameras)
    if importance is not None and _seen_share(importance) < _SEEN_MIN:
        faults.append(f"they see {_seen_share(importance):.1%} of the Gaussians")
    if faults:
        warnings.warn(
            f"the cameras don't fit the scene: {'; '.join(faults)}. Are they in its frame and"
            " units? For a scene trained with nerfstudio, put its dataparser_transforms.json"
            " beside transforms.json",
            SceneWarning,
            stacklevel=3,
        )


def are_plausible(scene: Gaussians, cameras: Sequence[Camera], importance: Importance) -> bool:
    """Whether `cameras` show neither a fault of `check_cameras` nor one of the weaker signs."""
    seen = importance.contribution > 0
    axes = np.sort(scene.scales[seen], axis=1)
    pixels = np.sqrt(axes[:, 2] * axes[:, 1]) / importance.pixel_size[seen]
    return (
        _seen_share(importance) >= _PLAUSIBLE_SEEN
        and float(np.median(pixels)) >= _PLAUSIBLE_PIXELS
        and not camera_faults(scene, cameras)
    )


def _seen_share(importance: Importance) -> float:
    """The share of the Gaussians that contribute to a view."""
    return np.count_nonzero(importance.contribution) / len(importance.contribution)


def camera_faults(scene: Gaussians, cameras: Sequence[Camera]) -> list[str]:
    """Reasons in words why `cameras` do not fit `scene`; an empty list if they do."""
    layout = survey(scene)
    points = layout.points[:: max(1, len(layout.points) // _POINTS)]
    checked = evenly_spaced(cameras, _CAMERAS)
    projected = [_project(camera, points) for camera in checked]
    outside = [inside < _INSIDE_MIN for inside, _, _ in projected]
    small = [
        pixels
        for (_, extent, pixels), is_outside in zip(projected, outside, strict=True)
        if extent < _EXTENT_MIN and not is_outside
    ]
    faults = []
    if len(small) >= _FAULTY_SHARE * len(checked):
        across = _pixels(float(np.median(small)))
        faults.append(f"in {len(small)} of {len(checked)} cameras it is {across} across")
    if sum(outside) >= _FAULTY_SHARE * len(checked):
        faults.append(f"in {sum(outside)} of {len(checked)} cameras it lies outside the picture")
    positions = np.array([camera.position for camera in checked])
    spread = float(np.linalg.norm(np.ptp(positions, axis=0)))
    if len(checked) > 2 and spread < _SPREAD_MIN * layout.size:
        faults.append(
            f"all cameras are within {spread:.3g} units, and the scene is {layout.size:.3g} across"
        )
    return faults


def _project(camera: Camera, points: Doubles) -> tuple[float, float, float]:
    """The share of `points` [N, 3] inside the picture, and the extent of the middle 90% of them.

    The extent is given as a share of the longer side of the picture, and in pixels.
    """
    in_camera = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    in_camera = in_camera[in_camera[:, 2] > _NEAR]
    if len(in_camera) < 2:
        return 0.0, 0.0, 0.0
    homogeneous = in_camera @ camera.K.T
    at = homogeneous[:, :2] / homogeneous[:, 2:]
    inside = np.all((at >= 0) & (at < (camera.width, camera.height)), axis=1)
    low, high = np.quantile(at, [0.05, 0.95], axis=0)
    pixels = float((high - low).max())
    return inside.sum() / len(points), pixels / max(camera.width, camera.height), pixels


def _pixels(count: float) -> str:
    return "less than a pixel" if count < 1 else f"{count:.0f} pixels"
