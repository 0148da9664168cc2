"""The views of an encoder: for scores, colour fits, distillation, gains and quality tables.

Nothing is measured on views that it was fitted to: proxies look too good there, so the gain of
chunks that replace them would be too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exgs.codec.errors import SceneError
from exgs.codec.measuring.picture_error import evenly, scaled, zoomed
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import SceneViews

_WIDTH = 640  # pixels; larger pictures are scaled down
_LEAST_SIDE = 16
_ENOUGH_TRAINING_VIEWS = 80
_FLOOR_VIEWS = 16
_TRAINING_ZOOM = 1.5  # of generated views, which are far away: proxies need detail


@dataclass(frozen=True, slots=True, eq=False)
class Viewpoints:
    """The cameras of one encoding, at most 640 pixels across and 1280 down."""

    scoring: Sequence[Camera]
    fit: Sequence[Camera]  # for colour fits: every second scoring view
    gains: Sequence[Camera]  # for gains: the other scoring views
    training: Sequence[Camera]  # to distil proxies
    held_out: Sequence[Camera]  # for the table of quality by bytes


def photographed_viewpoints(
    cameras: CameraSet, *, views: int, training: int, held_out: int
) -> Viewpoints:
    """Choose viewpoints from the cameras of a scene: at most `views` for scores, and so on.

    Proxies need many training views. If fewer than 80 are left, half of the views for gains are
    training views too. Raises SceneError if there are no cameras.
    """
    if not cameras.cameras:
        raise SceneError("a set of no cameras: one or more are needed")
    scoring = evenly(cameras.fit, views)
    gains, half = scoring[1::2], scoring[3::4]
    candidates = _without(cameras.fit, gains)
    if len(candidates) < min(training, _ENOUGH_TRAINING_VIEWS):
        candidates = _without(cameras.fit, half)
    return _viewpoints(scoring, evenly(candidates, training), evenly(cameras.held_out, held_out))


def _without(cameras: Sequence[Camera], left_out: Sequence[Camera]) -> list[Camera]:
    numbers = set(map(id, left_out))
    return [camera for camera in cameras if id(camera) not in numbers]


def made_up_viewpoints(
    scene: Gaussians, *, views: int, training: int, held_out: int, seed: int
) -> Viewpoints:
    """Generate viewpoints for a scene without cameras. Each kind of view has its own seed."""
    made = SceneViews(scene)
    counts = views, held_out, training
    scoring, measured, fitted = (
        made.views(count, 3 * seed + kind) for kind, count in enumerate(counts)
    )
    return _viewpoints(scoring, [zoomed(camera, _TRAINING_ZOOM) for camera in fitted], measured)


def floor_views(scene: Gaussians, seed: int) -> list[Camera]:
    """Generated views, regardless of given cameras. They limit how coarsely a scene is coded."""
    return [scaled(camera, _WIDTH) for camera in SceneViews(scene).views(_FLOOR_VIEWS, 3 * seed)]


def _viewpoints(
    scoring: Sequence[Camera], training: Sequence[Camera], held_out: Sequence[Camera]
) -> Viewpoints:
    scoring, training, held_out = (
        [scaled(camera, _WIDTH) for camera in cameras] for cameras in (scoring, training, held_out)
    )
    return Viewpoints(
        scoring, scoring[::2], scoring[1::2] or scoring, training, [_at_least(c) for c in held_out]
    )


def _at_least(camera: Camera) -> Camera:
    """`camera`, with a picture that is large enough for the windows of SSIM."""
    least = max(camera.width, _LEAST_SIDE), max(camera.height, _LEAST_SIDE)
    return camera if least == (camera.width, camera.height) else camera.resized(*least)
