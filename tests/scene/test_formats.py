"""Scenes come out of every packed format as they went in, to the precision of the format."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats import READABLE, WRITABLE, read_scene, write_scene
from exgs.scene.formats.order import morton_order
from exgs.scene.formats.ply import write_ply
from exgs.scene.formats.sog_lod import read_sog_level, sog_level_folders, sog_levels
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.scene import Scene
from tests.scene.format_files import (
    compressed_ply_bytes,
    random_scene,
    scenes,
    sog_parts,
    spz_bytes,
    streamed_sog,
    write_parts,
    zip_parts,
)

few = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def assert_alike(
    got: Gaussians,
    wanted: Gaussians,
    *,
    position: float,
    rotation: float,
    log_scale: float,
    opacity: float,
    color: float,
    sh: float | None,
) -> None:
    """Each attribute lies within its bound; rotations up to the sign of the quaternion."""
    assert len(got) == len(wanted)
    assert np.abs(got.means - wanted.means).max() <= position
    signs = np.sign(np.sum(got.quats * wanted.quats, axis=1))[:, None]
    assert np.abs(got.quats * signs - wanted.quats).max() <= rotation
    assert np.abs(np.log(got.scales / wanted.scales)).max() <= log_scale
    assert np.abs(got.opacities - wanted.opacities).max() <= opacity
    assert np.abs(got.sh0 - wanted.sh0).max() <= color
    if sh is None:
        assert got.sh_degree == 0
    else:
        assert got.shN.shape == wanted.shN.shape
        assert np.abs(got.shN - wanted.shN).max(initial=0) <= sh


SPZ = {
    "rotation": 0.003,
    "log_scale": 0.0313,
    "opacity": 0.00197,
    "color": 0.01308,
}


@given(scenes)
@few
def test_a_splat_file_keeps_all_but_the_sh(tmp_path: Path, scene: Gaussians) -> None:
    write_scene(tmp_path / "a.splat", scene)
    order = np.argsort(-scene.scales.prod(1, dtype=np.float64) * scene.opacities, kind="stable")
    wanted = scene.select(order)
    assert_alike(
        read_scene(tmp_path / "a.splat").gaussians,
        wanted,
        position=0,
        rotation=0.012,
        log_scale=1e-6,
        opacity=0.00197,
        color=0.00197 / SH_C0,
        sh=None,
    )


def test_a_prefix_of_a_splat_file_is_its_largest_gaussians(tmp_path: Path) -> None:
    scene = random_scene(1, 100, 0)
    write_scene(tmp_path / "a.splat", scene)
    (tmp_path / "b.splat").write_bytes((tmp_path / "a.splat").read_bytes()[: 32 * 40])
    sizes = scene.scales.prod(1, dtype=np.float64) * scene.opacities
    kept = read_scene(tmp_path / "b.splat").gaussians
    assert sorted(kept.means[:, 0]) == sorted(scene.means[np.argsort(-sizes)[:40], 0])


@given(scenes)
@few
def test_what_spz_writes_it_reads(tmp_path: Path, scene: Gaussians) -> None:
    write_scene(tmp_path / "a.spz", scene)
    got = read_scene(tmp_path / "a.spz").gaussians
    assert_alike(got, scene, position=2**-13 + 1e-6, sh=0.0665, **SPZ)
    first_degree = got.shN[:, :3] - scene.shN[:, :3]
    assert np.abs(first_degree).max(initial=0) <= 0.0352


@given(scenes, st.sampled_from([1, 2, 3, 4]))
@few
def test_every_version_of_spz_is_read(tmp_path: Path, scene: Gaussians, version: int) -> None:
    (tmp_path / "a.spz").write_bytes(spz_bytes(scene, version))
    loose = {"rotation": 0.16 if version < 3 else 0.003}  # w follows from 8 bits a component
    position = 0.008 if version == 1 else 2**-13 + 1e-6
    got = read_scene(tmp_path / "a.spz").gaussians
    assert_alike(got, scene, position=position, sh=0.0040, **(SPZ | loose))


@pytest.mark.parametrize("size", [1e-4, 0.1, 1, 30, 1e3, 1e6])
def test_spz_positions_are_fine_enough_for_the_size_of_the_scene(
    tmp_path: Path, size: float
) -> None:
    scene = random_scene(3, 50, 0)
    means = (scene.means * (size / np.abs(scene.means).max())).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)  # of steps that are coarse for the Gaussians
        write_scene(tmp_path / "a.spz", replace(scene, means=means))
    error = np.abs(read_scene(tmp_path / "a.spz").gaussians.means - means).max()
    assert error <= max(size * 2**-13, 2**-21)
    assert error <= max(2**-13, size * 2**-22)


def test_a_scene_too_large_for_spz_is_refused(tmp_path: Path) -> None:
    scene = random_scene(3, 50, 0)
    with pytest.raises(SceneError, match=r"too large for \.spz; write a \.ply"):
        write_scene(tmp_path / "a.spz", replace(scene, means=scene.means * np.float32(1e7)))


def test_gaussians_too_wide_for_spz_are_cut_with_a_warning(tmp_path: Path) -> None:
    scales = np.full((3, 3), 0.1, np.float32)
    scales[1, 2] = 4000
    scene = Gaussians(
        np.zeros((3, 3), np.float32),
        np.tile(np.array([1, 0, 0, 0], np.float32), (3, 1)),
        scales,
        np.full(3, 0.5, np.float32),
        np.zeros((3, 3), np.float32),
        np.zeros((3, 0, 3), np.float32),
    )
    with pytest.warns(SceneWarning, match="1 Gaussians are wider than SPZ can say"):
        write_scene(tmp_path / "wide.spz", scene)


@given(scenes, st.booleans())
@few
def test_a_compressed_ply_is_read(tmp_path: Path, scene: Gaussians, chunk_colors: bool) -> None:
    (tmp_path / "a.ply").write_bytes(compressed_ply_bytes(scene, chunk_colors=chunk_colors))
    extent = float(np.ptp(scene.means, axis=0).max(initial=0))
    assert_alike(
        read_scene(tmp_path / "a.ply").gaussians,
        scene,
        position=extent / 2046 + 1e-5,
        rotation=0.003,
        log_scale=10 / 2046 + 1e-4,
        opacity=0.00197,
        color=0.00197 / SH_C0,
        sh=0.0314,
    )


@given(scenes, st.sampled_from([1, 2]), st.booleans())
@few
def test_a_sog_is_read_bundled_and_from_a_folder(
    tmp_path: Path, scene: Gaussians, version: int, bundled: bool
) -> None:
    parts = sog_parts(scene, version)
    if bundled:
        got = read_scene(zip_parts(parts, tmp_path / "a.sog")).gaussians
    else:
        got = read_scene(write_parts(parts, tmp_path / "a")).gaussians
    assert_alike(
        got,
        scene,
        position=0.002,
        rotation=0.012,
        log_scale=0.0197,
        opacity=0.0045,
        color=0.0068,
        sh=0.0040,
    )


def test_a_streamed_sog_shows_every_region_at_the_level_asked_for(tmp_path: Path) -> None:
    levels = [random_scene(seed, count, 1) for seed, count in ((0, 200), (1, 60), (2, 9))]
    path = streamed_sog(levels, tmp_path / "scene", cut=(150, 20, 9))
    assert sog_levels(path) == 3
    for level, scene in enumerate(levels):
        got = read_sog_level(path, level).gaussians
        assert np.allclose(got.means, scene.means, atol=0.002)
        assert sog_level_folders(path, level) == [tmp_path / "scene" / f"{level}_0"]
    assert len(read_scene(tmp_path / "scene").gaussians) == 200


def test_surroundings_and_bundles_are_part_of_a_streamed_sog(tmp_path: Path) -> None:
    path = streamed_sog([random_scene(0, 200, 1)], tmp_path / "scene", cut=(150,))
    around = random_scene(5, 40, 0)
    meta = json.loads(path.read_text())
    for name in ("sky/meta.json", "sky.sog"):
        parts = sog_parts(around)
        if name.endswith(".sog"):
            zip_parts(parts, path.parent / name)
        else:
            write_parts(parts, path.parent / "sky")
        path.write_text(json.dumps(meta | {"environment": name}))
        got = read_scene(path).gaussians
        assert len(got) == 240
        assert np.allclose(got.means[:40], around.means, atol=0.002)


@pytest.mark.parametrize(
    ("model", "antialiased"), [("default", False), ("antialiased", True), ("2dgs", False)]
)
def test_the_model_of_a_sog_is_read(tmp_path: Path, model: str, antialiased: bool) -> None:
    parts = sog_parts(random_scene(0, 9, 0))
    parts["meta.json"] = json.dumps(json.loads(parts["meta.json"]) | {"model": model}).encode()
    assert read_scene(zip_parts(parts, tmp_path / "a.sog")).antialiased == antialiased


def test_an_unknown_model_of_a_sog_is_warned_of(tmp_path: Path) -> None:
    parts = sog_parts(random_scene(0, 9, 0))
    parts["meta.json"] = json.dumps(json.loads(parts["meta.json"]) | {"model": "new"}).encode()
    with pytest.warns(SceneWarning, match="unknown model 'new'"):
        read_scene(zip_parts(parts, tmp_path / "a.sog"))


def test_the_shipped_streamed_sog_is_the_scene_that_its_ply_came_from(data_dir: Path) -> None:
    finest = read_scene(data_dir / "playbot-sog").gaussians
    ply = read_scene(data_dir / "playbot.ply").gaussians
    assert len(finest) == len(ply) == 500_000
    assert np.abs(finest.means - ply.means).max() < 1e-4
    assert np.abs(np.log(finest.scales / ply.scales)).mean() < 0.02
    assert abs(float(np.mean(finest.shN - ply.shN))) < 1e-3


def test_a_plain_ply_is_told_from_a_compressed_one(tmp_path: Path) -> None:
    scene = random_scene(0, 5, 2)
    write_ply(tmp_path / "a.ply", scene)
    assert np.array_equal(read_scene(tmp_path / "a.ply").gaussians.shN, scene.shN)


def test_a_scene_of_no_gaussians_is_written_where_the_format_can_say_so(tmp_path: Path) -> None:
    for extension in WRITABLE:
        path = tmp_path / f"a{extension}"
        if extension == ".splat":
            with pytest.raises(SceneError, match=r"no Gaussians; write a \.ply"):
                write_scene(path, Gaussians.empty())
        else:
            write_scene(path, Gaussians.empty(2))
            assert len(read_scene(path).gaussians) == 0


def test_other_extensions_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=", ".join(READABLE)):
        read_scene(tmp_path / "a.obj")
    with pytest.raises(SceneError, match=", ".join(WRITABLE)):
        write_scene(tmp_path / "a.ksplat", Gaussians.empty())


@given(scenes)
@few
def test_a_written_compressed_ply_comes_back_in_morton_order(
    tmp_path: Path, scene: Gaussians
) -> None:
    write_scene(tmp_path / "A.Compressed.PLY", scene)
    extent = float(np.ptp(scene.means, axis=0).max(initial=0))
    assert_alike(
        read_scene(tmp_path / "A.Compressed.PLY").gaussians,
        scene.select(morton_order(scene.means)),
        position=extent / 2046 + 1e-5,
        rotation=0.003,
        log_scale=10 / 2046 + 1e-4,
        opacity=0.00197,
        color=0.00197 / SH_C0,
        sh=0.0314,
    )


@given(scenes)
@few
def test_a_written_sog_comes_back_in_morton_order(tmp_path: Path, scene: Gaussians) -> None:
    write_scene(tmp_path / "a.sog", scene)
    got = read_scene(tmp_path / "a.sog").gaussians
    wanted = scene.select(morton_order(scene.means))
    assert_alike(
        got,
        wanted,
        position=0.002,
        rotation=0.012,
        log_scale=0.08,  # of 256 entries over ten units, fitted
        opacity=0.00197,
        color=0.03,
        sh=2.0,  # few entries stand for many rows: compared below
    )
    if scene.sh_degree:
        assert np.mean((got.shN - wanted.shN) ** 2) <= np.mean(wanted.shN**2)


@given(scenes)
@few
def test_a_written_glb_comes_back_as_it_was(tmp_path: Path, scene: Gaussians) -> None:
    write_scene(tmp_path / "a.glb", scene)
    assert_alike(
        read_scene(tmp_path / "a.glb").gaussians,
        scene,
        position=0,
        rotation=1e-6,
        log_scale=1e-6,
        opacity=0,
        color=0,
        sh=1e-6,
    )


@pytest.mark.parametrize("ending", [".ply", ".spz", ".sog", ".compressed.ply"])
@pytest.mark.parametrize("antialiased", [False, True])
def test_the_rendering_mode_comes_back(tmp_path: Path, ending: str, antialiased: bool) -> None:
    path = tmp_path / f"a{ending}"
    write_scene(path, Scene(random_scene(0, 9, 1), antialiased=antialiased))
    assert read_scene(path).antialiased == antialiased


@pytest.mark.parametrize("ending", [".splat", ".glb"])
def test_a_rendering_mode_that_is_lost_is_warned_of(tmp_path: Path, ending: str) -> None:
    with pytest.warns(SceneWarning, match="drawn with antialiasing"):
        write_scene(tmp_path / f"a{ending}", Scene(random_scene(0, 9, 0), antialiased=True))


FAR = (2_600_000.0, 1_200_000.0, 450.0)


@pytest.mark.parametrize("ending", [".ply", ".glb"])
def test_an_origin_comes_back_to_the_millimetre(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    scene = random_scene(0, 50, 1)
    write_scene(path, Scene(scene, origin=FAR))
    got = read_scene(path)
    places = got.gaussians.means + np.array(got.origin)
    assert np.abs(places - (scene.means + np.array(FAR))).max() < 1e-3
    assert np.abs(got.gaussians.means).max() < 20


@pytest.mark.parametrize("ending", [".splat", ".spz", ".sog", ".compressed.ply"])
def test_an_origin_that_is_lost_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    with pytest.warns(SceneWarning, match="relative to 2600000 1200000 450"):
        write_scene(path, Scene(random_scene(0, 50, 0), origin=FAR))
    assert np.abs(read_scene(path).gaussians.means).max() < 20


def test_what_can_not_be_drawn_is_left_out_with_a_warning(tmp_path: Path) -> None:
    scene = random_scene(0, 6, 0)
    write_scene(tmp_path / "a.splat", scene)
    rows = np.fromfile(tmp_path / "a.splat", "<f4").reshape(6, 8).copy()
    rows[1, 0] = np.nan
    rows[2, 3] = 0
    rows[3].view(np.uint8)[28:] = 128
    rows[4, 1] = 2e12
    rows.tofile(tmp_path / "a.splat")
    with pytest.warns(
        SceneWarning, match=r"1 .*not finite; 1 .*1e12 .*; 1 .*1e-12.*; 1 .*identity"
    ):
        got = read_scene(tmp_path / "a.splat").gaussians
    assert len(got) == 4
    assert got.scales.min() > 0
    assert np.allclose(np.linalg.norm(got.quats, axis=1), 1, atol=1e-6)
