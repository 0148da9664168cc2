"""SPZ files stand in many frames: each is read the right way up, colours from every side too."""

from __future__ import annotations

import gzip
import struct
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.codec.measuring.directions import sh_basis
from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats import read_scene, write_scene
from exgs.scene.gaussians import Gaussians
from tests.scene.format_files import random_scene, spz_bytes

# In the order of their codes, from 1 on.
CODES = ("LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF")
CODES += ("LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU", "RBU")
RDF_AXES = {"R": (0, 1), "L": (0, -1), "D": (1, 1), "U": (1, -1), "F": (2, 1), "B": (2, -1)}


def frame_record(code: int) -> bytes:
    return struct.pack("<III", 0xADBE0003, 4, code)


def in_rdf(values: Any, frame: str) -> Any:
    """Vectors [N, 3] of a named frame, component by component."""
    result = np.empty_like(values)
    for stored, letter in enumerate(frame):
        axis, sign = RDF_AXES[letter]
        result[:, axis] = sign * values[:, stored]
    return result


def covariances(scene: Gaussians) -> Any:
    w, x, y, z = scene.quats.astype(float).T
    axes = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    stretched = axes * scene.scales[:, None, :]
    return stretched @ stretched.transpose(0, 2, 1)


def assert_turned(got: Gaussians, stored: Gaussians, frame: str) -> None:
    """`got` is what `stored` is when its axes are those of `frame`: places, shapes and colours."""
    assert np.abs(got.means - in_rdf(stored.means, frame)).max() < 1e-6
    turn = in_rdf(np.eye(3), frame).T
    wanted = turn @ covariances(stored) @ turn.T
    assert np.abs(covariances(got) - wanted).max() < 1e-5 * np.abs(wanted).max()
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for i in range(3):
        before = sh_basis(directions, stored.sh_degree) @ stored.shN[i]
        after = sh_basis(in_rdf(directions, frame), stored.sh_degree) @ got.shN[i]
        assert np.abs(before - after).max() < 1e-5


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("code", range(1, 17))
def test_every_declared_frame_is_turned_into_rdf(tmp_path: Path, version: int, code: int) -> None:
    scene, path = random_scene(code, 20, 3), tmp_path / "a.spz"
    path.write_bytes(spz_bytes(scene, version))
    stored = read_scene(path).gaussians
    path.write_bytes(spz_bytes(scene, version, records=frame_record(code)))
    assert_turned(read_scene(path).gaussians, stored, CODES[code - 1])
    path.write_bytes(spz_bytes(scene, version))
    assert_turned(read_scene(path, frame=CODES[code - 1]).gaussians, stored, CODES[code - 1])


def test_a_frame_given_by_hand_goes_before_the_declared_one(tmp_path: Path) -> None:
    scene, path = random_scene(0, 20, 1), tmp_path / "a.spz"
    for code in (4, 99):
        path.write_bytes(spz_bytes(scene, 3, records=frame_record(code)))
        assert_turned(
            read_scene(path, frame="LUF").gaussians, read_scene(path, frame="RDF").gaussians, "LUF"
        )


def test_undeclared_files_hold_what_the_ply_held(tmp_path: Path) -> None:
    scene, path = random_scene(0, 20, 1), tmp_path / "a.spz"
    path.write_bytes(spz_bytes(scene, 3))
    assert np.abs(read_scene(path).gaussians.means - scene.means).max() < 1e-3


def test_what_is_written_declares_its_frame(tmp_path: Path) -> None:
    scene, path = random_scene(0, 20, 1), tmp_path / "a.spz"
    write_scene(path, scene)
    data = gzip.decompress(path.read_bytes())
    assert data[14] & 2
    assert data.endswith(frame_record(CODES.index("RDF") + 1))
    first = int.from_bytes(data[16:19], "little", signed=True) / 4096
    assert abs(first - float(scene.means[0, 0])) < 1e-3


def test_an_unknown_record_is_named_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.spz"
    unknown = struct.pack("<II", 0x12340001, 5) + b"hello"
    orbit = struct.pack("<II12x", 0xADBE0002, 12)
    for version in (3, 4):
        records = unknown + orbit + frame_record(4)
        path.write_bytes(spz_bytes(random_scene(0, 9, 0), version, records=records))
        with pytest.warns(SceneWarning, match="record 0x12340001 of 5 bytes is unknown"):
            turned = read_scene(path).gaussians
        assert_turned(turned, read_scene(path, frame="RDF").gaussians, "RUB")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (frame_record(17), "code 17; say which it is with --frame"),
        (frame_record(4)[:-2], "ends behind the file"),
        (struct.pack("<II2x", 0xADBE0003, 2), "unknown code"),
    ],
)
def test_senseless_records_are_refused(tmp_path: Path, records: bytes, message: str) -> None:
    path = tmp_path / "a.spz"
    for version in (3, 4):
        path.write_bytes(spz_bytes(random_scene(0, 9, 0), version, records=records))
        with pytest.raises(SceneError, match=message):
            read_scene(path)


def test_an_unspecified_frame_counts_as_undeclared(tmp_path: Path) -> None:
    scene, path = random_scene(0, 9, 0), tmp_path / "a.spz"
    path.write_bytes(spz_bytes(scene, 4, records=frame_record(0)))
    with pytest.warns(SceneWarning, match="unspecified"):
        got = read_scene(path).gaussians
    assert np.abs(got.means - scene.means).max() < 1e-3


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_that_a_server_has_unpacked_is_read(tmp_path: Path, version: int) -> None:
    scene, path = random_scene(0, 20, 2), tmp_path / "a.spz"
    packed = spz_bytes(scene, version)
    path.write_bytes(packed)
    wanted = read_scene(path).gaussians
    path.write_bytes(gzip.decompress(packed))
    assert np.array_equal(read_scene(path).gaussians.shN, wanted.shN)
    path.write_bytes(gzip.decompress(packed)[:-1])
    with pytest.raises(SceneError, match="the file ends after"):
        read_scene(path)


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 200])
def test_members_of_a_gzip_file_are_one_stream(tmp_path: Path, cut: int) -> None:
    scene, path = random_scene(0, 20, 2), tmp_path / "a.spz"
    plain = gzip.decompress(spz_bytes(scene, 3, records=frame_record(6)))
    parts = [gzip.compress(part) for part in (plain[:cut], b"", plain[cut:])]
    path.write_bytes(b"".join(parts) + bytes(100))
    got = read_scene(path).gaussians
    assert np.abs(got.means - scene.means).max() < 1e-3
    path.write_bytes(b"".join(parts)[:-3])
    with pytest.raises(SceneError, match="cut short"):
        read_scene(path)


def test_positions_coarser_than_the_gaussians_are_warned_of(tmp_path: Path) -> None:
    scene = random_scene(0, 50, 0)
    scales = np.full((50, 3), 0.05, np.float32)
    far = Gaussians(
        scene.means + np.float32(2e6), scene.quats, scales, *(scene.opacities, scene.sh0, scene.shN)
    )
    with pytest.warns(SceneWarning, match=r"steps of 0\.25 units.* narrower than 0\.05"):
        write_scene(tmp_path / "far.spz", far)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_scene(tmp_path / "near.spz", scene)


def test_the_antialiasing_bit_is_read(tmp_path: Path) -> None:
    for version in (1, 2, 3, 4):
        (tmp_path / "a.spz").write_bytes(
            spz_bytes(random_scene(0, 9, 0), version, antialiased=True)
        )
        assert read_scene(tmp_path / "a.spz").antialiased


def garden() -> Gaussians:
    """A lawn in RDF, with a few bushes on it."""
    rng = np.random.default_rng(0)
    lawn = np.column_stack([rng.uniform(-5, 5, 3000), np.ones(3000), rng.uniform(-5, 5, 3000)])
    bush = rng.normal(size=(1000, 3)) * 0.4 + (0, 0.3, 0)
    means = np.concatenate([lawn, bush]).astype(np.float32)
    scales = np.full((4000, 3), 0.15, np.float32)
    scales[:3000, 1] = 0.005
    return Gaussians(
        means,
        np.tile(np.array([1, 0, 0, 0], np.float32), (4000, 1)),
        scales,
        np.full(4000, 0.9, np.float32),
        np.zeros((4000, 3), np.float32),
        np.zeros((4000, 0, 3), np.float32),
    )


def test_an_undeclared_file_that_stands_on_its_head_is_warned_of(tmp_path: Path) -> None:
    path, upright = tmp_path / "a.spz", garden()
    flipped = replace(upright, means=upright.means * np.array([1, -1, -1], np.float32))
    path.write_bytes(spz_bytes(flipped, 3))
    with pytest.warns(SceneWarning, match="stand on its head in RDF.*give --frame RUB"):
        read_scene(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = read_scene(path, frame="RUB").gaussians
        assert np.abs(got.means - upright.means).max() < 1e-3
        path.write_bytes(spz_bytes(upright, 3))
        read_scene(path)
        path.write_bytes(spz_bytes(flipped, 3, records=frame_record(4)))
        read_scene(path)
