"""The scenes of the benchmarks and their held-out views.

Held-out views are generated with a separate generator and seed, or are photographs that no fit has
used. Real scenes are read from EXGS_DATA or from shared/data beside the repository.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bench.common.data import data_dir
from bench.common.photographs import photograph
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cameras import CameraSet, read_cameras
from exgs.scene.formats import read_scene
from exgs.scene.formats.ply import write_ply
from exgs.scene.formats.sog_lod import read_sog_level
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.views.made_up import synthesise_views

WIDTH, HEIGHT = 640, 360
HELD_OUT_VIEWS = 8
HELD_OUT_SEED = 1_000_003
_ORBITS, _ORBIT_SEED = 240, 5  # 210 for fits, the others for the file's table

_FOV_Y_DEG = 32.6  # 55 across

# Bytes: of playbot those of the shipped streamed SOG's levels, of fox and donut the 107th, 50th,
# 25th, 15th, 8th and 5th part of the PLY; of tower and flowers the 1,600th to the 30th, about.
_BUDGETS: dict[str, tuple[int, ...]] = {
    "playbot": (64_138, 284_594, 778_235, 2_986_860, 4_866_412, 8_499_863),
    "fox": (106_107, 227_070, 454_141, 756_901, 1_419_190, 2_270_705),
    "donut": (23_881, 51_106, 102_212, 170_353, 319_413, 511_061),
    "sample": (50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000),
    **dict.fromkeys(
        ("tower", "flowers"), (61_000, 102_000, 191_000, 489_000, 1_225_000, 3_000_000)
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class BenchScene:
    """A scene to compress, with held-out views to measure the result."""

    name: str
    path: Path  # as PLY
    gaussians: Gaussians
    held_out: tuple[Camera, ...]
    cameras: CameraSet | None = None  # those of its photographs, for encoders
    photographs: tuple[FloatArray, ...] = ()  # [H, W, 3], one per held-out view
    orbits: CameraSet | None = None  # like the held-out views, for encoders with cameras
    streamed_sog: Path | None = None  # lod-meta.json of the scene, as published by PlayCanvas


def load_scene(name: str, cache: Path) -> BenchScene:
    """One of SCENES. Raises FileNotFoundError if its files are missing."""
    return _LOADERS[name](cache)


def orbit_views(
    scene: Gaussians, count: int, seed: int, *, up: tuple[float, float, float], distance: float
) -> tuple[Camera, ...]:
    """Views around an object, 5 to 35 degrees above its centre, at 0.7 to 1.2 of a `distance`.

    The unit of `distance` is the radius that contains 85% of the Gaussians; `up` is an axis.
    """
    rng = np.random.default_rng(seed)
    middle = np.median(scene.means.astype(np.float64), axis=0)
    radius = np.percentile(np.linalg.norm(scene.means - middle, axis=1), 85)
    east = np.cross(up, np.roll(up, 1))
    north = np.cross(up, east)
    K = pinhole(WIDTH, HEIGHT, _FOV_Y_DEG)
    cameras = []
    for number in range(count):
        turn = 2 * np.pi * (number + rng.uniform(0, 0.5)) / count
        height = np.radians(rng.uniform(5, 35))
        level = np.sin(turn) * east + np.cos(turn) * north
        toward = np.cos(height) * level + np.sin(height) * np.asarray(up)
        eye = middle + distance * radius * rng.uniform(0.7, 1.2) * toward
        cameras.append(look_at(eye, middle, up, K, WIDTH, HEIGHT))
    return tuple(cameras)


def _playbot(cache: Path) -> BenchScene:
    path = data_dir() / "playbot.ply"
    scene = read_scene(path).gaussians
    streamed = data_dir() / "playbot-sog" / "lod-meta.json"
    views = partial(orbit_views, scene, up=(0, -1, 0), distance=2.0)
    return BenchScene(
        "playbot",
        path,
        scene,
        held_out=views(HELD_OUT_VIEWS, HELD_OUT_SEED),
        orbits=CameraSet(views(_ORBITS, _ORBIT_SEED)),
        streamed_sog=streamed,
    )


def _fox(cache: Path) -> BenchScene:
    path = data_dir() / "fox.ply"
    cameras = read_cameras(data_dir() / "fox_cameras.json")
    photographs = tuple(photograph(data_dir() / "fox", camera) for camera in cameras.held_out)
    return BenchScene(
        "fox",
        path,
        read_scene(path).gaussians,
        cameras.held_out,
        cameras=cameras,
        photographs=photographs,
    )


def _donut(cache: Path) -> BenchScene:
    path = data_dir() / "donut" / "donut.ply"
    scene = read_scene(path).gaussians
    held_out = orbit_views(scene, HELD_OUT_VIEWS, HELD_OUT_SEED, up=(0, 0, 1), distance=2.6)
    return BenchScene("donut", path, scene, held_out)


def _captured(folder: str, cache: Path) -> BenchScene:
    """A capture that is shipped as SOG, seen from orbits."""
    path = cache / f"{folder}.ply"
    if (shipped := data_dir() / folder / "lod-meta.json").exists():
        scene = read_sog_level(shipped, 0).gaussians
        streamed: Path | None = shipped
    else:
        scene = read_scene(data_dir() / folder / "meta.json").gaussians
        streamed = None
    if not path.exists():
        write_ply(path, scene)
    held_out = orbit_views(scene, HELD_OUT_VIEWS, HELD_OUT_SEED, up=(0, -1, 0), distance=2.0)
    return BenchScene(folder, path, scene, held_out, streamed_sog=streamed)


def _sample(cache: Path) -> BenchScene:
    from exgs.sample import sample_scene

    path = cache / "sample.ply"
    scene = sample_scene()
    write_ply(path, scene)
    return BenchScene("sample", path, scene, _generated(scene))


def _sample_orbits(cache: Path) -> BenchScene:
    scene = _sample(cache)
    views = orbit_views(scene.gaussians, HELD_OUT_VIEWS, HELD_OUT_SEED, up=(0, -1, 0), distance=2.0)
    return replace(scene, name="sample orbits", held_out=views)


def _generated(scene: Gaussians) -> tuple[Camera, ...]:
    return synthesise_views(scene, HELD_OUT_VIEWS, width=WIDTH, height=HEIGHT, seed=HELD_OUT_SEED)


def _inside(outside: Callable[[Path], BenchScene], cache: Path) -> BenchScene:
    """The same scene without cameras, seen from generated views."""
    scene = outside(cache)
    return BenchScene(
        f"{scene.name} inside",
        scene.path,
        scene.gaussians,
        _generated(scene.gaussians),
        streamed_sog=scene.streamed_sog,
    )


_OUTSIDE: dict[str, Callable[[Path], BenchScene]] = {
    "playbot": _playbot,
    "fox": _fox,
    "donut": _donut,
    "tower": partial(_captured, "tower"),
    "flowers": partial(_captured, "flowers"),
}
_LOADERS: dict[str, Callable[[Path], BenchScene]] = {
    **_OUTSIDE,
    "sample": _sample,
    **{f"{name} inside": partial(_inside, load) for name, load in _OUTSIDE.items()},
    "sample orbits": _sample_orbits,
}
SCENES = tuple(_LOADERS)
BUDGETS = {name: _BUDGETS[name.split()[0]] for name in SCENES}
