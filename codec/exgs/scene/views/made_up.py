"""Generates views of a scene without cameras: seeded, outside of matter, and with detail.

The views of an object are on orbits. The views of a room or a landscape are in its free space. More
views are generated than needed. A small picture of each decides which of them to keep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera, Matrix, look_at, pinhole
from exgs.scene.errors import SceneError
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.probe import Prober
from exgs.scene.views.survey import Array, Mask, Survey, spaces, survey
from exgs.scene.views.walk import evenly, smoothed, walk

_FOV_Y_DEG = 50.0
_CANDIDATES = 3  # generated for each requested view

_ELEVATIONS_DEG = (12.0, 32.0, 52.0, 0.0)
_GOLDEN = (math.sqrt(5) - 1) / 2  # of a turn: any number of steps covers the circle evenly
_CLOSE_UPS = (1, 3)  # of every five orbit views, the close-ups of one point

_ROOM_ENCLOSURE = 0.65  # least share of directions that meet matter, from a position in a room
_ROOM_SHARE = 0.08  # least share of the grid's cells with such positions
_SHELL = 0.97  # share of the visible surface that is visible from outside: above, an object
_SKY = 0.25  # least share of the directions with far background in a landscape
_OUTDOOR_ENCLOSURE = 0.4
_MAX_PITCH_DEG = 30.0
_LEAST_DISTANCE = 0.15  # from an inside view to its target, relative to the size of the scene
_LEAST_SPACE = 0.15  # of all free space: smaller parts are the insides of furniture

_STOPS = 6  # of a walk
_FINE = 2048  # points of a walk before it is divided into views
_TURN_COST = 0.3  # relative to the size of the scene: path length equivalent to one radian of turn


def synthesise_views(
    scene: Gaussians, count: int, *, width: int = 640, height: int = 360, seed: int = 0
) -> tuple[Camera, ...]:
    """`count` views of `scene`, 50 degrees high; the same arguments give the same views.

    Other seeds give other views of the same distribution. Raises SceneError where the scene has
    no Gaussian; ValueError.
    """
    return SceneViews(scene, width=width, height=height).views(count, seed)


class SceneViews:
    """Generates several sets of views of one scene, with one survey for all of them."""

    def __init__(
        self,
        scene: Gaussians,
        *,
        width: int = 640,
        height: int = 360,
        up: npt.ArrayLike | None = None,
    ) -> None:
        """Raises as `synthesise_views` does; `up` replaces the up direction of the survey."""
        stage = _Stage.of(scene, width, height)
        if up is not None:
            level = np.asarray(up, np.float64) / np.linalg.norm(up)
            stage = replace(stage, layout=replace(stage.layout, up=level))
        self._stage = stage
        self._prober = Prober(self.layout)

    @property
    def layout(self) -> Survey:
        """`survey` of the scene."""
        return self._stage.layout

    @cached_property
    def _surrounds(self) -> bool:
        return _surrounds(self._stage, self._prober)

    def within(self, count: int) -> list[Camera]:
        """Views from inside a scene that surrounds its viewer; empty for other scenes."""
        if not self._surrounds:
            return []
        return _from_within(self._stage, count, np.random.default_rng(0))

    def views(self, count: int, seed: int = 0, *, outside: float = 0.0) -> tuple[Camera, ...]:
        """The result of `synthesise_views`.

        If the scene surrounds its viewer, the share `outside` of the views are orbits around it.
        """
        if count < 0:
            raise ValueError(f"{count} views can't be made")
        if not count:
            return ()
        rng = np.random.default_rng(seed)
        wanted = _CANDIDATES * count + 16
        chosen: list[Camera] = []
        if self._surrounds:
            inside = count - round(outside * count)
            chosen = self._prober.best(_from_within(self._stage, wanted, rng), inside)
        if len(chosen) < count:
            orbits = _orbits(self._stage, wanted, rng)
            chosen = _interspersed(chosen, self._prober.best(orbits, count - len(chosen)))
        return _named(chosen)


def _interspersed(most: Sequence[Camera], few: Sequence[Camera]) -> list[Camera]:
    """All of them, with those of each kind evenly spaced."""
    places = [(i + 0.5) / len(kind) for kind in (most, few) for i in range(len(kind))]
    cameras = [*most, *few]
    return [cameras[number] for number in np.argsort(places, kind="stable")]


def camera_path(
    scene: Gaussians, count: int, *, width: int = 640, height: int = 360, seed: int = 0
) -> tuple[Camera, ...]:
    """`count` views along a smooth path: once around an object, or a walk through free space.

    Raises as `synthesise_views` does.
    """
    if count < 0:
        raise ValueError(f"{count} views can't be made")
    stage = _Stage.of(scene, width, height)
    rng = np.random.default_rng(seed)
    prober = Prober(stage.layout)
    stops: list[Camera] = []
    if _surrounds(stage, prober):
        stops = prober.best(_from_within(stage, _CANDIDATES * _STOPS, rng), _STOPS)
    if len(stops) < 2:
        return _named(_round_trip(stage, count, rng.random()))
    return _named(_tour(stage, stops, count))


@dataclass(frozen=True, slots=True)
class _Stage:
    """The layout of a scene and the size of its pictures."""

    layout: Survey
    K: Matrix
    width: int
    height: int

    @staticmethod
    def of(scene: Gaussians, width: int, height: int) -> _Stage:
        if width < 1 or height < 1:
            raise ValueError(f"views of {width}x{height} can't be made")
        if not len(scene):
            raise SceneError("the scene has no Gaussians")
        return _Stage(survey(scene), pinhole(width, height, _FOV_Y_DEG), width, height)

    def camera(self, eye: Array, target: Array) -> Camera:
        return look_at(eye, target, self.layout.up, self.K, self.width, self.height)

    @property
    def reach(self) -> float:
        """The distance from which the scene fills most of the picture."""
        offsets = self.layout.points - self.layout.centre
        radius = float(np.quantile(np.linalg.norm(offsets, axis=1), 0.95))
        narrow = min(1.0, self.width / self.height)
        return radius / math.sin(math.atan(math.tan(math.radians(_FOV_Y_DEG) / 2) * narrow))


def _named(cameras: Sequence[Camera]) -> tuple[Camera, ...]:
    return tuple(replace(camera, name=f"view {i}") for i, camera in enumerate(cameras))


def _surrounds(stage: _Stage, prober: Prober) -> bool:
    """Whether the views of the scene are inside it.

    They are if matter surrounds a good part of the free space and either sky lies behind it, or
    more of the matter is visible from inside. The shell of a hollow object is visible from outside.
    """
    layout = stage.layout
    places = (layout.clearance >= 2) & (layout.enclosure >= _ROOM_ENCLOSURE)
    if places.mean() < _ROOM_SHARE:
        return False
    if layout.beyond.mean() >= _SKY:
        return True
    rng = np.random.default_rng(0)
    outside = prober.seen(_all_round(stage, 16))
    within = prober.seen(_from_within(stage, 16, rng))
    return prober.area(outside) < _SHELL * prober.area(outside | within)


def _orbits(stage: _Stage, count: int, rng: np.random.Generator) -> list[Camera]:
    """Views from all sides at a few elevations; two of five are close-ups of one point."""
    layout, reach = stage.layout, stage.reach
    start = rng.random()
    cameras = []
    for i in range(count):
        elevation_deg = _ELEVATIONS_DEG[i % len(_ELEVATIONS_DEG)] + rng.uniform(-8, 8)
        toward = _direction(
            layout.up, 2 * math.pi * (start + i * _GOLDEN), math.radians(elevation_deg)
        )
        target = layout.centre + rng.uniform(-0.1, 0.1, 3) * (layout.high - layout.low)
        eye = target + reach * rng.uniform(0.5, 1.0) * toward
        if i % 5 in _CLOSE_UPS:
            targets = layout.points[rng.integers(len(layout.points), size=48)]
            eyes = targets + reach * rng.uniform(0.2, 0.5) * toward
            clear = np.flatnonzero(_in_sight(layout, eyes, targets) & ~_in_hollow(layout, eyes))
            if len(clear):
                eye, target = eyes[clear[0]], targets[clear[0]]
        cameras.append(stage.camera(eye, target))
    return cameras


def _all_round(stage: _Stage, count: int) -> list[Camera]:
    """Views from `count` directions, distributed evenly over the whole sphere."""
    centre, up, reach = stage.layout.centre, stage.layout.up, stage.reach
    elevations = np.arcsin((2 * np.arange(count) + 1) / count - 1)
    directions = (_direction(up, 2 * math.pi * i * _GOLDEN, e) for i, e in enumerate(elevations))
    return [stage.camera(centre + reach * toward, centre) for toward in directions]


def _from_within(stage: _Stage, count: int, rng: np.random.Generator) -> list[Camera]:
    """Views from evenly distributed free positions to matter that is visible and not too near."""
    layout = stage.layout
    weight = layout.enclosure**2
    weight[(layout.clearance < 2) | (layout.enclosure < _OUTDOOR_ENCLOSURE)] = 0
    weight[layout.clearance == layout.clearance.max()] *= 0.1  # high up, far from everything
    weight[~layout.within_bounds] = 0  # under the floor
    for hollow in spaces(weight > 0):
        if weight[hollow].sum() < _LEAST_SPACE * weight.sum():
            weight[hollow] = 0
    cells = np.argwhere(weight > 0)
    if not len(cells):
        return []
    ends = np.cumsum(weight[weight > 0])
    picks = np.searchsorted(ends, (np.arange(count) + rng.random(count)) * (ends[-1] / count))
    rng.shuffle(picks)
    cameras = []
    for pick in np.minimum(picks, len(cells) - 1):
        eye = layout.position_of(cells[pick]) + rng.uniform(-0.5, 0.5, 3) * layout.cell
        targets = layout.points[rng.integers(len(layout.points), size=48)]
        offset = targets - eye
        distance = np.linalg.norm(offset, axis=1)
        level = np.abs(offset @ layout.up) <= math.sin(math.radians(_MAX_PITCH_DEG)) * distance
        far = distance >= _LEAST_DISTANCE * layout.size
        seen = np.flatnonzero(level & far & _in_sight(layout, eye, targets))
        if len(seen):
            cameras.append(stage.camera(eye, targets[seen[0]]))
    return cameras


def _in_sight(layout: Survey, eyes: Array, targets: Array) -> Mask:
    """[T] whether no matter lies between eyes ([3] or [T, 3]) and targets [T, 3]."""
    offset = targets - eyes
    distance = np.linalg.norm(offset, axis=1)
    short = np.maximum(distance - 2 * layout.cell, 0) / np.maximum(distance, 1e-12)
    along = eyes + np.linspace(0, 1, 64)[:, None, None] * (offset * short[:, None])
    blocked: Mask = np.any(layout.holds_matter(along), axis=0, keepdims=True)[0]
    return ~blocked


def _in_hollow(layout: Survey, eyes: Array) -> Mask:
    """[T] whether positions [T, 3] are surrounded by matter."""
    cells = tuple(layout.cell_of(eyes).T)
    outside = np.any((eyes < layout.low) | (eyes > layout.high), axis=1)
    hollow: Mask = ~outside & (layout.enclosure[cells] >= _ROOM_ENCLOSURE)
    return hollow


def _round_trip(stage: _Stage, count: int, start: float) -> list[Camera]:
    """Views once around an object, with a changing elevation."""
    layout, distance = stage.layout, 0.95 * stage.reach
    cameras = []
    for i in range(count):
        turn = 2 * math.pi * (start + i / count)
        elevation = math.radians(25 + 12 * math.sin(turn))
        eye = layout.centre + distance * _direction(layout.up, turn, elevation)
        cameras.append(stage.camera(eye, layout.centre))
    return cameras


def _tour(stage: _Stage, stops: list[Camera], count: int) -> list[Camera]:
    """Views along a walk from each stop to the nearest next stop, turning as it goes."""
    up = stage.layout.up
    ordered = [stops[0]]
    rest = stops[1:]
    while rest:
        here = ordered[-1].position
        distances = [float(np.linalg.norm(camera.position - here)) for camera in rest]
        ordered.append(rest.pop(int(np.argmin(distances))))
    east, north = _horizon(up)
    forward = np.array([camera.viewmat[2, :3] for camera in ordered])
    azimuths = np.unwrap(np.arctan2(forward @ north, forward @ east))
    elevations = np.arcsin(np.clip(forward @ up, -1, 1))
    path, stop = walk(stage.layout, [camera.position for camera in ordered])
    numbers = np.arange(len(ordered))
    eased = np.floor(stop) + (1 - np.cos(math.pi * (stop - np.floor(stop)))) / 2
    angles = np.stack([np.interp(eased, numbers, turn) for turn in (azimuths, elevations)], 1)
    # The path length includes turning, so that a camera that turns much moves slowly.
    pace = np.column_stack([path, _TURN_COST * stage.layout.size * angles])
    fine = smoothed(evenly(np.column_stack([path, angles]), pace, _FINE), _FINE // 32)
    eyes, angles = np.split(evenly(fine, np.linspace(0, 1, _FINE)[:, None], count), [3], axis=1)
    return [
        stage.camera(eye, eye + _direction(up, azimuth, elevation))
        for eye, (azimuth, elevation) in zip(eyes, angles, strict=True)
    ]


def _horizon(up: Array) -> tuple[Matrix, Matrix]:
    """Two level unit vectors at right angles."""
    east = np.cross(up, np.roll(up, 1))
    return east, np.cross(east, up)


def _direction(up: Array, azimuth: float, elevation: float) -> Matrix:
    """Unit vector at an azimuth around `up` and an elevation above the horizon, in radians."""
    east, north = _horizon(up)
    level = math.cos(azimuth) * east + math.sin(azimuth) * north
    return np.asarray(math.cos(elevation) * level + math.sin(elevation) * up, np.float64)
