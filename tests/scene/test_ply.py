"""INRIA-style PLY files come in as they are, and never as something else."""

from __future__ import annotations

import errno
import os
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.recfunctions import repack_fields
from plyfile import PlyData, PlyElement

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.files import atomic_write
from exgs.scene.formats.ply import read_ply, write_ply
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from tests.strategies import gaussians

in_one_folder = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)

REQUIRED = [
    *("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2"),
    *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
]
_FIELDS = ("means", "quats", "scales", "opacities", "sh0", "shN")


def vertices(count: int = 5, rest: int = 0, extra: tuple[str, ...] = (), dtype: str = "f4") -> Any:
    """Rows of an ordinary splat PLY."""
    names = [*REQUIRED[:6], *(f"f_rest_{i}" for i in range(rest)), *REQUIRED[6:], *extra]
    rng = np.random.default_rng(0)
    rows = np.zeros(count, [(name, dtype) for name in names])
    for name in names:
        rows[name] = rng.normal(size=count)
    return rows


def save(path: Path, rows: Any, **options: Any) -> Path:
    PlyData([PlyElement.describe(rows, "vertex")], **options).write(path)
    return path


def plain_reading(path: Path) -> Gaussians:
    """The slow twin: plyfile reads all, each coefficient is placed by the formula of its name."""
    rows = PlyData.read(path)["vertex"].data
    n = len(rows)
    k = sum(name.startswith("f_rest_") for name in rows.dtype.names) // 3

    def columns(*names: str) -> Any:
        return np.stack([np.asarray(rows[name], np.float64) for name in names], axis=1)

    shN = np.zeros((n, k, 3))
    for channel in range(3):
        for coefficient in range(k):
            shN[:, coefficient, channel] = rows[f"f_rest_{channel * k + coefficient}"]
    quats = columns("rot_0", "rot_1", "rot_2", "rot_3")
    arrays = (
        columns("x", "y", "z"),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(columns("scale_0", "scale_1", "scale_2")),
        1 / (1 + np.exp(-columns("opacity")[:, 0])),
        columns("f_dc_0", "f_dc_1", "f_dc_2"),
        shN,
    )
    return Gaussians(*(array.astype(np.float32) for array in arrays))


def assert_close(got: Gaussians, expected: Gaussians, rtol: float = 1e-6) -> None:
    for field in _FIELDS:
        np.testing.assert_allclose(
            getattr(got, field), getattr(expected, field), rtol, 1e-7, err_msg=field
        )


def refused(path: Path) -> str:
    """The message with which a file is refused: one line that names it."""
    with pytest.raises(SceneError) as error:
        read_ply(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


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


def test_what_can_be_mended_is_mended_and_counted(tmp_path: Path) -> None:
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
    for field in _FIELDS:
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


def test_reading_and_writing_hold_a_scene_once(tmp_path: Path) -> None:
    path = save(tmp_path / "large.ply", vertices(300_000, 9))
    tracemalloc.start()
    try:
        scene = read_ply(path).gaussians
        read_bytes = tracemalloc.get_traced_memory()[1]
        scene_bytes = sum(getattr(scene, field).nbytes for field in _FIELDS)
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


def test_an_atomic_write_shows_nothing_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"new"


def test_an_atomic_write_keeps_permissions_and_follows_links(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(OSError, match="not a regular file"), atomic_write(tmp_path):
        pass


@pytest.mark.parametrize("name", ["fox.ply", "donut/donut.ply", "playbot.ply"])
def test_real_scenes_read_as_plyfile_says(data_dir: Path, name: str) -> None:
    assert_close(read_ply(data_dir / name).gaussians, plain_reading(data_dir / name), rtol=1e-5)


def _small(count: int) -> Any:
    rows = vertices(count, dtype="f8")
    for name in ("scale_0", "scale_1", "scale_2"):
        rows[name] = np.log(0.02)
    return rows


@pytest.mark.parametrize("text", [False, True])
def test_doubles_far_away_keep_their_places_by_an_origin(tmp_path: Path, text: bool) -> None:
    rows = _small(50)
    rows["y"] = 4_500_000.3 + np.linspace(0, 5, 50)
    scene = read_ply(save(tmp_path / "far.ply", rows, text=text))
    assert scene.origin[1] == pytest.approx(4_500_003, abs=2)
    assert (
        np.abs(scene.gaussians.means[:, 1] + np.float64(scene.origin[1]) - rows["y"]).max() < 1e-6
    )
    write_ply(tmp_path / "again.ply", scene)
    again = read_ply(tmp_path / "again.ply")
    assert again.origin == scene.origin
    assert np.array_equal(again.gaussians.means, scene.gaussians.means)


def test_doubles_near_the_origin_need_none(tmp_path: Path) -> None:
    rows = _small(50)
    scene = read_ply(save(tmp_path / "near.ply", rows))
    assert scene.origin == (0, 0, 0)
    assert np.array_equal(scene.gaussians.means[:, 0], rows["x"].astype(np.float32))


def test_positions_that_single_precision_cannot_hold_are_warned_of(tmp_path: Path) -> None:
    rows = _small(50)
    rows["y"] = 9_000_000.3 * np.linspace(0, 1, 50) ** 4
    with pytest.warns(SceneWarning, match=r"\d+ Gaussians misplaced, since single precision"):
        read_ply(save(tmp_path / "far.ply", rows))


def test_flat_gaussians_get_a_thin_third_axis(tmp_path: Path) -> None:
    rows = vertices(20)
    flat = repack_fields(rows[[name for name in rows.dtype.names if name != "scale_2"]])
    got = read_ply(save(tmp_path / "2dgs.ply", flat)).gaussians
    assert np.allclose(got.scales[:, 1], np.exp(rows["scale_1"]), rtol=1e-5)
    assert np.allclose(got.scales[:, 2], got.scales[:, :2].min(1) / 1000, rtol=1e-4)


@pytest.mark.parametrize(("kind", "full"), [("u1", 255), ("u2", 65535), ("f4", 1)])
@pytest.mark.parametrize("text", [False, True])
def test_red_green_and_blue_stand_for_f_dc(
    tmp_path: Path, kind: str, full: int, text: bool
) -> None:
    rows = vertices(20)
    names = [name for name in rows.dtype.names if not name.startswith("f_dc")]
    colored = np.zeros(
        20, [(n, "f4") for n in names] + [(n, kind) for n in ("red", "green", "blue")]
    )
    for name in names:
        colored[name] = rows[name]
    colored["green"] = np.linspace(0, full, 20)
    got = read_ply(save(tmp_path / "rgb.ply", colored, text=text)).gaussians
    shown = 0.5 + 0.28209479177387814 * got.sh0
    assert np.allclose(shown[:, 1], colored["green"] / full, atol=1e-6)
    assert np.allclose(shown[:, 0], 0, atol=1e-6)


def test_sh_of_degree_4_are_cut_to_3(tmp_path: Path) -> None:
    path = save(tmp_path / "sh4.ply", vertices(20, 72))
    with pytest.warns(SceneWarning, match="SH of degree 4 are left out: degree 3 is kept"):
        got = read_ply(path).gaussians
    rows = PlyData.read(path)["vertex"].data
    for channel in range(3):
        for k in range(15):
            assert np.array_equal(got.shN[:, k, channel], rows[f"f_rest_{channel * 24 + k}"])


def test_the_3d_filter_goes_into_scales_and_opacities(tmp_path: Path) -> None:
    rows = vertices(20)
    plain = read_ply(save(tmp_path / "plain.ply", rows)).gaussians
    filtered = np.zeros(20, [*rows.dtype.descr, ("filter_3D", "f4")])
    for name in rows.dtype.names:
        filtered[name] = rows[name]
    filtered["filter_3D"] = 0.3
    scene = read_ply(save(tmp_path / "mip.ply", filtered))
    assert scene.antialiased
    wider = np.sqrt(plain.scales**2 + 0.09)
    assert np.allclose(scene.gaussians.scales, wider, rtol=1e-5)
    weaker = plain.opacities * plain.scales.prod(1) / wider.prod(1)
    assert np.allclose(scene.gaussians.opacities, weaker, rtol=1e-4)


@pytest.mark.parametrize(
    ("comments", "antialiased"),
    [
        ([], False),
        (["SplatRenderMode: mip"], True),
        (["splatrendermode: MIP"], True),
        (["SplatRenderMode: 2dgs"], False),
        (["antialiased 1"], True),
        (["Antialiased 1", "SplatRenderMode: default"], False),
        (["made with love, antialiased 1"], False),
    ],
)
def test_comments_tell_the_rendering_mode(
    tmp_path: Path, comments: list[str], antialiased: bool
) -> None:
    path = save(tmp_path / "a.ply", vertices(3), comments=comments)
    assert read_ply(path).antialiased == antialiased


def test_the_name_of_the_coordinate_system_comes_back(tmp_path: Path) -> None:
    scene = Scene(read_ply(save(tmp_path / "a.ply", vertices(3))).gaussians, crs="EPSG:2056")
    write_ply(tmp_path / "b.ply", scene)
    assert read_ply(tmp_path / "b.ply").crs == "EPSG:2056"


def test_blank_lines_in_a_text_ply_are_passed_over(tmp_path: Path) -> None:
    path = save(tmp_path / "text.ply", vertices(2), text=True)
    head, body = path.read_text().split("end_header\n")
    path.write_text(head + "end_header\n\n" + body.replace("\n", "\n\n"))
    assert len(read_ply(path).gaussians) == 2


def test_colours_that_no_display_shows_are_dropped(tmp_path: Path) -> None:
    rows = vertices(3)
    rows["f_dc_1"][1] = 1e20
    with pytest.warns(SceneWarning, match="1 Gaussians dropped for .* a colour beyond 10,000"):
        assert len(read_ply(save(tmp_path / "bright.ply", rows)).gaussians) == 2
