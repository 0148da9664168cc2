"""Cameras by name: orbits, cameras of a file, and the scene's home view."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.cli.urls import InputError
from exgs.cli.view import (
    CameraOfFile,
    Orbit,
    fixed_view,
    home_argument,
    home_of,
    one_view,
    path_view,
    up_direction,
    view,
)
from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.decode import as_scene, decode, read_facts
from exgs.codec.decoding.home_camera import home_camera
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.errors import DamagedError
from exgs.codec.format.container import FileHead, PackedChunk, build_file, parse_head
from exgs.codec.format.facts import HomeView, Layer, SceneFacts
from exgs.codec.format.frame import pack_frame
from exgs.codec.format.rows import EMPTY_BOX
from exgs.codec.measuring.home_view import find_home, home_view, up_of
from exgs.codec.payload.geometry import GeometrySteps, pack_geometry
from exgs.codec.payload.scale_levels import SizeSteps
from exgs.scene.camera import look_at, pinhole
from exgs.scene.cameras import write_cameras
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
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
def test_an_orbit_goes_around_what_the_home_view_looks_at(
    facts: SceneFacts, up: tuple[float, float, float]
) -> None:
    home = HomeView((1, 2, 3), (0, 0.5, 2), 1.0)
    told = replace(facts, up=up, home=home)
    for drawn in (box_scene(500), Gaussians.empty()):
        camera = one_view(Orbit(40, 25, 3), drawn, told, SIZE)
        middle = np.array([1, 2.5, 5])
        seen = camera.viewmat[:3, :3] @ middle + camera.viewmat[:3, 3]
        np.testing.assert_allclose(seen[:2], 0, atol=1e-3 * seen[2])
        assert seen[2] == pytest.approx(3 / 2.5 * np.hypot(0.5, 2))
        height = np.dot(camera.position - middle, up)
        assert height == pytest.approx(seen[2] * np.sin(np.radians(25)))
        assert (camera.width, camera.height) == SIZE


def test_views_are_the_same_for_a_file_its_prefixes_and_the_scene_it_was_made_of(
    tmp_path: Path,
) -> None:
    scene, path = box_scene(2000), tmp_path / "a.exgs"
    encode(scene, path, EncodeOptions(quality="low"))
    facts = read_facts(path)
    for chosen in (None, Orbit(40, 20, 2.5)):
        own = one_view(chosen, scene, None, SIZE)
        for max_bytes in (None, path.stat().st_size * 2 // 3):
            drawn = as_scene(decode(path, max_bytes=max_bytes), facts)
            told = one_view(chosen, drawn, facts, SIZE)
            np.testing.assert_allclose(told.viewmat, own.viewmat, atol=1e-5)
            np.testing.assert_allclose(told.K, own.K, rtol=1e-6)


def test_there_is_no_view_of_nothing() -> None:
    with pytest.raises(InputError, match="no Gaussian that can be seen"):
        one_view(None, Gaussians.empty(), None, SIZE)


def test_what_a_home_and_an_up_may_be_called(tmp_path: Path) -> None:
    write_cameras(tmp_path / "cameras.json", [INSIDE, AWAY])
    home = home_of(home_argument(f"{tmp_path}/cameras.json:1"))
    np.testing.assert_allclose(home.eye, AWAY.position, atol=1e-6)
    home = home_of(home_argument("1,2,3,1,2,5.5"))
    assert home.eye == (1, 2, 3)
    assert home.forward == (0, 0, 2.5)
    assert up_direction("-y") == (0, -1, 0)
    assert up_direction("Z") == (0, 0, 1)
    assert up_direction("0,2,0") == (0, 1, 0)
    for bad in ("", "1,2", "1,2,3,1,2,3", "a", "1,2,3,4,5,nan"):
        with pytest.raises(argparse.ArgumentTypeError):
            home_argument(bad)
        with pytest.raises(argparse.ArgumentTypeError):
            up_direction(bad)


def test_cameras_of_a_file_are_taken_to_the_origin_of_the_scene(tmp_path: Path) -> None:
    write_cameras(tmp_path / "cameras.json", [INSIDE])
    scene = Scene(box_scene(50), origin=(0.0, 0.0, 10.0))
    camera = one_view(CameraOfFile(tmp_path / "cameras.json", 0), scene, None, SIZE)
    np.testing.assert_allclose(camera.position, INSIDE.position - [0, 0, 10], atol=1e-6)


def test_a_camera_of_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    write_cameras(tmp_path / "cameras.json", [INSIDE, AWAY])
    scene = box_scene(50)
    camera = one_view(CameraOfFile(tmp_path / "cameras.json", 1), scene, None, (32, 24))
    np.testing.assert_allclose(camera.viewmat, AWAY.viewmat, atol=1e-6)
    assert camera.fov_y == pytest.approx(AWAY.fov_y)
    with pytest.raises(InputError, match="0 to 1, not 2"):
        one_view(CameraOfFile(tmp_path / "cameras.json", 2), scene, None, SIZE)
    walk = path_view(tmp_path / "cameras.json", SIZE)
    drawn = DrawnScene(scene, np.zeros(50, bool), np.zeros(50, bool))
    facts = SceneFacts("", "", "", "", 0, 0, UP, (), ())
    positions = [walk(number, facts, drawn).position[2] for number in range(4)]
    np.testing.assert_allclose(positions, [-1.9, -4, -4, -4], atol=1e-6)


def test_the_home_view_is_the_camera_that_shows_most(facts: SceneFacts) -> None:
    home = find_home(box_scene(500), [AWAY, INSIDE, AWAY], up=UP).view
    camera = home_camera(home, UP, *SIZE)
    np.testing.assert_allclose(camera.viewmat, INSIDE.viewmat, atol=1e-9)
    assert 0.5 < np.linalg.norm(home.forward) < 4
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


def test_up_is_at_right_angles_to_the_rows_of_the_pictures() -> None:
    angles = np.linspace(0, 2, 9)
    down = [
        look_at((np.sin(a), -3, np.cos(a)), (0, 0, 0), UP, pinhole(64, 48, 80), 64, 48)
        for a in angles
    ]
    np.testing.assert_allclose(up_of(down), UP, atol=1e-9)  # all look steeply down one side
    np.testing.assert_allclose(up_of([INSIDE]), UP, atol=1e-9)
    assert np.linalg.norm(home_view(INSIDE, 3.0).forward) == pytest.approx(3)
