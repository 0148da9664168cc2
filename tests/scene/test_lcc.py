"""LCC scenes come out as they went in, turned from z up to the axes of a PLY."""

from __future__ import annotations

import json
import math
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.scene.errors import SceneError
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.scene import Scene
from exgs.scene.transform import transformed
from tests.scene.format_files import random_scene

# From x right, y front, z up to x right, y down, z front.
TO_RDF = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
SCALES = (1e-4, 3.0)
HARMONICS = (-1.0, 1.0)


def quat_word(quat: np.ndarray) -> int:
    xyzw = [float(v) for v in (quat[1], quat[2], quat[3], quat[0])]
    largest = max(range(4), key=lambda i: abs(xyzw[i]))
    sign = 1 if xyzw[largest] > 0 else -1
    word = largest << 30
    for place, i in enumerate(i for i in range(4) if i != largest):
        word |= round((sign * xyzw[i] / math.sqrt(2) + 0.5) * 1023) << 10 * place
    return word


def rows(scene: Gaussians) -> bytes:
    data = b""
    for i in range(len(scene)):
        rgb = [round(min(1, max(0, 0.5 + SH_C0 * float(v))) * 255) for v in scene.sh0[i]]
        alpha = round(float(scene.opacities[i]) * 255)
        low, high = SCALES
        scales = [round((float(v) - low) / (high - low) * 65535) for v in scene.scales[i]]
        data += struct.pack("<3f4B3H", *scene.means[i], *rgb, alpha, *scales)
        data += struct.pack("<I", quat_word(scene.quats[i])) + bytes(6)
    return data


def harmonics(scene: Gaussians) -> bytes:
    data = b""
    for i in range(len(scene)):
        for coefficients in scene.shN[i]:
            low, high = HARMONICS
            r, g, b = ((float(v) - low) / (high - low) for v in coefficients)
            data += struct.pack(
                "<I", round(r * 2047) | round(g * 1023) << 11 | round(b * 2047) << 21
            )
        data += bytes(4)
    return data


def write_lcc(
    folder: Path, units: list[list[Gaussians]], environment: Gaussians | None = None
) -> Path:
    """Units of levels; the levels lie level by level in data.bin, as any order is allowed."""
    folder.mkdir()
    with_sh = units[0][0].shN.shape[1] == 15
    levels = len(units[0])
    data, sh, places = b"", b"", {}
    for level in range(levels):
        for number, unit in enumerate(units):
            places[number, level] = (len(unit[level]), len(data), 32 * len(unit[level]))
            data += rows(unit[level])
            sh += harmonics(unit[level])
    index = b""
    for number in range(len(units)):
        index += struct.pack("<HH", number, 0)
        index += b"".join(struct.pack("<IQI", *places[number, level]) for level in range(levels))
    (folder / "Index.bin").write_bytes(index)
    (folder / "data.bin").write_bytes(data)
    if with_sh:
        (folder / "shcoef.bin").write_bytes(sh)
    if environment is not None:
        shs = harmonics(environment)
        packed = rows(environment)
        (folder / "environment.bin").write_bytes(
            b"".join(
                packed[32 * i : 32 * i + 32] + (shs[64 * i : 64 * i + 64] if with_sh else b"")
                for i in range(len(environment))
            )
        )
    meta = {
        "version": "5.0",
        "totalLevel": levels,
        "fileType": "Quality" if with_sh else "Portable",
        "attributes": [
            {"name": name, "min": [low] * 3, "max": [high] * 3}
            for name, (low, high) in (("scale", SCALES), ("shcoef", HARMONICS))
        ],
    }
    (folder / "meta.lcc").write_text(json.dumps(meta))
    return folder / "meta.lcc"


def expected(scene: Gaussians) -> Gaussians:
    return transformed(Scene(scene), rotation=TO_RDF).gaussians


def assert_close(got: Gaussians, wanted: Gaussians) -> None:
    assert len(got) == len(wanted)
    assert np.abs(got.means - wanted.means).max() < 1e-5
    assert np.abs(np.abs(np.einsum("ni,ni->n", got.quats, wanted.quats)) - 1).max() < 1e-5
    assert np.abs(got.scales - wanted.scales).max() < 3e-5
    assert np.abs(got.opacities - wanted.opacities).max() < 0.002
    assert np.abs(got.sh0 - wanted.sh0).max() < 0.007
    assert got.shN.shape == wanted.shN.shape
    if got.shN.size:
        assert np.abs(got.shN - wanted.shN).max() < 0.01


def parts(degree: int) -> list[list[Gaussians]]:
    units = [
        [random_scene(seed, n, degree) for seed, n in unit]
        for unit in (
            ((0, 20), (1, 5)),
            ((2, 0), (3, 2)),
            ((4, 31), (5, 7)),
        )
    ]
    return [[replace(s, scales=np.minimum(s.scales, 2.9)) for s in unit] for unit in units]


@pytest.mark.parametrize("degree", [0, 3])
def test_the_finest_level_of_all_units_is_read_and_turned(tmp_path: Path, degree: int) -> None:
    units = parts(degree)
    path = write_lcc(tmp_path / "lcc", units)
    wanted = expected(Gaussians.concatenate([unit[0] for unit in units]))
    assert_close(read_scene(path).gaussians, wanted)
    assert_close(read_scene(tmp_path / "lcc").gaussians, wanted)


@pytest.mark.parametrize("degree", [0, 3])
def test_the_environment_belongs_to_the_scene(tmp_path: Path, degree: int) -> None:
    units = parts(degree)
    sky = replace(random_scene(9, 11, degree), scales=np.full((11, 3), 2.0, np.float32))
    path = write_lcc(tmp_path / "lcc", units, sky)
    wanted = Gaussians.concatenate([*(unit[0] for unit in units), sky])
    assert_close(read_scene(path).gaussians, expected(wanted))


def test_a_frame_overrides_that_of_the_format(tmp_path: Path) -> None:
    units = parts(0)
    path = write_lcc(tmp_path / "lcc", units)
    wanted = Gaussians.concatenate([unit[0] for unit in units])
    assert_close(read_scene(path, frame="RDF").gaussians, wanted)


@pytest.mark.parametrize("name", ["Index.bin", "data.bin", "shcoef.bin"])
def test_a_missing_or_short_file_is_named(tmp_path: Path, name: str) -> None:
    path = write_lcc(tmp_path / "lcc", parts(3))
    file = tmp_path / "lcc" / name
    file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2 + 1])
    with pytest.raises(SceneError, match=rf"(?i){name}.*short"):
        read_scene(path)
    file.unlink()
    with pytest.raises(SceneError, match=rf"(?i){name}.*not beside it"):
        read_scene(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"totalLevel": 1}', '{"totalLevel": 1e9, "attributes": []}']
)
def test_what_is_no_lcc_is_refused(tmp_path: Path, text: str) -> None:
    path = write_lcc(tmp_path / "lcc", parts(0))
    path.write_text(text)
    with pytest.raises(SceneError, match=r"meta\.lcc"):
        read_scene(path)


def test_a_damaged_index_does_not_allocate(tmp_path: Path) -> None:
    path = write_lcc(tmp_path / "lcc", parts(0))
    index = tmp_path / "lcc" / "Index.bin"
    for place, value in ((4, struct.pack("<I", 2**32 - 1)), (8, struct.pack("<Q", 2**64 - 1))):
        data = bytearray(index.read_bytes())
        data[place : place + len(value)] = value
        copy = shutil.copytree(tmp_path / "lcc", tmp_path / f"copy{place}")
        (copy / "Index.bin").write_bytes(data)
        with pytest.raises(SceneError, match=r"lcc|data\.bin"):
            read_scene(copy / path.name)
