"""Generated camera paths: stays, orbit, walk, turn, teleport.

They depend on the home camera, centre and size of a scene and use these as units, so the same
experiment works for every scene.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.lab.errors import LabError
from exgs.lab.viewers.path import Lens, Pose, ViewPath, path_of, pose_of, quaternion
from exgs.scene.camera import Camera, look_at

Doubles = npt.NDArray[np.float64]

_STEP_S = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The home camera and the centre of a scene."""

    home: Camera
    centre: Doubles  # [3] the point that viewers look at
    up: Doubles  # [3] unit vector
    reach: float  # distance from the home view to the centre


def made_path(kind: str, place: Place, length_s: float, period_s: float) -> ViewPath:
    """A path of one of KINDS. `period_s` is the time of one round, or between two stops."""
    if kind not in KINDS:
        raise LabError(f"viewer kind {kind!r} is none of {', '.join(KINDS)}")
    if period_s <= 0:
        raise LabError("the period of a viewer must be more than 0 s")
    return KINDS[kind](place, length_s, period_s)


def _times(length_s: float) -> list[float]:
    return [number * _STEP_S for number in range(math.ceil(length_s / _STEP_S) + 2)]


def _lens(place: Place) -> Lens:
    return Lens(place.home.K, place.home.width, place.home.height)


def _looking(place: Place, eye: Doubles, target: Doubles) -> Pose:
    camera = look_at(eye, target, place.up, place.home.K, place.home.width, place.home.height)
    return Pose(eye, quaternion(camera.viewmat[:3, :3].T))


def _turned(vector: Doubles, axis: Doubles, angle: float) -> Doubles:
    """Rodrigues' rotation."""
    along = axis * float(axis @ vector)
    turned: Doubles = (
        along + math.cos(angle) * (vector - along) + math.sin(angle) * np.cross(axis, vector)
    )
    return turned


def _stays(place: Place, length_s: float, period_s: float) -> ViewPath:
    pose = pose_of(place.home)
    return path_of("stays", [0.0, length_s], [pose, pose], _lens(place))


def _orbit(place: Place, length_s: float, period_s: float) -> ViewPath:
    """Around the centre, at the height and distance of the home view."""
    arm = place.home.position - place.centre
    times = _times(length_s)
    poses = []
    for time_s in times:
        eye = place.centre + _turned(arm, place.up, 2 * math.pi * time_s / period_s)
        poses.append(_looking(place, eye, place.centre))
    return path_of("orbit", times, poses, _lens(place))


def _walk(place: Place, length_s: float, period_s: float) -> ViewPath:
    """Between the home view and half the way to the centre, back and forth, with lateral sway."""
    arm = place.home.position - place.centre
    side = np.cross(place.up, arm)
    times = _times(length_s)
    poses = []
    for time_s in times:
        phase = 2 * math.pi * time_s / period_s
        nearness = 0.5 * (1 - math.cos(phase)) / 2
        eye = place.centre + (1 - nearness) * arm + 0.2 * math.sin(2 * phase) * side
        poses.append(_looking(place, eye, place.centre))
    return path_of("walk", times, poses, _lens(place))


def _turn(place: Place, length_s: float, period_s: float) -> ViewPath:
    """At the home view, with a turn by 90 degrees in the last second of each period."""
    forward = place.home.viewmat[2, :3]
    times = _times(length_s)
    poses = []
    for time_s in times:
        stops, rest_s = divmod(time_s, period_s)
        turning = min(max(rest_s - (period_s - 1.0), 0.0), 1.0)
        angle = (stops + (3 - 2 * turning) * turning**2) * math.pi / 2
        eye = place.home.position
        poses.append(_looking(place, eye, eye + _turned(forward, place.up, angle)))
    return path_of("turn", times, poses, _lens(place))


def _teleport(place: Place, length_s: float, period_s: float) -> ViewPath:
    """Jumps around the centre by 137.5 degrees (the golden angle) each time."""
    arm = place.home.position - place.centre
    count = math.ceil(length_s / period_s) + 1
    times = [number * period_s for number in range(count + 1)]
    poses = [
        _looking(
            place,
            place.centre + _turned(arm, place.up, math.radians(137.508) * number),
            place.centre,
        )
        for number in range(count + 1)
    ]
    return path_of("teleport", times, poses, _lens(place), frozenset(range(1, count + 1)))


KINDS: dict[str, Callable[[Place, float, float], ViewPath]] = {
    "stays": _stays,
    "orbit": _orbit,
    "walk": _walk,
    "turn": _turn,
    "teleport": _teleport,
}
