"""Damaged PLY files are refused or repaired, with a message."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats.ply import read_ply
from tests.scene.ply_files import (
    FIELDS,
    REQUIRED,
    assert_close,
    in_one_folder,
    plain_reading,
    refused,
    save,
    vertices,
)


def test_unusable_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = vertices(40_000, 9)
    good = np.ones(len(rows), bool)
    for row, name, value in (
        (0, "x", np.nan),
        (17_000, "f_rest_4", np.inf),
        (17_001, "rot_2", -np.inf),
        (20_000, "opacity", np.nan),
        (30_000, "scale_1", np.nan),
        (39_998, "scale_0", np.inf),
        (39_999, "y", 3e13),
    ):
        rows[name][row] = value
        good[row] = False
    path = save(tmp_path / "bad.ply", rows)
    with pytest.warns(SceneWarning) as caught:
        scene = read_ply(path).gaussians
    (message,) = [str(warning.message) for warning in caught]
    assert message == (
        f"{path}: 5 Gaussians dropped for values that are not finite;"
        " 2 Gaussians dropped for a position or scale beyond 1e12 or a colour beyond 10,000"
    )
    assert_close(scene, plain_reading(save(tmp_path / "good.ply", rows[good])))


def test_repairable_rows_are_repaired_and_counted(tmp_path: Path) -> None:
    rows = vertices(6)
    for name in ("rot_0", "rot_1", "rot_2", "rot_3"):
        rows[name][:2] = 0
        rows[name][5] *= 1e-30  # its square is 0 in float32
    rows["scale_2"][2] = -np.inf
    rows["opacity"][3:5] = (np.inf, -np.inf)
    path = save(tmp_path / "repaired.ply", rows)
    with pytest.warns(SceneWarning) as caught:
        scene = read_ply(path).gaussians
    (message,) = [str(warning.message) for warning in caught]
    assert "2 Gaussians with a zero quaternion" in message
    assert "1 Gaussians with a scale below 1e-12" in message
    assert scene.quats[:2].tolist() == [[1, 0, 0, 0]] * 2
    np.testing.assert_allclose(np.linalg.norm(scene.quats, axis=1), 1, rtol=1e-6)
    assert scene.scales[2, 2] == np.float32(1e-12)
    assert scene.opacities[3:5].tolist() == [1, 0]


def test_a_scene_of_nothing_usable_is_refused(tmp_path: Path) -> None:
    rows = vertices(3)
    rows["x"] = np.nan
    assert "no usable Gaussian among 3" in refused(save(tmp_path / "nan.ply", rows))


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("count", [6, 10**6, 10**12, 10**30])
def test_a_header_that_promises_too_much_costs_nothing(
    tmp_path: Path, count: int, text: bool
) -> None:
    path = save(tmp_path / "liar.ply", vertices(5), text=text)
    data = path.read_bytes().replace(b"element vertex 5", b"element vertex %d" % count)
    path.write_bytes(data)
    tracemalloc.start()
    try:
        message = refused(path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "cut short or is damaged" in message
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize("text", [False, True])
def test_every_cut_is_refused(tmp_path: Path, text: bool) -> None:
    data = save(tmp_path / "whole.ply", vertices(3), text=text).read_bytes()
    path = tmp_path / "cut.ply"
    for end in range(0, len(data) - 20, 3):
        path.write_bytes(data[:end])
        refused(path)


@in_one_folder
@given(at=st.integers(0, 10**6), value=st.integers(0, 255), text=st.booleans())
def test_a_changed_byte_gives_a_scene_or_a_scene_error(
    tmp_path: Path, at: int, value: int, text: bool
) -> None:
    whole = tmp_path / f"whole{text}.ply"
    if not whole.exists():
        save(whole, vertices(3, 9), text=text)
    data = bytearray(whole.read_bytes())
    data[at % len(data)] = value
    path = tmp_path / "changed.ply"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)
        try:
            scene = read_ply(path).gaussians
        except SceneError as error:
            assert "\n" not in str(error)
            return
    for field in FIELDS:
        assert np.isfinite(getattr(scene, field)).all()
    assert (scene.scales > 0).all()


def header(*lines: str) -> bytes:
    return "\n".join(["ply", "format binary_little_endian 1.0", *lines, "end_header", ""]).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a PLY file"),
        (b"\x89PNG\r\n\x1a\n" * 9, "not a PLY file"),
        (b"ply\n" + b"comment x\n" * 20_000, "no end_header"),
        (header("element vertex 0", "property float x"), "point cloud or mesh"),
        (header("element face 0"), "no element 'vertex'"),
        (header("element vertex -1", *(f"property float {n}" for n in REQUIRED)), "counts -1"),
        (header("element vertex 0x5"), "header is damaged"),
        (header("element chunk 1", "property float min_x"), "compressed PLY"),
        (
            header("element vertex 0", *(f"property float {n}" for n in REQUIRED[:-1])),
            "lack rot_3",
        ),
        (
            header("element vertex 0", *(f"property float {n}" for n in (*REQUIRED, "f_rest_0"))),
            "1 f_rest properties",
        ),
        (
            header(
                "element vertex 0",
                *(f"property float {n}" for n in REQUIRED),
                "property list uchar int near",
            ),
            "have lists",
        ),
    ],
)
def test_what_is_no_splat_scene_is_refused_with_its_reason(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "other.ply"
    path.write_bytes(data)
    assert reason in refused(path)


def test_a_text_row_that_is_no_number_is_refused_with_its_place(tmp_path: Path) -> None:
    path = save(tmp_path / "text.ply", vertices(3), text=True)
    head, rows = path.read_text().split("end_header\n")
    path.write_text(head + "end_header\n" + rows.replace(" ", " zero ", 1).replace("\n", " 7\n"))
    assert "vertices 0 to 2" in refused(path)


def test_colours_that_no_display_shows_are_dropped(tmp_path: Path) -> None:
    rows = vertices(3)
    rows["f_dc_1"][1] = 1e20
    with pytest.warns(SceneWarning, match="1 Gaussians dropped for .* a colour beyond 10,000"):
        assert len(read_ply(save(tmp_path / "bright.ply", rows)).gaussians) == 2
