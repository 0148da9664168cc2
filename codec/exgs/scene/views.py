"""Views of a scene that came without cameras: seeded, outside of matter, and worth looking at.

An object is looked at from orbits, a room or landscape from its free space. More views are drawn
than needed; a small picture of each tells which of them stand in matter or see little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exgs.scene.camera import Camera, Matrix, look_at, pinhole
from exgs.scene.cpu import CpuRasterizer
from exgs.scene.errors import SceneError
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.survey import Array, Survey, survey

_FOV_Y_DEG = 50.0
_ELEVATIONS_DEG = (12.0, 32.0, 52.0, 0.0)
_GOLDEN = (np.sqrt(5) - 1) / 2

_ROOM_ENCLOSURE = 0.65  # share of directions that meet matter, from a place within a room
_ROOM_SHARE = 0.08  # of the grid's cells that must be such places
_OUTDOOR_ENCLOSURE = 0.4

_PROBE_HEIGHT = 54
_NEAR = 0.03  # of the scene's size: what most of a picture must not be nearer than
_BLUR = 2.0


def synthesise_views(
    scene: Gaussians, count: int, *, width: int = 640, height: int = 360, seed: int = 0
) -> tuple[Camera, ...]:
    """`count` views of `scene`, 50 degrees high; the same arguments give the same views.

    Other seeds give other views of the same distribution. Drawn on the CPU always, so that a GPU
    changes nothing. Raises SceneError where the scene has no Gaussian; ValueError.
    """
    studio = _Studio(scene, count, width, height)
    rng = np.random.default_rng(seed)
    wanted = _CANDIDATES * count + 16
    candidates = studio.from_within(wanted, rng) if studio.surrounds() else []
    if len(candidates) < count:
        candidates += studio.orbits(wanted, rng)
    return _named(studio.best(candidates, count))


def camera_path(
    scene: Gaussians, count: int, *, width: int = 640, height: int = 360, seed: int = 0
) -> tuple[Camera, ...]:
    """`count` views along a smooth path: once round an object, or a walk through free space.

    Raises as `synthesise_views` does.
    """
    studio = _Studio(scene, count, width, height)
    rng = np.random.default_rng(seed)
    stops: list[Camera] = []
    if studio.surrounds():
        wanted = _STOPS * _CANDIDATES
        stops = studio.best(studio.from_within(wanted, rng), _STOPS)
    if len(stops) < 2:
        return _named(studio.round_trip(count, rng.random()))
    return _named(studio.tour(stops, count))


def _named(cameras: Sequence[Camera]) -> tuple[Camera, ...]:
    return tuple(replace(camera, name=f"view {i}") for i, camera in enumerate(cameras))


def _orbits(
    layout: Survey, count: int, rng: np.random.Generator, width: int, height: int
) -> list[Camera]:
    """From all sides at a few elevations; every third looks closely at one place."""
    K = pinhole(width, height, _FOV_Y_DEG)
    reach = _reach(layout, width, height)
    start = rng.random()
    cameras = []
    for i in range(count):
        azimuth = 2 * np.pi * (start + i * _GOLDEN)
        elevation = np.radians(_ELEVATIONS_DEG[i % len(_ELEVATIONS_DEG)] + rng.uniform(-8, 8))
        toward = _direction(layout.up, azimuth, elevation)
        if i % 3 == 2:
            target = layout.points[rng.integers(len(layout.points))]
            distance = reach * rng.uniform(0.35, 0.6)
        else:
            target = layout.centre + rng.uniform(-0.1, 0.1, 3) * (layout.high - layout.low)
            distance = reach * rng.uniform(0.75, 1.1)
        cameras.append(look_at(target + distance * toward, target, layout.up, K, width, height))
    return cameras


def _from_within(
    layout: Survey, count: int, rng: np.random.Generator, width: int, height: int
) -> list[Camera]:
    """From free places, spread evenly, at matter that they see and that is not too near."""
    K = pinhole(width, height, _FOV_Y_DEG)
    weight = np.where(layout.clearance >= 2, layout.enclosure**2, 0)
    weight[layout.enclosure < _OUTDOOR_ENCLOSURE] = 0
    cells = np.argwhere(weight > 0)
    ends = np.cumsum(weight[weight > 0])
    picks = np.searchsorted(ends, (np.arange(count) + rng.random(count)) * (ends[-1] / count))
    rng.shuffle(picks)
    cameras = []
    for pick in picks:
        eye = layout.position_of(cells[pick]) + rng.uniform(-0.5, 0.5, 3) * layout.cell
        targets = layout.points[rng.integers(len(layout.points), size=48)]
        seen = _sees(layout, eye, targets)
        if len(seen):
            cameras.append(look_at(eye, seen[0], layout.up, K, width, height))
    return cameras


def _sees(layout: Survey, eye: Array, targets: Array) -> Array:
    """The targets that are in line of sight, not too near, and not far above or below."""
    offset = targets - eye
    distance = np.linalg.norm(offset, axis=1)
    level = np.abs(offset @ layout.up) <= np.sin(np.radians(30)) * distance
    steps = np.linspace(0, 1, 64)[:, None, None]
    margin = np.maximum(distance - 2 * layout.cell, 0) / np.maximum(distance, 1e-12)
    along = eye + steps * (offset * margin[:, None])
    blocked = layout.solid[tuple(np.moveaxis(layout.cell_of(along), -1, 0))].any(axis=0)
    result: Array = targets[level & ~blocked & (distance >= 0.15 * layout.size)]
    return result


@dataclass(frozen=True, slots=True)
class _Probe:
    """What a small picture from a camera tells."""

    coverage: float  # mean alpha
    near: float  # depth that 5% of the covered pixels are within, world units
    blur: float  # angular size of what is drawn at the middle pixel, radians


def _best(layout: Survey, candidates: Sequence[Camera], count: int) -> list[Camera]:
    """The first `count` that are clear of matter and see something sharp; else the next best."""
    rasterizer = CpuRasterizer()
    sizes: FloatArray = np.repeat(layout.thinned.scales.max(1, keepdims=True), 3, axis=1)
    probes = [_probe(rasterizer, layout, sizes, camera) for camera in candidates]
    usual_blur = float(np.quantile([probe.blur for probe in probes], 0.1)) if probes else 0.0
    usual_coverage = float(np.median([probe.coverage for probe in probes])) if probes else 0.0

    def faults(probe: _Probe) -> int:
        return (
            2 * (probe.near < _NEAR * layout.size)
            + 2 * (probe.coverage < 0.3 * usual_coverage)
            + (probe.blur > _BLUR * usual_blur)
        )

    order = sorted(range(len(candidates)), key=lambda i: (faults(probes[i]), i))
    return [candidates[i] for i in order[:count]]


def _probe(rasterizer: CpuRasterizer, layout: Survey, sizes: FloatArray, camera: Camera) -> _Probe:
    width = max(1, round(_PROBE_HEIGHT * camera.width / camera.height))
    picture = rasterizer.render(layout.thinned, camera.resized(width, _PROBE_HEIGHT), colors=sizes)
    covered = picture.alpha > 0.3
    if not covered.any():
        return _Probe(float(picture.alpha.mean()), 0.0, np.inf)
    depth = picture.depth[covered]
    size = picture.rgb[..., 0][covered] / picture.alpha[covered]
    return _Probe(
        float(picture.alpha.mean()),
        float(np.quantile(depth, 0.05)),
        float(np.median(size)),
    )


def _reach(layout: Survey, width: int, height: int) -> float:
    """The distance at which the scene fills most of the picture."""
    radius = float(np.quantile(np.linalg.norm(layout.points - layout.centre, axis=1), 0.95))
    half = np.arctan(np.tan(np.radians(_FOV_Y_DEG) / 2) * min(1.0, width / height))
    return radius / float(np.sin(half))


def _direction(up: Array, azimuth: float, elevation: float) -> Matrix:
    """Unit vector at an azimuth round `up` and an elevation above the horizon, radians."""
    east = np.cross(up, np.roll(up, 1))
    north = np.cross(east, up)
    level = np.cos(azimuth) * east + np.sin(azimuth) * north
    return np.asarray(np.cos(elevation) * level + np.sin(elevation) * up, np.float64)
