"""Viewers: recordings keep their movement, made-up ones their promise, predictors their rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgs.lab.viewers.made import KINDS, Place, made_path
from exgs.lab.viewers.path import (
    Pose,
    ViewPath,
    angle_between,
    path_of,
    pose_of,
    quaternion,
    rotation,
)
from exgs.lab.viewers.predictors import Kalman, Linear, Oracle, Stays
from exgs.lab.viewers.recorded import read_camera_path, read_eyenavgs
from exgs.scene.camera import look_at, pinhole
from exgs.scene.cameras import write_cameras

K = pinhole(64, 48, 50)
HOME = look_at((0, -1, -4), (0, 0, 0), (0, -1, 0), K, 64, 48)
PLACE = Place(HOME, np.zeros(3), np.array([0.0, -1.0, 0.0]), 4.0)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_a_quaternion_survives_its_matrix(values: list[float]) -> None:
    quat = np.array(values) / np.linalg.norm(values)
    assert angle_between(quaternion(rotation(quat)), quat) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_viewers_begin_at_home_and_move_as_they_say(kind: str) -> None:
    path = made_path(kind, PLACE, 12.0, 4.0)
    np.testing.assert_allclose(path.pose(0).eye, HOME.position, atol=1e-9)
    later = path.pose(6.0)
    moved = np.linalg.norm(later.eye - HOME.position)
    turned = angle_between(later.quat, pose_of(HOME).quat)
    assert (moved > 0.1) == (kind in ("orbit", "walk", "teleport"))
    assert (turned > 0.1) == (kind not in ("stays", "walk"))
    if kind == "teleport":
        np.testing.assert_array_equal(path.pose(7.9).eye, path.pose(4.1).eye)


def _eyenavgs(path: Path) -> None:
    rows = [
        "ViewIndex,FOV1,PositionX,PositionY,PositionZ,QuaternionX,QuaternionY,QuaternionZ,"
        "QuaternionW,Timestamp"
    ]
    for step in range(60):
        angle = 0.01 * step
        for eye in (0, 1):
            rows.append(
                f"{eye},0.9,{1 + 0.02 * step},1.5,3,0,{np.sin(angle / 2)},0,{np.cos(angle / 2)},"
                f"{40 * step + eye}"
            )
    path.write_text("\n".join(rows) + "\n")


def test_head_movements_begin_at_home_and_keep_their_steps_and_turns(tmp_path: Path) -> None:
    path = tmp_path / "user.csv"
    _eyenavgs(path)
    view = read_eyenavgs(path, PLACE, metres=2.0)
    assert view.length_s == pytest.approx(59 * 0.04)
    np.testing.assert_allclose(view.pose(0).eye, HOME.position, atol=1e-9)
    assert angle_between(view.pose(0).quat, pose_of(HOME).quat) < 1e-6
    last = view.pose(99)
    assert np.linalg.norm(last.eye - HOME.position) == pytest.approx(2 * 0.02 * 59)
    assert angle_between(last.quat, pose_of(HOME).quat) == pytest.approx(0.59)
    # It walked to its right and turned to its left, by the axes of OpenGL; so it does here.
    right, forward = HOME.viewmat[0, :3], HOME.viewmat[2, :3]
    assert (last.eye - HOME.position) @ right > 1
    assert rotation(last.quat)[:, 2] @ right < -0.5 < 0.5 < rotation(last.quat)[:, 2] @ forward


def test_recordings_of_the_page_and_paths_of_nerfstudio_are_read(tmp_path: Path) -> None:
    cameras = [look_at((n / 10, -1, -4), (0, 0, 0), (0, -1, 0), K, 64, 48) for n in range(31)]
    page = tmp_path / "cameras.json"
    write_cameras(page, cameras)
    path = read_camera_path(page, PLACE)
    assert path.length_s == pytest.approx(1.0)
    np.testing.assert_allclose(path.pose(0.5).eye, cameras[15].position, atol=1e-6)
    frames = []
    for camera in cameras:
        matrix = np.linalg.inv(camera.viewmat) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"camera_to_world": matrix.ravel().tolist(), "fov": 60})
    studio = tmp_path / "camera_path.json"
    studio.write_text(json.dumps({"fps": 30, "seconds": 1, "camera_path": frames}))
    other = read_camera_path(studio, PLACE)
    for time_s in (0.0, 0.31, 1.0):
        a, b = path.pose(time_s), other.pose(time_s)
        np.testing.assert_allclose(a.eye, b.eye, atol=1e-6)
        assert angle_between(a.quat, b.quat) < 1e-5


def _steady() -> ViewPath:
    poses = [
        Pose(
            np.array([0.1 * n, 0.0, 0.0]), np.array([np.cos(0.02 * n), 0.0, np.sin(0.02 * n), 0.0])
        )
        for n in range(60)
    ]
    lens = made_path("stays", PLACE, 1, 1).lens
    return path_of("steady", [0.1 * n for n in range(60)], poses, lens)


@pytest.mark.parametrize(
    ("predictor", "most"), [(Stays(), 1.1), (Linear(), 1e-9), (Kalman(), 0.02), (None, 1e-12)]
)
def test_predictors_follow_a_steady_movement(predictor: Stays | None, most: float) -> None:
    path = _steady()
    chosen = predictor if predictor is not None else Oracle(path)
    seen = [(0.1 * n, path.pose(0.1 * n)) for n in range(30)]
    found, true = chosen.predict(seen, 1.0), path.pose(3.9)
    assert np.linalg.norm(found.eye - true.eye) < most
    assert angle_between(found.quat, true.quat) < most
