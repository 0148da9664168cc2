"""The held-out scenes of the painter benchmark, their views and their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.common.data import data_dir
from bench.common.encoded import encoded
from bench.common.scenes import orbit_views
from bench.painter.blocks import blocks_cameras, blocks_scene
from exgs.codec.encoding.encode import EncodeOptions
from exgs.scene.camera import Camera, look_at
from exgs.scene.cameras import CameraSet, read_cameras
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import Gaussians

SCENES = ("fox", "donut", "blocks")
KINDS = ("proxies", "plain")  # of files
BUDGETS = (32_000, 64_000, 128_000, 256_000, 512_000, 1_000_000)
_VIEWS = 4
_WALK = 4  # views
_WALK_STEP = 0.01  # between views, relative to the distance of the scene's centre
_SEED = 3_000_017
_SIZE = (480, 270)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A scene that is not used for training, and its held-out views."""

    gaussians: Gaussians
    views: tuple[Camera, ...]
    cameras: CameraSet | None  # for the encoder


def load(name: str) -> HeldOut:
    """Load one of SCENES. Raises OSError if its files are missing."""
    if name == "blocks":
        return HeldOut(blocks_scene(), blocks_cameras(_VIEWS, _SEED, *_SIZE), None)
    if name == "donut":
        scene = read_scene(data_dir() / "donut" / "donut.ply").gaussians
        views = orbit_views(scene, _VIEWS, _SEED, up=(0, 0, 1), distance=2.6)
        return HeldOut(scene, tuple(c.resized(*_SIZE) for c in views), None)
    cameras = read_cameras(data_dir() / "fox_cameras.json")
    return HeldOut(read_scene(data_dir() / "fox.ply").gaussians, cameras.held_out[:_VIEWS], cameras)


def held_out_file(name: str, kind: str, held_out: HeldOut) -> Path:
    """The encoded file of the scene, with or without proxies."""
    options = EncodeOptions(cameras=held_out.cameras, proxies=kind == KINDS[0])
    return encoded(name, held_out.gaussians, options)


def walk_from(camera: Camera, scene: Gaussians) -> tuple[Camera, ...]:
    """Consecutive views that move sideways from `camera` and look at the same target."""
    rotation = camera.viewmat[:3, :3]
    middle = np.median(scene.means.astype(np.float64), axis=0)
    distance = float(np.linalg.norm(middle - camera.position))
    target = camera.position + distance * rotation[2]
    eyes = [camera.position + k * _WALK_STEP * distance * rotation[0] for k in range(_WALK)]
    return tuple(
        look_at(eye, target, -rotation[1], camera.K, camera.width, camera.height) for eye in eyes
    )
