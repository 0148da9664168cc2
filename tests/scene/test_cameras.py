"""Camera files: every known form gives the same cameras, every other one a clear refusal."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cameras import CameraSet, read_cameras, write_cameras
from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats.ply import read_ply
from exgs.scene.metrics import psnr
from tests.strategies import cameras

in_one_folder = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)

K = np.array([[500.0, 0, 310], [0, 510, 190], [0, 0, 1]])
VIEW = look_at((1, 2, -3), (0, 0.5, 0), (0, -1, 0), K, 640, 360)


def opengl(camera: Camera) -> list[list[float]]:
    """Camera to world with y up and z backward."""
    matrix = np.linalg.inv(camera.viewmat) @ np.diag([1.0, -1, -1, 1])
    return matrix.tolist()


def inria(camera: Camera) -> dict[str, Any]:
    to_world = np.linalg.inv(camera.viewmat)
    return {
        "id": 0,
        "img_name": "one",
        "width": camera.width,
        "height": camera.height,
        "position": to_world[:3, 3].tolist(),
        "rotation": to_world[:3, :3].tolist(),
        "fx": camera.K[0, 0],
        "fy": camera.K[1, 1],
    }


def transforms(camera: Camera, **other: Any) -> dict[str, Any]:
    shared = {"fl_x": 500.0, "fl_y": 510.0, "cx": 310.0, "cy": 190.0, "w": 640, "h": 360.0}
    frame = {"file_path": "images/one.jpg", "transform_matrix": opengl(camera)}
    return {**shared, "frames": [frame], **other}


def save(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data))
    return path


def one(path: Path) -> Camera:
    (camera,) = read_cameras(path).cameras
    return camera


def assert_same(got: Camera, expected: Camera, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(got.viewmat, expected.viewmat, atol=atol)
    np.testing.assert_allclose(got.K, expected.K, rtol=1e-12)
    assert (got.width, got.height) == (expected.width, expected.height)


def refused(path: Path) -> str:
    with pytest.raises(SceneError) as error:
        read_cameras(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


def test_inrias_list_is_read_with_the_principal_point_in_the_middle(tmp_path: Path) -> None:
    camera = one(save(tmp_path / "cameras.json", [inria(VIEW)]))
    centred = K.copy()
    centred[:2, 2] = 320, 180
    assert_same(camera, Camera(VIEW.viewmat, centred, 640, 360))
    assert camera.name == "one"


def test_transforms_turn_from_opengl_to_opencv(tmp_path: Path) -> None:
    camera = one(save(tmp_path / "transforms.json", transforms(VIEW)))
    assert_same(camera, VIEW)
    assert camera.name == "images/one.jpg"


def test_a_camera_that_looks_at_a_point_sees_it_in_the_middle(tmp_path: Path) -> None:
    data = transforms(VIEW)
    camera = one(save(tmp_path / "transforms.json", data))
    x, y, z = camera.viewmat[:3, :3] @ (0, 0.5, 0) + camera.viewmat[:3, 3]
    assert z > 0
    np.testing.assert_allclose((x, y), 0, atol=1e-9)


def test_world_to_camera_matrices_are_read_as_they_are(tmp_path: Path) -> None:
    data = {
        "width": 640,
        "height": 360,
        "fx": 500,
        "fy": 510,
        "cx": 310,
        "cy": 190,
        "cameras": [{"R": VIEW.viewmat[:3, :3].tolist(), "t": VIEW.viewmat[:3, 3].tolist()}],
    }
    assert_same(one(save(tmp_path / "cameras.json", data)), VIEW)


def test_a_frames_own_intrinsics_go_before_the_shared_ones(tmp_path: Path) -> None:
    data = transforms(VIEW)
    own = {"fl_x": 900, "w": 1280, "h": 720, "cx": 600, "cy": 370}
    data["frames"][0] |= own
    camera = one(save(tmp_path / "transforms.json", data))
    assert camera.K.tolist() == [[900, 0, 600], [0, 900, 370], [0, 0, 1]]
    assert (camera.width, camera.height) == (1280, 720)


@pytest.mark.parametrize(
    ("given_", "fx", "fy"),
    [
        ({"camera_angle_x": math.pi / 2}, 320, 320),
        ({"camera_angle_y": math.pi / 2}, 180, 180),
        ({"camera_angle_x": math.pi / 2, "camera_angle_y": math.pi / 2}, 320, 180),
        ({"camera_angle_x": math.pi / 2, "fl_x": 7}, 7, 7),
        ({"fl_y": 8}, 8, 8),
    ],
)
def test_focal_lengths_come_from_lengths_or_angles(
    tmp_path: Path, given_: dict[str, float], fx: float, fy: float
) -> None:
    data = {"w": 640, "h": 360, "frames": transforms(VIEW)["frames"], **given_}
    camera = one(save(tmp_path / "transforms.json", data))
    np.testing.assert_allclose((camera.K[0, 0], camera.K[1, 1]), (fx, fy))
    assert camera.K[:2, 2].tolist() == [320, 180]


def test_a_size_that_is_left_out_is_that_of_the_photograph(tmp_path: Path) -> None:
    Image.new("RGB", (80, 60)).save(tmp_path / "r_0.png")
    frame = {"file_path": "./r_0", "transform_matrix": opengl(VIEW)}
    path = save(tmp_path / "transforms.json", {"camera_angle_x": 1.0, "frames": [frame]})
    assert (one(path).width, one(path).height) == (80, 60)
    (tmp_path / "r_0.png").unlink()
    assert "no picture size: add w and h" in refused(path)


@pytest.mark.parametrize("where", ["shared", "frame"])
def test_distortion_is_left_out_with_one_warning(tmp_path: Path, where: str) -> None:
    data = transforms(VIEW)
    data["frames"] *= 3
    (data if where == "shared" else data["frames"][0])["k1"] = 0.05
    path = save(tmp_path / "transforms.json", data)
    with pytest.warns(SceneWarning, match="lens distortion is left out") as caught:
        read_cameras(path)
    assert len(caught) == 1


@pytest.mark.parametrize(
    "lens",
    [
        {"distortion_params": [0.1, 0, 0, 0]},
        {"is_fisheye": True},
        {"camera_model": "OPENCV_FISHEYE"},
        {"camera_model": "FULL_OPENCV", "k6": 0.01},
    ],
)
def test_every_way_to_say_distortion_is_understood(tmp_path: Path, lens: dict[str, Any]) -> None:
    path = save(tmp_path / "transforms.json", transforms(VIEW, **lens))
    with pytest.warns(SceneWarning, match="lens distortion is left out"):
        assert_same(one(path), VIEW)


def test_what_is_null_is_as_if_left_out(tmp_path: Path) -> None:
    data = transforms(VIEW, camera_model=None, k1=None, is_fisheye=False, distortion_params=None)
    data["frames"][0]["cx"] = None
    assert_same(one(save(tmp_path / "transforms.json", data)), VIEW)


def test_zero_distortion_gives_no_warning(tmp_path: Path) -> None:
    data = transforms(VIEW, k1=0.0, k2=0, p1=0.0, camera_model="OPENCV")
    assert_same(one(save(tmp_path / "transforms.json", data)), VIEW)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 50])
def test_every_eighth_camera_is_held_out(count: int) -> None:
    views = tuple(Camera(VIEW.viewmat, K, 640, 360, str(i)) for i in range(count))
    parts = CameraSet(views)
    assert [camera.name for camera in parts.held_out] == [str(i) for i in range(0, count, 8)]
    assert parts.fit
    if count > 1:
        assert set(parts.fit).isdisjoint(parts.held_out)
        assert {*parts.fit, *parts.held_out} == set(views)


@in_one_folder
@given(views=st.lists(cameras(), min_size=1, max_size=5))
def test_written_cameras_come_back(tmp_path: Path, views: list[Camera]) -> None:
    path = tmp_path / "cameras.json"
    write_cameras(path, views)
    back = read_cameras(path).cameras
    assert [camera.name for camera in back] == [camera.name for camera in views]
    for got, expected in zip(back, views, strict=True):
        assert_same(got, expected, atol=1e-6 * max(1, abs(expected.viewmat).max()))


def changed(**changes: Any) -> dict[str, Any]:
    return {**inria(VIEW), **changes}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("[", "not a JSON file"),
        ("\ufeff\x00", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ("7", "neither a list of cameras"),
        ("{}", "neither a list of cameras"),
        ("[]", "holds no camera"),
        ('{"frames": []}', "holds no camera"),
        ("[3]", "camera 0: not an object"),
        (json.dumps([changed(fx=-1)]), "camera 0: 'fx' is -1"),
        (json.dumps([changed(fy=math.nan)]), "camera 0: 'fy' is missing or isn't a finite"),
        (json.dumps([changed(fx="wide")]), "camera 0: 'fx' is missing or isn't"),
        (json.dumps([changed(fx=True)]), "camera 0: 'fx' is missing or isn't"),
        (json.dumps([changed(fx=10**400)]), "camera 0: 'fx' is missing or isn't"),
        (json.dumps([changed(width=0)]), "'width' is 0"),
        (json.dumps([changed(width=10**8)]), "'width' is 1e+08"),
        (json.dumps([changed(height=1.5)]), "'height' is 1.5"),
        (json.dumps([changed(position=[1, 2])]), "'position' is missing or isn't 3 finite"),
        (json.dumps([changed(position=[1, 2, math.inf])]), "'position' is missing or isn't"),
        (json.dumps([changed(rotation=[[1, 2], [3]])]), "'rotation' is missing or isn't 3x3"),
        (json.dumps([changed(rotation=[[2, 0, 0], [0, 2, 0], [0, 0, 2]])]), "is no rotation"),
        (json.dumps([changed(rotation=[[1, 0, 0], [0, 1, 0], [0, 0, -1]])]), "is no rotation"),
        (json.dumps([inria(VIEW), {}]), "camera 1: 'width' is missing"),
        (json.dumps({"w": 4, "h": 4, "frames": [{}]}), "'transform_matrix' is missing"),
        (
            json.dumps({"w": 4, "h": 4, "frames": [{"transform_matrix": opengl(VIEW)}]}),
            "no focal length",
        ),
        (
            json.dumps({"fl_x": 9.0, "frames": [{"transform_matrix": opengl(VIEW)}]}),
            "no picture size: add w and h",
        ),
        (json.dumps(transforms(VIEW, camera_model="EQUIRECTANGULAR")), "a pinhole model is needed"),
        (json.dumps(transforms(VIEW, camera_model=["x"])), "a pinhole model is needed"),
        (json.dumps(transforms(VIEW, fl_x=None, fl_y=None)), "no focal length"),
    ],
)
def test_a_malformed_file_is_refused_with_its_reason(
    tmp_path: Path, data: str, reason: str
) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(data, encoding="utf-8")
    assert reason in refused(path)


def test_frames_without_size_or_photograph_are_refused_in_the_current_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = {"transform_matrix": opengl(VIEW)}
    save(Path("transforms.json"), {"fl_x": 9.0, "frames": [frame]})
    assert "no picture size: add w and h" in refused(Path("transforms.json"))


_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@in_one_folder
@given(
    form=st.sampled_from(("inria", "transforms")),
    key=st.integers(0, 99),
    value=_values,
)
def test_any_wrong_value_is_refused_or_harmless(
    tmp_path: Path, form: str, key: int, value: Any
) -> None:
    data: Any = [inria(VIEW)] if form == "inria" else transforms(VIEW)
    places = [data[0]] if form == "inria" else [data, data["frames"][0]]
    keys = [(place, name) for place in places for name in place]
    place, name = keys[key % len(keys)]
    place[name] = value
    path = save(tmp_path / "cameras.json", data)
    try:
        (camera,) = read_cameras(path).cameras
    except SceneError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(camera.viewmat).all()
        assert np.isfinite(camera.K).all()


def test_fox_photographs_lie_where_its_scene_was_trained(data_dir: Path) -> None:
    ours = read_cameras(data_dir / "fox_cameras.json")
    assert (len(ours.fit), len(ours.held_out)) == (43, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)
        theirs = read_cameras(data_dir / "fox" / "transforms.json")
    by_name = {camera.name: camera for camera in theirs.cameras}
    for camera in ours.cameras:
        np.testing.assert_allclose(camera.viewmat, by_name[camera.name].viewmat, atol=1e-6)
    camera = ours.held_out[3]
    with Image.open(data_dir / "fox" / camera.name) as photograph:
        small = photograph.convert("RGB").resize((camera.width, camera.height))
    drawn = default_rasterizer().render(read_ply(data_dir / "fox.ply").gaussians, camera).rgb
    assert psnr(np.clip(drawn, 0, 1), np.asarray(small, np.float32) / 255) > 20


def test_a_resized_camera_still_reads_back(tmp_path: Path) -> None:
    camera = Camera(VIEW.viewmat, pinhole(640, 360, 50), 640, 360).resized(320, 180)
    write_cameras(tmp_path / "cameras.json", [camera])
    assert_same(one(tmp_path / "cameras.json"), camera)


def test_cameras_are_taken_into_the_frame_of_nerfstudios_training(tmp_path: Path) -> None:
    turn = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    move, scale = np.array([1.0, 2, 3]), 0.25
    save(tmp_path / "transforms.json", transforms(VIEW))
    parser = {"transform": np.column_stack([turn, move]).tolist(), "scale": scale}
    save(tmp_path / "dataparser_transforms.json", parser)
    for name in ("transforms.json", "dataparser_transforms.json"):
        with pytest.warns(SceneWarning, match="taken into the frame that it describes"):
            got = one(tmp_path / name)
        assert np.allclose(got.position, scale * (turn @ VIEW.position + move))
        place = np.array([0.3, -0.2, 5.0])
        moved = scale * (turn @ place + move)
        before = VIEW.viewmat[:3, :3] @ place + VIEW.viewmat[:3, 3]
        after = got.viewmat[:3, :3] @ moved + got.viewmat[:3, 3]
        assert np.allclose(after, scale * before)  # the same picture


@pytest.mark.parametrize(
    "data", [[], {}, {"transform": [[1, 0, 0, 0]] * 3, "scale": 1}, {"scale": 0}]
)
def test_a_senseless_dataparser_file_is_refused(tmp_path: Path, data: Any) -> None:
    save(tmp_path / "transforms.json", transforms(VIEW))
    save(tmp_path / "dataparser_transforms.json", data)
    with pytest.raises(SceneError, match=r"dataparser_transforms\.json: .*; export"):
        read_cameras(tmp_path / "transforms.json")


def test_cameras_of_a_far_scene_are_taken_to_its_origin() -> None:
    origin = (2.6e6, 1.2e6, 450.0)
    far = look_at(np.add((1, 2, -3), origin), np.add((0, 0.5, 0), origin), (0, -1, 0), K, 640, 360)
    assert_same(CameraSet((far,)).relative_to(origin).cameras[0], VIEW, atol=1e-8)
