"""Cameras for the sample scene: views from its free space, and a walk around its centre.

A position is free if no surface is near. The positions of surfaces follow from the room itself, so
no scene has to be generated to place cameras.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from exgs.sample.noise import Array
from exgs.sample.room import Room, room_of
from exgs.scene.camera import Camera, look_at, pinhole

_FOV_Y_DEG = 55.0
_CLEARANCE = 0.35  # metres from the camera to the nearest surface
_EYE_HEIGHTS = (1.0, 1.75)  # metres, from a sitting to a standing person
_IN_FRONT = 0.75  # metres from the camera to the nearest surface within _CONE
_CONE = math.cos(math.radians(35))
_NEAREST, _STEEPEST_DEG = 1.3, 22.0  # least distance of the target in metres, largest pitch
_DRAWN = 32  # candidates at a time

_WALK_SIZES = np.linspace(0.62, 0.40, 12)  # relative to the room; the largest free one is used
_WALK_HEIGHT, _WALK_SWAY = 1.5, 0.10
_WALK_TARGET = 1.05


def sample_cameras(
    count: int, *, scene_seed: int = 0, width: int = 640, height: int = 360, seed: int = 0
) -> tuple[Camera, ...]:
    """`count` views of `sample_scene(seed=scene_seed)` from its free space.

    The vertical field of view is 55 degrees. Each `seed` draws other views from the same
    distribution. Raises ValueError.
    """
    K = _picture(count, width, height)
    room = room_of(scene_seed)
    surfaces = _surface_points(room)
    rng = np.random.default_rng([seed, scene_seed, 0xCA3])
    cameras: list[Camera] = []
    while len(cameras) < count:
        for eye, target in zip(_eyes(room, rng), _targets(surfaces, rng), strict=True):
            if len(cameras) < count and _is_useful_view(surfaces, eye, target):
                name = f"view {len(cameras)}"
                cameras.append(_camera(room, eye, target, K, width, height, name))
    return tuple(cameras)


def sample_path(
    count: int, *, scene_seed: int = 0, width: int = 640, height: int = 360, seed: int = 0
) -> tuple[Camera, ...]:
    """`count` views along a closed walk around `sample_scene(seed=scene_seed)`, looking across it.

    The last view is one step before the first. `seed` sets the start, the direction and the sway of
    the walk. Raises ValueError.
    """
    K = _picture(count, width, height)
    room = room_of(scene_seed)
    surfaces = _surface_points(room)
    rng = np.random.default_rng([seed, scene_seed, 0x9A7])
    start, phase = rng.uniform(0, 2 * math.pi, 2)
    angle = start + rng.choice([-1.0, 1.0]) * 2 * math.pi * np.arange(count) / max(count, 1)
    for size in _WALK_SIZES:
        eyes = _round(room, angle, size, _WALK_HEIGHT + _WALK_SWAY * np.sin(2 * angle + phase))
        if all(_is_free(surfaces, eye) for eye in eyes):
            break
    ahead = math.pi + 0.45 * np.sin(angle + phase)
    targets = _round(room, angle + ahead, 0.8, np.full(count, _WALK_TARGET))
    return tuple(
        _camera(room, eye, target, K, width, height, f"view {k}")
        for k, (eye, target) in enumerate(zip(eyes, targets, strict=True))
    )


def _picture(count: int, width: int, height: int) -> Array:
    if count < 0 or width < 1 or height < 1:
        raise ValueError(f"{count} views of {width}x{height} can't be made")
    return pinhole(width, height, _FOV_Y_DEG)


def _camera(
    room: Room, eye: Array, target: Array, K: Array, width: int, height: int, name: str
) -> Camera:
    turn = room.to_scene
    camera = look_at(eye * turn, target * turn, (0, -1, 0), K, width, height)
    return replace(camera, name=name)


def _surface_points(room: Room) -> Array:
    """Centres [n, 3] of the facets that surfaces start with; detailed surfaces have more."""
    points = []
    for surface in room.surfaces:
        nu, nv = surface.facets
        u, v = np.meshgrid((np.arange(nu) + 0.5) / nu, (np.arange(nv) + 0.5) / nv)
        patches = len(surface.size)
        ids = np.repeat(np.arange(patches), u.size)
        points.append(surface.place(ids, np.tile(u.ravel(), patches), np.tile(v.ravel(), patches)))
    return np.concatenate(points)


def _eyes(room: Room, rng: np.random.Generator) -> Array:
    walls = np.array([room.half_width, 0, room.half_depth]) - _CLEARANCE
    low, high = -walls, walls
    low[1], high[1] = _EYE_HEIGHTS
    return rng.uniform(low, high, (_DRAWN, 3))


def _targets(surfaces: Array, rng: np.random.Generator) -> Array:
    return np.asarray(surfaces[rng.integers(len(surfaces), size=_DRAWN)])


def _is_free(surfaces: Array, eye: Array) -> bool:
    return bool(((surfaces - eye) ** 2).sum(1).min() > _CLEARANCE**2)


def _is_useful_view(surfaces: Array, eye: Array, target: Array) -> bool:
    """Whether `eye` is free, `target` is far enough, and nothing close blocks the view."""
    way = target - eye
    far = float(np.linalg.norm(way))
    if far < _NEAREST or abs(way[1]) > far * math.sin(math.radians(_STEEPEST_DEG)):
        return False
    offset = surfaces - eye
    distance = np.linalg.norm(offset, axis=1)
    in_front = offset @ (way / far) > _CONE * distance
    return bool(distance.min() > _CLEARANCE and distance[in_front].min() > _IN_FRONT)


def _round(room: Room, angle: Array, size: float, height: Array) -> Array:
    """Positions [n, 3] on an ellipse that is `size` times as large as the room."""
    return np.stack(
        [
            size * room.half_width * np.cos(angle),
            height,
            size * room.half_depth * np.sin(angle),
        ],
        axis=1,
    )
