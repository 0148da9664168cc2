"""Damaged and malicious scene files: one line that names the file, and no memory spent on them."""

from __future__ import annotations

import gzip
import json
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats import read_scene
from tests.scene.format_files import (
    compressed_ply_bytes,
    random_scene,
    sog_parts,
    spz_bytes,
    spz_columns,
    streamed_sog,
    write_parts,
    zip_parts,
)

SCENE = random_scene(0, 300, 1)
FILES: dict[str, bytes] = {
    "v2.spz": spz_bytes(SCENE, 2),
    "v3.spz": spz_bytes(SCENE, 3),
    "v4.spz": spz_bytes(SCENE, 4),
    "a.ply": compressed_ply_bytes(SCENE),
}
LIMIT_BYTES = 8 << 20  # for reading a file of a few KB, whatever it says


def refused(path: Path, message: str | None = None) -> None:
    """Reading raises a SceneError of one line with the path in it, and takes little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(SceneError, match=message) as caught:
            read_scene(path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak_bytes < LIMIT_BYTES


def spz_header(version: int, count: int, degree: int = 0, fraction: int = 12) -> bytes:
    return struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, fraction, 0, 0)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("part", [0, 0.01, 0.3, 0.7, 0.999])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, name: str, part: float) -> None:
    (tmp_path / name).write_bytes(FILES[name][: int(len(FILES[name]) * part)])
    refused(tmp_path / name)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_splat_of_no_whole_rows_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.splat").write_bytes(bytes(size))
    refused(tmp_path / "a.splat", "32-byte rows")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_spz_that_promises_more_than_it_has_is_refused(tmp_path: Path, version: int) -> None:
    path = tmp_path / "a.spz"
    path.write_bytes(gzip.compress(spz_header(version, 0xFFFFFFFF) + bytes(1000)))
    refused(path, "can't hold the 4294967295 Gaussians")
    path.write_bytes(gzip.compress(spz_header(version, 1000) + bytes(1000)))
    refused(path, "ends after 1000 of")


def test_an_spz_is_not_unpacked_beyond_what_its_header_needs(tmp_path: Path) -> None:
    path = tmp_path / "bomb.spz"
    whole = spz_header(3, 300, 1) + b"".join(spz_columns(SCENE, 3))
    path.write_bytes(gzip.compress(whole + bytes(100 << 20)))
    refused(path, "far more than its header says")
    path.write_bytes(gzip.compress(whole + b"an extension"))
    assert len(read_scene(path).gaussians) == 300


def test_an_spz_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    data = bytearray(FILES["v3.spz"])
    data[-8] ^= 1
    (tmp_path / "a.spz").write_bytes(data)
    refused(tmp_path / "a.spz", "incorrect data check")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (spz_header(7, 1), "version 7"),
        (spz_header(4, 1), "version 4 in the container of versions 1 to 3"),
        (spz_header(3, 1, degree=9), "degree 9"),
        (spz_header(3, 1, fraction=200), "200 of 24 bits"),
        (b"PLAY" + bytes(12), "not an .spz"),
    ],
)
def test_a_senseless_spz_header_is_refused(tmp_path: Path, header: bytes, message: str) -> None:
    (tmp_path / "a.spz").write_bytes(gzip.compress(header + bytes(100)))
    refused(tmp_path / "a.spz", message)


def _lying_stream(data: bytearray, number: int, packed: int, unpacked: int) -> None:
    struct.pack_into("<QQ", data, 32 + 16 * number, packed, unpacked)


def _bomb_stream(data: bytearray) -> None:
    """The last stream declares in its own frame more than its entry says."""
    frame = zstandard.compress(bytes(200 << 20))
    size = len(spz_columns(SCENE, 4)[5])
    packed = struct.unpack_from("<Q", data, 32 + 16 * 5)[0]
    data[len(data) - packed :] = frame
    _lying_stream(data, 5, len(frame), size)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda d: struct.pack_into("<I", d, 8, 0xFFFFFFFF), "can't hold"),
        (lambda d: struct.pack_into("<I", d, 16, 0xFFFFFFF0), "outside the file"),
        (lambda d: struct.pack_into("<I", d, 16, 0), "outside the file"),
        (lambda d: d.__setitem__(15, 3), "3 streams"),
        (lambda d: _lying_stream(d, 0, 1 << 60, 2700), "ends in stream 0"),
        (lambda d: _lying_stream(d, 0, 100, 1 << 60), "its entry says"),
        (lambda d: d.__setitem__(slice(128, 132), b"ABCD"), "stream 0 is damaged"),
        (_bomb_stream, "declares 209715200 bytes"),
    ],
)
def test_a_senseless_table_of_streams_is_refused(
    tmp_path: Path, harm: Callable[[bytearray], None], message: str
) -> None:
    data = bytearray(FILES["v4.spz"])
    harm(data)
    (tmp_path / "a.spz").write_bytes(data)
    refused(tmp_path / "a.spz", message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"element vertex 300", b"element vertex 2000000000", "the file ends before"),
        (b"element chunk 2", b"element chunk 999999999999", "the file ends before"),
        (b"element chunk 2", b"element chunk -2", "should have -2 rows"),
        (b"element vertex 300", b"element vertex 200", "2 chunks for 200"),
        (b"element sh 300", b"element sh 299", "299 rows of SH for 300"),
        (b"property float min_x", b"property double min_x", "unexpected type"),
        (b"property float min_x", b"property float low_x", "other properties"),
        (b"uint packed_color", b"uint packed_colour", "other properties"),
        (b"element sh", b"element sg", "none of a compressed PLY"),
        (b"little_endian", b"big_endian", "binary_little_endian"),
    ],
)
def test_a_compressed_ply_with_a_false_header_is_refused(
    tmp_path: Path, old: bytes, new: bytes, message: str
) -> None:
    assert old in FILES["a.ply"]
    (tmp_path / "a.ply").write_bytes(FILES["a.ply"].replace(old, new, 1))
    refused(tmp_path / "a.ply", message)


def test_chunk_bounds_that_are_no_numbers_cost_their_gaussians_only(tmp_path: Path) -> None:
    data = bytearray(FILES["a.ply"])
    start = data.index(b"end_header\n") + len(b"end_header\n")
    struct.pack_into("<f", data, start, float("nan"))
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.warns(SceneWarning, match="256 Gaussians dropped"):
        assert len(read_scene(tmp_path / "a.ply").gaussians) == 300 - 256


def _meta(change: Callable[[Any], Any]) -> dict[str, bytes]:
    parts = sog_parts(SCENE)
    meta = json.loads(parts["meta.json"])
    change(meta)
    return parts | {"meta.json": json.dumps(meta).encode()}


def _huge_image() -> bytes:
    """A WebP whose header says 16383 x 16383."""
    image = bytearray(sog_parts(SCENE)["quats.webp"])
    assert image[12:16] == b"VP8L"
    struct.pack_into("<I", image, 21, 0x3FFE | 0x3FFE << 14 | 1 << 28)
    return bytes(image)


SOG_FAULTS: list[tuple[dict[str, bytes], str]] = [
    (_meta(lambda m: m.update(count=4_000_000_000)), "can't hold the 4000000000"),
    (_meta(lambda m: m.update(count=-1)), "count is not a whole number"),
    (_meta(lambda m: m.update(count=True)), "count is not a whole number"),
    (_meta(lambda m: m.update(count=5000)), "at least 5000 are needed"),
    (_meta(lambda m: m.update(version=3)), "version 3"),
    (_meta(lambda m: m["means"].update(mins=[0, 0])), "mins is not 3 numbers"),
    (_meta(lambda m: m["means"].update(mins=[0, 0, 10**400])), "range of a double"),
    (_meta(lambda m: m["means"].update(mins=[0, 0, float("nan")])), "no usable Gaussian"),
    (_meta(lambda m: m["means"].update(files=["means_l.webp"])), "2 names"),
    (_meta(lambda m: m["scales"].update(codebook=[1.0] * 9)), "codebook is not"),
    (_meta(lambda m: m["scales"].update(codebook="many")), "codebook is not"),
    (_meta(lambda m: m.update(quats=[])), "quats is not an object"),
    (_meta(lambda m: m["quats"].update(files=["../quats.webp"])), "outside the scene's folder"),
    (_meta(lambda m: m["quats"].update(files=["/etc/passwd"])), "outside the scene's folder"),
    (_meta(lambda m: m["quats"].update(files=["none.webp"])), "'none.webp' is missing"),
    (_meta(lambda m: m["quats"].update(files=["meta.json"])), "no lossless WebP"),
    (_meta(lambda m: m["shN"].update(bands=5)), "1, 2, 3 or 4"),
    (_meta(lambda m: m["shN"].update(bands=2)), "in rows of 512"),
    (_meta(lambda m: m["shN"].update(count=3)), "as the labels need"),
    ({**sog_parts(SCENE), "meta.json": b"[" * 100_000}, "no JSON"),
    ({**sog_parts(SCENE), "meta.json": b"\xff\xfe"}, "no JSON"),
    ({**sog_parts(SCENE), "meta.json": b"[]"}, "is not an object"),
    ({**sog_parts(SCENE), "quats.webp": _huge_image()}, "268402689 pixels where 300"),
    ({**sog_parts(SCENE), "quats.webp": sog_parts(SCENE)["quats.webp"][:60]}, "damaged image"),
]


@pytest.mark.parametrize(("parts", "message"), SOG_FAULTS, ids=[m for _, m in SOG_FAULTS])
@pytest.mark.parametrize("bundled", [True, False], ids=["bundled", "folder"])
def test_a_sog_with_a_fault_is_refused(
    tmp_path: Path, parts: dict[str, bytes], message: str, bundled: bool
) -> None:
    if bundled and "outside" in message:
        message = "is missing"  # a name in a zip leads nowhere else
    if bundled:
        refused(zip_parts(parts, tmp_path / "a.sog"), message)
    else:
        refused(write_parts(parts, tmp_path / "a") / "meta.json", message)


def test_a_bundle_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = zip_parts(sog_parts(SCENE), tmp_path / "a.sog")
    whole = path.read_bytes()
    for data in (b"", b"PK\x03\x04", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(data)
        refused(path)


def test_a_part_that_swells_when_unzipped_is_not_read(tmp_path: Path) -> None:
    parts = sog_parts(SCENE) | {"quats.webp": bytes(64 << 20)}
    with zipfile.ZipFile(tmp_path / "a.sog", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    refused(tmp_path / "a.sog", r"quats\.webp has more than")


def test_regions_of_a_streamed_sog_must_lie_in_their_folders(tmp_path: Path) -> None:
    path = streamed_sog([SCENE], tmp_path / "scene", cut=(100,))
    good = json.loads(path.read_text())
    faults = (
        (lambda m: m["tree"]["children"][0]["lods"]["0"].update(count=301), "which has 300"),
        (lambda m: m["tree"]["children"][0]["lods"]["0"].update(count=200), "which has 300"),
        (lambda m: m["tree"]["children"][0]["lods"]["0"].update(file=7), "folder 7 of 1"),
        (lambda m: m["tree"]["children"][0].update(lods={}), "levels"),
        (lambda m: m["tree"]["children"][0].update(lods=[1]), "not an object"),
        (lambda m: m.update(filenames=["../../meta.json"]), "outside the scene's folder"),
        (lambda m: m.update(tree={"children": 3}), "not a list"),
    )
    for harm, message in faults:
        meta = json.loads(json.dumps(good))
        harm(meta)
        path.write_text(json.dumps(meta))
        refused(path, message)


@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_damage_is_refused_or_harmless(
    tmp_path: Path, name: str, harm: list[tuple[float, int]]
) -> None:
    data = bytearray(FILES[name])
    for place, value in harm:
        data[int(place * len(data))] = value
    (tmp_path / name).write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)
        try:
            scene = read_scene(tmp_path / name).gaussians
        except SceneError as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(scene.means).all()
            assert len(scene) <= 300
