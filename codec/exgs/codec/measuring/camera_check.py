"""Whether cameras can be those of a scene: wrong frames and units make wrong files in silence.

What is looked at is where the scene's matter lies in each picture: out of it, or a few pixels
across. Rooms are larger than their pictures, so no upper bound is set. Other signs are too weak
for a warning: Gaussians that no camera sees, or that are smaller than a pixel.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.codec.measuring.importance import Importance
from exgs.codec.measuring.picture_error import evenly
from exgs.scene.camera import Camera
from exgs.scene.errors import SceneWarning
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.survey import survey

_CAMERAS = 64  # looked at, of those there are
_POINTS = 4000
_TOO_SMALL = 0.1  # of the picture's longer side, for what most of the scene takes
_TOO_LITTLE = 0.005  # of the scene's matter, within the picture
_TOO_CLOSE = 0.02  # of the scene's size, between the cameras that are farthest apart
_USUAL_SHARE = 0.5  # of the cameras, from which a fault is one of their frame
_NEAR = 0.01  # world units
_FEW_SEEN = 0.05  # of the Gaussians
# Training makes Gaussians where its cameras look, few of them smaller than a pixel.
_MOST_SEEN = 0.7
_USUAL_SIZE = 0.7  # pixels; the median

Doubles = npt.NDArray[np.float64]


def check_cameras(
    scene: Gaussians, cameras: Sequence[Camera], importance: Importance | None = None
) -> None:
    """Say in a SceneWarning what speaks against `cameras` (one or more) being those of `scene`.

    `importance` is what has been measured from some of them.
    """
    faults = camera_faults(scene, cameras)
    if importance is not None and _seen(importance) < _FEW_SEEN:
        faults.append(f"they see {_seen(importance):.1%} of the Gaussians")
    if faults:
        warnings.warn(
            f"the cameras don't fit the scene: {'; '.join(faults)}. Are they in its frame and"
            " units? For a scene trained with nerfstudio, put its dataparser_transforms.json"
            " beside transforms.json",
            SceneWarning,
            stacklevel=3,
        )


def are_plausible(scene: Gaussians, cameras: Sequence[Camera], importance: Importance) -> bool:
    """Whether nothing, not even a weak sign, speaks against `cameras`; see `check_cameras`."""
    shown = importance.contribution > 0
    axes = np.sort(scene.scales[shown], axis=1)
    pixels = np.sqrt(axes[:, 2] * axes[:, 1]) / importance.pixel_size[shown]
    return (
        _seen(importance) >= _MOST_SEEN
        and float(np.median(pixels)) >= _USUAL_SIZE
        and not camera_faults(scene, cameras)
    )


def _seen(importance: Importance) -> float:
    """Share of the Gaussians."""
    return np.count_nonzero(importance.contribution) / len(importance.contribution)


def camera_faults(scene: Gaussians, cameras: Sequence[Camera]) -> list[str]:
    """What speaks against it, in words; an empty list where nothing does."""
    layout = survey(scene)
    points = layout.points[:: max(1, len(layout.points) // _POINTS)]
    some = evenly(cameras, _CAMERAS)
    looks = [_look(camera, points) for camera in some]
    outside = [within < _TOO_LITTLE for within, _, _ in looks]
    small = [
        pixels
        for (_, share, pixels), out in zip(looks, outside, strict=True)
        if share < _TOO_SMALL and not out
    ]
    faults = []
    if len(small) >= _USUAL_SHARE * len(some):
        across = _pixels(float(np.median(small)))
        faults.append(f"in {len(small)} of {len(some)} cameras it is {across} across")
    if sum(outside) >= _USUAL_SHARE * len(some):
        faults.append(f"in {sum(outside)} of {len(some)} cameras it lies outside of the picture")
    places = np.array([camera.position for camera in some])
    spread = float(np.linalg.norm(np.ptp(places, axis=0)))
    if len(some) > 2 and spread < _TOO_CLOSE * layout.size:
        faults.append(
            f"all cameras stand within {spread:.3g} units, and it is {layout.size:.3g} across"
        )
    return faults


def _look(camera: Camera, points: Doubles) -> tuple[float, float, float]:
    """Share of `points` in the picture, and how much of it most of them take: share and pixels."""
    place = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    place = place[place[:, 2] > _NEAR]
    if len(place) < 2:
        return 0.0, 0.0, 0.0
    at = place @ camera.K.T
    at = at[:, :2] / at[:, 2:]
    within = np.all((at >= 0) & (at < (camera.width, camera.height)), axis=1)
    low, high = np.quantile(at, [0.05, 0.95], axis=0)
    pixels = float((high - low).max())
    return within.sum() / len(points), pixels / max(camera.width, camera.height), pixels


def _pixels(count: float) -> str:
    return "less than a pixel" if count < 1 else f"{count:.0f} pixels"
