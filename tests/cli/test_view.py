"""Cameras by name: orbits, cameras of a file, and the scene's home view."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.cli.inputs import InputError
from exgs.cli.view import CameraOfFile, Orbit, fixed_view, one_view, path_view, view
from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.home_camera import home_camera
from exgs.codec.errors import DamagedError
from exgs.codec.format.container import FileHead, PackedChunk, build_file, parse_head
from exgs.codec.format.facts import HomeView, Layer, SceneFacts
from exgs.codec.format.frame import pack_frame
from exgs.codec.format.rows import EMPTY_BOX
from exgs.codec.measuring.home_view import best_camera, home_view
from exgs.codec.payload.geometry import GeometrySteps, pack_geometry
from exgs.codec.payload.scale_levels import SizeSteps
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import look_at, pinhole
from exgs.scene.cameras import write_cameras
from exgs.scene.gaussians import Gaussians
from tests.client.scenes import box_scene, write_box

SIZE = (64, 48)
UP = (0.0, -1.0, 0.0)
INSIDE = look_at((0, 0, -1.9), (0, 0, 2), UP, pinhole(64, 48, 80), 64, 48)
AWAY = look_at((0, 0, -4), (0, 0, -9), UP, pinhole(64, 48, 80), 64, 48)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> SceneFacts:
    path = tmp_path_factory.mktemp("view") / "box.exgs"
    write_box(path, 500)
    return parse_head(path.read_bytes()).root.facts


def _with_home(facts: SceneFacts, home: HomeView) -> FileHead:
    empty = replace(facts, home=home, layers=(Layer(0, 0, 0),), leaf_count=0)
    steps = GeometrySteps(1, SizeSteps(1), 8, 8, 1, 1)
    payload = pack_geometry(Gaussians.empty(), np.zeros(0, np.int64), 1, steps)
    packed, raw_bytes = pack_frame(payload.columns)
    chunk = PackedChunk(ChunkKind.LEAF, 0, 0, 0, 0.0, raw_bytes, packed)
    return parse_head(b"".join(build_file(empty, [chunk], lambda level, tile: EMPTY_BOX)))


def test_what_a_view_may_be_called() -> None:
    assert view("orbit:30") == Orbit(30, 20, 2.5)
    assert view("orbit:-30.5,10,4") == Orbit(-30.5, 10, 4)
    assert view("a/cameras.json:12") == CameraOfFile(Path("a/cameras.json"), 12)
    for bad in ("orbit:", "orbit:1,100", "orbit:1,2,0", "cameras.json", "x:-1", ""):
        with pytest.raises(argparse.ArgumentTypeError):
            view(bad)


@pytest.mark.parametrize("up", [(0, -1, 0), (0, 0, 1), (1, 0, 0)])
def test_an_orbit_looks_at_the_middle_from_above(
    facts: SceneFacts, up: tuple[float, float, float]
) -> None:
    scene = box_scene(500)
    camera = one_view(Orbit(40, 25, 3), scene, replace(facts, up=up), SIZE)
    middle = np.average(scene.means, axis=0, weights=scene.opacities)
    seen = camera.viewmat[:3, :3] @ middle + camera.viewmat[:3, 3]
    np.testing.assert_allclose(seen[:2], 0, atol=1e-3 * seen[2])
    assert np.dot(camera.position - middle, up) == pytest.approx(seen[2] * np.sin(np.radians(25)))
    assert (camera.width, camera.height) == SIZE


def test_a_camera_of_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    write_cameras(tmp_path / "cameras.json", [INSIDE, AWAY])
    scene = box_scene(50)
    camera = one_view(CameraOfFile(tmp_path / "cameras.json", 1), scene, None, (32, 24))
    np.testing.assert_allclose(camera.viewmat, AWAY.viewmat, atol=1e-6)
    assert camera.fov_y == pytest.approx(AWAY.fov_y)
    with pytest.raises(InputError, match="0 to 1, there is no 2"):
        one_view(CameraOfFile(tmp_path / "cameras.json", 2), scene, None, SIZE)
    walk = path_view(tmp_path / "cameras.json", SIZE)
    drawn = DrawnScene(scene, np.zeros(50, bool), np.zeros(50, bool))
    positions = [walk(number, None, drawn).position[2] for number in range(4)]  # type: ignore[arg-type]
    np.testing.assert_allclose(positions, [-1.9, -4, -4, -4], atol=1e-6)


def test_the_home_view_is_the_camera_that_sees_most(facts: SceneFacts) -> None:
    home = home_view(best_camera(box_scene(500), [AWAY, INSIDE, AWAY], default_rasterizer()))
    camera = home_camera(home, UP, *SIZE)
    np.testing.assert_allclose(camera.viewmat, INSIDE.viewmat, atol=1e-9)
    np.testing.assert_allclose(camera.K, INSIDE.K)
    read = _with_home(facts, home).root.facts
    assert read.home == home
    scene = box_scene(50)
    drawn = DrawnScene(scene, np.zeros(50, bool), np.zeros(50, bool))
    choose = fixed_view(SIZE)
    first = choose(0, read, drawn)
    np.testing.assert_allclose(first.viewmat, INSIDE.viewmat, atol=1e-9)
    assert choose(1, read, drawn) is first


def test_a_home_view_that_is_none_is_damage(facts: SceneFacts) -> None:
    good = HomeView((0, 0, 0), (0, 0, 1), 1.0)
    _with_home(facts, good)
    for bad in (
        replace(good, forward=(0.0, 0.0, 0.0)),
        replace(good, eye=(0.0, float("nan"), 0.0)),
        replace(good, fov_y=4.0),
        replace(good, fov_y=float("nan")),
    ):
        with pytest.raises(DamagedError):
            _with_home(facts, bad)
    far = home_camera(HomeView((1e300, 0, 0), (0, 1e-300, 0), 1e-3), (0, 0, 0), *SIZE)
    assert np.isfinite(far.viewmat).all()
