"""Variants of splat PLY files: doubles, 2DGS, RGB, SH degree 4, Mip-Splatting, comments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.recfunctions import repack_fields
from plyfile import PlyData

from exgs.scene.errors import SceneWarning
from exgs.scene.formats.ply import read_ply, write_ply
from exgs.scene.scene import Scene
from tests.scene.ply_files import (
    save,
    vertices,
)


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
