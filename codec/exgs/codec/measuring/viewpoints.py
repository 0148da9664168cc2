"""The views of an encoder: for importance, fits of proxies, gains and the quality table.

Gains are not measured on views to which proxies were fitted: the error of the proxies is too small
there, and so would be the gain of the chunks that replace them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exgs.codec.errors import SceneError
from exgs.codec.measuring.pictures import evenly_spaced, scaled, zoomed
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import SceneViews

PICTURE_WIDTH = 640  # pixels; larger pictures are scaled down
_SIDE_MIN = 16  # pixels; SSIM uses windows of 11 pixels
_TRAINING_VIEWS_MIN = 80
_BOUND_VIEWS = 16
# Share of generated views from outside of a room, where a viewer may go too. Not one in an even
# number, since every second view is for gains.
OUTSIDE_SHARE = 1 / 7
TRAINING_ZOOM = 1.5  # of generated views: they are far away, and proxies need detail


@dataclass(frozen=True, slots=True, eq=False)
class Viewpoints:
    """The cameras of one encoding. Their pictures are at most 640 pixels wide and 1280 high."""

    scoring: Sequence[Camera]  # for importance
    gains: Sequence[Camera]  # for gains: every second scoring view
    training: Sequence[Camera]  # for distillation and colour fits
    held_out: Sequence[Camera]  # for the rate-quality table


def photographed_viewpoints(
    cameras: CameraSet, *, views: int, training: int, held_out: int
) -> Viewpoints:
    """Choose viewpoints from the cameras of the photographs of a scene.

    `views`, `training` and `held_out` are the maximum numbers of scoring, training and held-out
    views. Training views exclude the views for gains; if fewer than 80 remain, they exclude only
    half of those. Raises SceneError if there are no cameras.
    """
    if not cameras.cameras:
        raise SceneError("the set of cameras is empty: one or more are needed")
    scoring = evenly_spaced(cameras.fit, views)
    gains, half = scoring[1::2], scoring[3::4]
    candidates = without(cameras.fit, gains)
    if len(candidates) < min(training, _TRAINING_VIEWS_MIN):
        candidates = without(cameras.fit, half)
    return viewpoints_of(
        scoring, evenly_spaced(candidates, training), evenly_spaced(cameras.held_out, held_out)
    )


def without(cameras: Sequence[Camera], left_out: Sequence[Camera]) -> list[Camera]:
    """`cameras` that are none of the objects `left_out`."""
    numbers = set(map(id, left_out))
    return [camera for camera in cameras if id(camera) not in numbers]


def made_up_viewpoints(
    scene: Gaussians, *, views: int, training: int, held_out: int, seed: int
) -> Viewpoints:
    """Generate viewpoints for a scene without cameras; arguments as in `photographed_viewpoints`.

    Scoring, held-out and training views have different seeds, which follow from `seed`. Some of a
    room show it from outside; the held-out views do not, so that the table tells what is usual.
    """
    generated = SceneViews(scene)
    scoring = generated.views(views, 3 * seed, outside=OUTSIDE_SHARE)
    held_out_views = generated.views(held_out, 3 * seed + 1)
    training_views = generated.views(training, 3 * seed + 2, outside=OUTSIDE_SHARE)
    zoomed_views = [zoomed(camera, TRAINING_ZOOM) for camera in training_views]
    return viewpoints_of(scoring, zoomed_views, held_out_views)


def bound_views(scene: Gaussians, seed: int) -> list[Camera]:
    """16 generated views that bound the sensitivity where given cameras are not plausible."""
    return [
        scaled(camera, PICTURE_WIDTH) for camera in SceneViews(scene).views(_BOUND_VIEWS, 3 * seed)
    ]


def viewpoints_of(
    scoring: Sequence[Camera], training: Sequence[Camera], held_out: Sequence[Camera]
) -> Viewpoints:
    """These views, reduced to 640 pixels; every second scoring view is for gains."""
    scoring, training, held_out = (
        [scaled(camera, PICTURE_WIDTH) for camera in cameras]
        for cameras in (scoring, training, held_out)
    )
    return Viewpoints(scoring, scoring[1::2] or scoring, training, [_enlarged(c) for c in held_out])


def _enlarged(camera: Camera) -> Camera:
    """`camera` with a picture of at least 16 x 16 pixels."""
    size = max(camera.width, _SIDE_MIN), max(camera.height, _SIDE_MIN)
    return camera if size == (camera.width, camera.height) else camera.resized(*size)
