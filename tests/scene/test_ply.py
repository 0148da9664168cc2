"""INRIA-style PLY files are read and written exactly."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from plyfile import PlyData, PlyElement

from exgs.scene.formats.ply import read_ply, write_ply
from exgs.scene.gaussians import Gaussians
from tests.scene.ply_files import (
    FIELDS,
    REQUIRED,
    assert_close,
    in_one_folder,
    plain_reading,
    save,
    vertices,
)
from tests.strategies import gaussians


@in_one_folder
@given(scene=gaussians())
def test_a_written_scene_comes_back(tmp_path: Path, scene: Gaussians) -> None:
    write_ply(tmp_path / "scene.ply", scene)
    back = read_ply(tmp_path / "scene.ply").gaussians
    assert back.sh_degree == scene.sh_degree
    for field in ("means", "sh0", "shN"):
        assert np.array_equal(getattr(back, field), getattr(scene, field))
    np.testing.assert_allclose(back.quats, scene.quats, atol=1e-6)
    np.testing.assert_allclose(back.scales, scene.scales, rtol=3e-6)
    np.testing.assert_allclose(back.opacities, scene.opacities, atol=3e-7)


def test_an_empty_scene_comes_back(tmp_path: Path) -> None:
    write_ply(tmp_path / "empty.ply", Gaussians.empty(2))
    back = read_ply(tmp_path / "empty.ply").gaussians
    assert len(back) == 0
    assert back.sh_degree == 2


@pytest.mark.parametrize("rest", [0, 9, 24, 45])
@pytest.mark.parametrize("form", ["<", ">", "text"])
def test_every_degree_and_byte_order_reads_as_plyfile_says(
    tmp_path: Path, rest: int, form: str
) -> None:
    options = {"text": True} if form == "text" else {"byte_order": form}
    path = save(tmp_path / "scene.ply", vertices(70, rest), **options)
    assert_close(read_ply(path).gaussians, plain_reading(path))


def test_normals_and_extra_properties_are_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "extra.ply", vertices(9, 9, ("nx", "ny", "nz", "label", "f_rest")))
    assert_close(read_ply(path).gaussians, plain_reading(path))


def test_doubles_are_taken(tmp_path: Path) -> None:
    path = save(tmp_path / "doubles.ply", vertices(9, 9, dtype="f8"))
    assert_close(read_ply(path).gaussians, plain_reading(path))


@pytest.mark.parametrize("text", [False, True])
def test_other_elements_are_stepped_over(tmp_path: Path, text: bool) -> None:
    rows = vertices(6)
    before = PlyElement.describe(np.zeros(3, [("a", "f8"), ("b", "u1")]), "camera")
    after = PlyElement.describe(np.zeros(2, [("c", "i4")]), "tail")
    path = tmp_path / "elements.ply"
    PlyData([before, PlyElement.describe(rows, "vertex"), after], text=text).write(path)
    expected = save(tmp_path / "plain.ply", rows, text=text)
    assert_close(read_ply(path).gaussians, read_ply(expected).gaussians)


def test_windows_line_ends_are_taken(tmp_path: Path) -> None:
    path = save(tmp_path / "scene.ply", vertices(4))
    head, data = path.read_bytes().split(b"end_header\n", 1)
    crlf = tmp_path / "crlf.ply"
    crlf.write_bytes(head.replace(b"\n", b"\r\n") + b"end_header\r\n" + data)
    assert_close(read_ply(crlf).gaussians, read_ply(path).gaussians)


def test_the_written_header_is_that_of_inrias_trainer(tmp_path: Path) -> None:
    scene = plain_reading(save(tmp_path / "in.ply", vertices(3, 9)))
    write_ply(tmp_path / "out.ply", scene)
    element = PlyData.read(tmp_path / "out.ply")["vertex"]
    rest = [f"f_rest_{i}" for i in range(9)]
    assert [prop.name for prop in element.properties] == [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"),
        *rest,
        *REQUIRED[6:],
    ]
    assert_close(plain_reading(tmp_path / "out.ply"), scene)


def test_reading_and_writing_hold_a_scene_once(tmp_path: Path) -> None:
    path = save(tmp_path / "large.ply", vertices(300_000, 9))
    tracemalloc.start()
    try:
        scene = read_ply(path).gaussians
        read_bytes = tracemalloc.get_traced_memory()[1]
        scene_bytes = sum(getattr(scene, field).nbytes for field in FIELDS)
        tracemalloc.reset_peak()
        write_ply(tmp_path / "again.ply", scene)
        written_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read_bytes < 1.3 * scene_bytes
    assert written_bytes < 1.5 * scene_bytes


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scene.ply"
    write_ply(path, plain_reading(save(tmp_path / "in.ply", vertices(3))))
    old = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_ply(path, Gaussians.empty())
    assert path.read_bytes() == old
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.ply", "scene.ply"]


@pytest.mark.parametrize("name", ["fox.ply", "donut/donut.ply", "playbot.ply"])
def test_real_scenes_read_as_plyfile_says(data_dir: Path, name: str) -> None:
    assert_close(read_ply(data_dir / name).gaussians, plain_reading(data_dir / name), rtol=1e-5)


def test_blank_lines_in_a_text_ply_are_passed_over(tmp_path: Path) -> None:
    path = save(tmp_path / "text.ply", vertices(2), text=True)
    head, body = path.read_text().split("end_header\n")
    path.write_text(head + "end_header\n\n" + body.replace("\n", "\n\n"))
    assert len(read_ply(path).gaussians) == 2
