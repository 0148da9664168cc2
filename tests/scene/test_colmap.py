"""COLMAP models, binary and text, give the cameras that they were made of; damage is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.scene.camera import Camera, look_at
from exgs.scene.cameras import read_cameras
from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.rotations import quats_from_matrices

K = np.array([[500.0, 0, 310], [0, 510, 190], [0, 0, 1]])
VIEWS = [look_at((i, 2, -3), (0, 0.5, 0), (0, -1, 0), K, 640, 360) for i in range(3)]
NAMES = ["b c.jpg", "a.jpg", "c.jpg"]  # not in their order
PINHOLE = (1, "PINHOLE", (500.0, 510.0, 310.0, 190.0))


def quat(camera: Camera) -> Any:
    return quats_from_matrices(camera.viewmat[None, :3, :3])[0]


def write_binary(folder: Path, model: tuple[int, str, tuple[float, ...]] = PINHOLE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    number, _, values = model
    lens = struct.pack("<QIiQQ", 1, 7, number, 640, 360) + struct.pack(f"<{len(values)}d", *values)
    (folder / "cameras.bin").write_bytes(lens)
    data = struct.pack("<Q", len(VIEWS))
    for i, view in enumerate(VIEWS):
        data += struct.pack("<I4d3dI", i, *quat(view), *view.viewmat[:3, 3], 7)
        data += NAMES[i].encode() + b"\0" + struct.pack("<Q", i) + bytes(24 * i)
    (folder / "images.bin").write_bytes(data)
    return folder


def write_text(folder: Path, model: tuple[int, str, tuple[float, ...]] = PINHOLE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    words = " ".join(map(str, model[2]))
    (folder / "cameras.txt").write_text(f"# a comment\n7 {model[1]} 640 360 {words}\n")
    lines = ["# a comment"]
    for i, view in enumerate(VIEWS):
        pose = " ".join(map(repr, (*map(float, quat(view)), *map(float, view.viewmat[:3, 3]))))
        lines += [f"{i} {pose} 7 {NAMES[i]}", "1 2 -1" if i else ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("write", [write_binary, write_text])
@pytest.mark.parametrize("place", ["", "sparse/0", "sparse"])
def test_a_model_is_found_and_read(tmp_path: Path, write: Any, place: str) -> None:
    folder = write(tmp_path / place)
    for path in (tmp_path, folder, next(folder.glob("images.*")), next(folder.glob("cameras.*"))):
        got = read_cameras(path).cameras
        assert [camera.name for camera in got] == sorted(NAMES)
        for camera, name in zip(got, sorted(NAMES), strict=True):
            wanted = VIEWS[NAMES.index(name)]
            assert np.allclose(camera.viewmat, wanted.viewmat, atol=1e-9)
            assert np.array_equal(camera.K, K)
            assert (camera.width, camera.height) == (640, 360)


@pytest.mark.parametrize("write", [write_binary, write_text])
@pytest.mark.parametrize(
    ("model", "focal"),
    [
        ((0, "SIMPLE_PINHOLE", (400.0, 310.0, 190.0)), (400, 400)),
        ((2, "SIMPLE_RADIAL", (400.0, 310.0, 190.0, 0.1)), (400, 400)),
        ((4, "OPENCV", (400.0, 410.0, 310.0, 190.0, 0.1, 0, 0, 0)), (400, 410)),
        ((9, "RADIAL_FISHEYE", (400.0, 310.0, 190.0, 0.0, 0.0)), (400, 400)),
        ((10, "THIN_PRISM_FISHEYE", (400.0, 410.0, 310.0, 190.0, *[0.1] * 8)), (400, 410)),
    ],
)
def test_lenses_are_taken_as_pinholes(
    tmp_path: Path, write: Any, model: Any, focal: tuple[int, int]
) -> None:
    write(tmp_path, model)
    if any(value == 0.1 for value in model[2]):
        with pytest.warns(SceneWarning, match="lens distortion is left out"):
            camera = read_cameras(tmp_path).cameras[0]
    else:
        camera = read_cameras(tmp_path).cameras[0]
    assert (camera.K[0, 0], camera.K[1, 1]) == focal
    assert (camera.K[0, 2], camera.K[1, 2]) == (310, 190)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_binary_file_that_was_cut_short_is_refused(
    tmp_path: Path, name: str, share: float
) -> None:
    path = write_binary(tmp_path) / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SceneError, match="cut short"):
        read_cameras(tmp_path)


def test_damage_is_refused_with_its_file(tmp_path: Path) -> None:
    path = write_binary(tmp_path) / "cameras.bin"
    whole = path.read_bytes()
    for at, value, message in (
        (0, b"\xff" * 8, "cut short"),
        (12, b"\x63", "unknown model 99"),
        (8, b"\1", "has camera 7, which is not there"),
        (32, bytes(8), "focal length of 0"),
    ):
        data = bytearray(whole)
        data[at : at + len(value)] = value
        path.write_bytes(data)
        with pytest.raises(SceneError, match=message) as caught:
            read_cameras(tmp_path)
        assert str(tmp_path) in str(caught.value)
    path.unlink()
    with pytest.raises(SceneError, match=r"cameras\.bin: missing"):
        read_cameras(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="a folder without a COLMAP model"):
        read_cameras(tmp_path)
    (tmp_path / "images.txt").write_text("")
    (tmp_path / "cameras.txt").write_text("")
    with pytest.raises(SceneError, match="holds no camera"):
        read_cameras(tmp_path)
