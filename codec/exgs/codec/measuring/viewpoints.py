"""Where an encoder looks from: to score, to fit colours, to distil proxies, to measure, to judge.

No view judges what was fitted to it: proxies look too good from where they were fitted, and the
chunks that replace them too poor.
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

_WIDTH = 640  # pixels: larger cameras are scaled down to it
_LEAST_SIDE = 16
_ENOUGH_LESSONS = 80
_FLOOR_VIEWS = 16
_LESSON_ZOOM = 1.5  # of views that are made up: they stand far off, and detail teaches more


@dataclass(frozen=True, slots=True, eq=False)
class Viewpoints:
    """The cameras of one encoding, at most 640 pixels across and 1280 down."""

    scoring: Sequence[Camera]
    fit: Sequence[Camera]  # every second of those that score
    gains: Sequence[Camera]  # the others
    lessons: Sequence[Camera]  # to distil proxies from
    judges: Sequence[Camera]  # of the rate-quality table


def photographed_viewpoints(
    cameras: CameraSet, *, views: int, lessons: int, judges: int
) -> Viewpoints:
    """Some of a scene's own cameras: at most `views` to score from, and so on.

    Where fewer than 80 would be left, half of those that measure gains teach as well: proxies need
    many. Raises SceneError where there are none.
    """
    if not cameras.cameras:
        raise SceneError("a set of no cameras: one or more are needed")
    scoring = evenly(cameras.fit, views)
    gains, half = scoring[1::2], scoring[3::4]
    teachers = _without(cameras.fit, gains)
    if len(teachers) < min(lessons, _ENOUGH_LESSONS):
        teachers = _without(cameras.fit, half)
    return _viewpoints(scoring, evenly(teachers, lessons), evenly(cameras.judge, judges))


def _without(cameras: Sequence[Camera], left_out: Sequence[Camera]) -> list[Camera]:
    numbers = set(map(id, left_out))
    return [camera for camera in cameras if id(camera) not in numbers]


def made_up_viewpoints(
    scene: Gaussians, *, views: int, lessons: int, judges: int, seed: int
) -> Viewpoints:
    """The same for a scene that came without cameras; each kind has a seed of its own."""
    made = SceneViews(scene)
    scoring, judging, teaching = (
        made.views(count, 3 * seed + kind) for kind, count in enumerate((views, judges, lessons))
    )
    return _viewpoints(scoring, [zoomed(camera, _LESSON_ZOOM) for camera in teaching], judging)


def floor_views(scene: Gaussians, seed: int) -> list[Camera]:
    """Views that no camera file has a say in: they bound how coarsely a scene may be coded."""
    return [scaled(camera, _WIDTH) for camera in SceneViews(scene).views(_FLOOR_VIEWS, 3 * seed)]


def _viewpoints(
    scoring: Sequence[Camera], lessons: Sequence[Camera], judges: Sequence[Camera]
) -> Viewpoints:
    scoring, lessons, judges = (
        [scaled(camera, _WIDTH) for camera in cameras] for cameras in (scoring, lessons, judges)
    )
    return Viewpoints(
        scoring, scoring[::2], scoring[1::2] or scoring, lessons, [_legible(c) for c in judges]
    )


def _legible(camera: Camera) -> Camera:
    """`camera`, with pictures of more than a few pixels a side: SSIM is measured on windows."""
    least = max(camera.width, _LEAST_SIDE), max(camera.height, _LEAST_SIDE)
    return camera if least == (camera.width, camera.height) else camera.resized(*least)
