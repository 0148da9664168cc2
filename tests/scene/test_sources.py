"""Sources give by ranges what readers give as a whole."""

from __future__ import annotations

import gzip
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats import read_scene, write_scene
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.sources.files import PlySource, SogSource, count_rows, open_source
from exgs.scene.sources.placing import JoinedSource, PlacedSource, collect
from exgs.scene.sources.source import GaussianSource, MemorySource, sample
from exgs.scene.sources.spz import SpzSource
from exgs.scene.transform import cropped, transformed
from tests.scene.format_files import random_scene

COUNT = 1000


def read_by(source: GaussianSource, step: int) -> Gaussians:
    parts = [source.rows(start, start + step) for start in range(0, source.count, step)]
    return Gaussians.concatenate(parts)


def assert_equal(got: Gaussians, wanted: Gaussians) -> None:
    for field in fields(Gaussians):
        assert np.array_equal(getattr(got, field.name), getattr(wanted, field.name)), field.name


@pytest.mark.parametrize(("name", "kind"), [("s.ply", PlySource), ("s.spz", SpzSource)])
@pytest.mark.parametrize("step", [1, 333, 5000])
def test_ranges_of_a_file_are_its_scene(
    tmp_path: Path, name: str, kind: type[GaussianSource], step: int
) -> None:
    write_scene(tmp_path / name, random_scene(0, 60, 2))
    source = open_source(tmp_path / name)
    assert isinstance(source, kind)
    assert source.count == count_rows(tmp_path / name) == 60
    assert_equal(read_by(source, step), read_scene(tmp_path / name).gaussians)


def test_repaired_rows_are_counted_once(tmp_path: Path) -> None:
    scene = random_scene(0, 40, 1)
    scales = scene.scales.copy()
    scales[5] = 0
    write_scene(tmp_path / "flat.ply", scene)
    rows = bytearray((tmp_path / "flat.ply").read_bytes())
    start = rows.index(b"end_header\n") + len(b"end_header\n")
    rows[start : start + 4] = np.float32(np.nan).tobytes()
    (tmp_path / "flat.ply").write_bytes(rows)
    source = open_source(tmp_path / "flat.ply")
    sample(source, 30, ranges=10)
    assert len(read_by(source, 7)) == 39
    with pytest.warns(SceneWarning, match="1 Gaussians dropped"):
        source.finish()


def test_distant_scenes_keep_their_origin(tmp_path: Path) -> None:
    far = Scene(random_scene(0, 50, 0), origin=(2_600_000.0, 1_200_000.0, 450.0))
    write_scene(tmp_path / "far.ply", far)
    source = open_source(tmp_path / "far.ply")
    whole = read_scene(tmp_path / "far.ply")
    got = read_by(source, 11).means.astype(float) + source.facts.origin
    assert np.abs(got - (whole.gaussians.means.astype(float) + whole.origin)).max() < 1e-3


def test_a_cut_spz_is_refused(tmp_path: Path) -> None:
    write_scene(tmp_path / "cut.spz", random_scene(0, 200, 1))
    data = (tmp_path / "cut.spz").read_bytes()
    (tmp_path / "cut.spz").write_bytes(data[: len(data) // 2])
    with pytest.raises(SceneError, match="cut short"):
        open_source(tmp_path / "cut.spz")
    (tmp_path / "cut.spz").write_bytes(gzip.compress(b"nonsense" * 9))
    with pytest.raises(SceneError, match=r"not an \.spz file"):
        open_source(tmp_path / "cut.spz")


def test_joined_and_placed_sources_are_joined_and_placed_scenes() -> None:
    one, other = random_scene(1, 300, 2), random_scene(2, 200, 0)
    joined = JoinedSource([MemorySource("a", Scene(one)), MemorySource("b", Scene(other))])
    whole = read_by(joined, 170)
    assert_equal(whole, Gaussians.concatenate([one, other]))
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    source = PlacedSource(joined, rotation=turn, scale=2, translation=(1, 2, 3))
    wanted = transformed(Scene(whole), rotation=turn, scale=2, translation=(1, 2, 3))
    got = read_by(source, 130)
    assert np.allclose(got.means + source.facts.origin, wanted.gaussians.means + wanted.origin)
    assert_equal(replace(got, means=wanted.gaussians.means), wanted.gaussians)


def test_crops_are_collected_as_far_as_allowed() -> None:
    scene = Scene(random_scene(0, COUNT, 0))
    low, high = (0.0, -99.0, -99.0), (99.0, 99.0, 99.0)
    source = PlacedSource(MemorySource("a", scene), box=(low, high))
    found = collect(source, COUNT)
    assert found is not None
    assert_equal(found.gaussians, cropped(scene, low, high).gaussians)
    assert collect(source, len(found) - 1) is None
    with pytest.raises(SceneError, match="no Gaussian lies in the box"):
        collect(PlacedSource(MemorySource("a", scene), box=(high, high)), COUNT)


def test_samples_come_from_everywhere() -> None:
    scene = random_scene(0, COUNT, 0)
    rising = replace(scene, means=np.repeat(np.arange(COUNT, dtype=np.float32)[:, None], 3, axis=1))
    some, total = sample(MemorySource("a", Scene(rising)), 100, ranges=20)
    assert len(some) == 100
    assert total == COUNT
    assert np.histogram(some.means[:, 0], 10, (0, COUNT))[0].min() >= 5


def test_streamed_sog_is_read_folder_by_folder(shared_sog: Path) -> None:
    source = open_source(shared_sog)
    assert isinstance(source, SogSource)
    whole = read_scene(shared_sog).gaussians
    assert source.count == len(whole)
    start = source.count // 2 - 500
    assert_equal(source.rows(start, start + 1000), whole.select(slice(start, start + 1000)))


@pytest.fixture
def shared_sog() -> Path:
    path = Path(__file__).parents[3] / "shared" / "data" / "flowers"
    if not path.exists():
        pytest.skip("no streamed SOG at hand: ../shared/data/flowers is absent")
    return path
