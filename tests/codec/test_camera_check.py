"""Cameras in another frame or unit cause a warning, and can't make the whole file much worse."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.codec.decoding.decode import decode
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.measuring.camera_check import camera_faults, check_cameras
from exgs.sample import sample_cameras, sample_scene
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cameras import CameraSet
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.errors import SceneWarning
from exgs.scene.gaussians import Gaussians
from tests.scene.format_files import random_scene


def blob() -> Gaussians:
    """A dense ball of coloured Gaussians, 2 units across."""
    scene = random_scene(0, 500, 1)
    means = scene.means / np.linalg.norm(scene.means, axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.05, 0.2, (500, 3)).astype(np.float32)
    return replace(scene, means=means.astype(np.float32), scales=scales)


def around(count: int = 16) -> list[Camera]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    K = pinhole(320, 180, 50)
    return [
        look_at((4 * np.sin(a), -1, 4 * np.cos(a)), (0, 0, 0), (0, -1, 0), K, 320, 180)
        for a in angles
    ]


def changed(cameras: list[Camera], change: Callable[[Any], None]) -> list[Camera]:
    """The cameras after a change of their camera-to-world matrices."""
    result = []
    for camera in cameras:
        matrix = np.linalg.inv(camera.viewmat)
        change(matrix)
        result.append(replace(camera, viewmat=np.linalg.inv(matrix)))
    return result


def times(factor: float) -> Callable[[Any], None]:
    def change(matrix: Any) -> None:
        matrix[:3, 3] *= factor

    return change


def transposed(matrix: Any) -> None:
    matrix[:3, :3] = matrix[:3, :3].T.copy()


def away(matrix: Any) -> None:
    matrix[:3, 3] += 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (times(10), r"in 16 of 16 cameras it is \d+ pixels across"),
        (times(10_000), "in 16 of 16 cameras it is less than a pixel across"),
        (transposed, r"in \d+ of 16 cameras it lies outside the picture"),
        (away, r"in \d+ of 16 cameras it lies outside the picture"),
        (times(0.001), "all cameras are within"),
    ],
)
def test_cameras_that_do_not_fit_cause_a_warning(change: Any, message: str) -> None:
    with pytest.warns(SceneWarning, match=message):
        check_cameras(blob(), changed(around(), change))


def test_cameras_of_the_scene_cause_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_cameras(blob(), around())
        check_cameras(sample_scene(20_000), sample_cameras(24))
    assert not camera_faults(blob(), around(1))


def psnr_db(first: Gaussians, second: Gaussians) -> float:
    rasterizer = CpuRasterizer()
    pictures = [
        (rasterizer.render(first, c).rgb, rasterizer.render(second, c).rgb) for c in around(8)
    ]
    error = np.mean([np.mean((np.clip(a, 0, 1) - np.clip(b, 0, 1)) ** 2) for a, b in pictures])
    return float(-10 * np.log10(error))


@pytest.mark.parametrize("change", [times(10), transposed], ids=["far", "turned"])
def test_no_cameras_make_the_whole_file_much_worse(tmp_path: Path, change: Any) -> None:
    scene, path = blob(), tmp_path / "a.exgs"
    encode(scene, path)
    usual = psnr_db(decode(path).gaussians, scene)
    cameras = CameraSet(tuple(changed(around(), change)))
    with pytest.warns(SceneWarning, match="don't fit the scene"):
        encode(scene, path, EncodeOptions(cameras=cameras))
    assert psnr_db(decode(path).gaussians, scene) > usual - 1
