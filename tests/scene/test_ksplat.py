"""KSPLAT files of every level come out as they went in, to the precision of the level."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.scene.errors import SceneError
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import SH_C0, Gaussians
from tests.scene.format_files import random_scene

BLOCK = 5.0
SH_FIELDS = (0, 9, 24, 45)


def section(scene: Gaussians, level: int, bucket_rows: int = 8) -> tuple[bytes, bytes]:
    """The header of a section and its data, a Gaussian after the other; buckets by x."""
    n = len(scene)
    order = np.argsort(np.floor(scene.means[:, 0] / BLOCK), kind="stable")
    buckets: list[list[int]] = []
    for cell in np.unique(np.floor(scene.means[:, 0] / BLOCK)):
        members = [i for i in order if np.floor(scene.means[i, 0] / BLOCK) == cell]
        buckets += [members[k : k + bucket_rows] for k in range(0, len(members), bucket_rows)]
    buckets.sort(key=lambda rows: len(rows) < bucket_rows)
    full = sum(len(rows) == bucket_rows for rows in buckets)
    sizes = b"".join(struct.pack("<I", len(rows)) for rows in buckets[full:])
    middles = [scene.means[rows].mean(0) for rows in buckets]
    data = bytearray(sizes + b"".join(struct.pack("<3f", *middle) for middle in middles))
    block_size = 2 * float(
        max(np.abs(scene.means[r] - m).max() for r, m in zip(buckets, middles, strict=True))
    )
    for rows, middle in zip(buckets, middles, strict=True):
        for i in rows:
            data += row(scene, i, level, middle, block_size)
    header = struct.pack(
        "<IIIIfHxxIIIIH",
        *(n, n, bucket_rows, len(buckets), block_size, 12, 32767, 0),
        *(full, len(buckets) - full, scene.sh_degree),
    )
    return header + bytes(1024 - len(header)), bytes(data)


def row(scene: Gaussians, i: int, level: int, middle: Any, block_size: float) -> bytes:
    if level == 0:
        data = struct.pack("<3f", *scene.means[i])
    else:
        steps = np.rint((scene.means[i] - middle) / (block_size / 2) * 32767) + 32767
        data = struct.pack("<3H", *(int(v) for v in steps))
    kind = "f" if level == 0 else "e"
    data += struct.pack(f"<3{kind}4{kind}", *scene.scales[i], *scene.quats[i])
    rgb = np.clip(np.rint((0.5 + SH_C0 * scene.sh0[i]) * 255), 0, 255)
    data += bytes([*(int(v) for v in rgb), round(float(scene.opacities[i]) * 255)])
    for first, last in ((0, 3), (3, 8), (8, 15)):
        for channel in range(3):
            for k in range(first, min(last, scene.shN.shape[1])):
                value = float(scene.shN[i, k, channel])
                if level == 2:
                    data += bytes([round((value + 1.5) / 3 * 255)])
                else:
                    data += struct.pack(f"<{kind}", value)
    return data


def ksplat(scenes: list[Gaussians], level: int) -> bytes:
    count = sum(map(len, scenes))
    head = struct.pack("<BBxxIIIIH", 0, 1, len(scenes), len(scenes), count, count, level)
    head += bytes(36 - len(head)) + struct.pack("<ff", -1.5, 1.5)
    sections = [section(scene, level) for scene in scenes]
    return (
        head
        + bytes(4096 - len(head))
        + b"".join(header for header, _ in sections)
        + b"".join(data for _, data in sections)
    )


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_level_is_read(tmp_path: Path, level: int, degree: int) -> None:
    scenes = [random_scene(0, 50, degree), random_scene(1, 30, 0)]
    (tmp_path / "a.ksplat").write_bytes(ksplat(scenes, level))
    got = read_scene(tmp_path / "a.ksplat").gaussians
    wanted = Gaussians.concatenate(scenes)
    order, other = (np.argsort(s.means[:, 2], kind="stable") for s in (got, wanted))
    got, wanted = got.select(order), wanted.select(other)
    assert got.sh_degree == degree
    assert np.abs(got.means - wanted.means).max() < (1e-6 if level == 0 else 5e-4)
    assert np.abs(np.log(got.scales / wanted.scales)).max() < (1e-6 if level == 0 else 5e-3)
    assert np.abs(got.quats - wanted.quats).max() < (1e-6 if level == 0 else 1e-3)
    assert np.abs(got.opacities - wanted.opacities).max() < 0.002
    assert np.abs(got.sh0 - wanted.sh0).max() < 0.008
    limit = (1e-6, 1e-3, 0.006)[level]
    assert np.abs(got.shN - wanted.shN).max(initial=0) < limit


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"\1", "version 1.1"),
        (20, b"\3", "level 3"),
        (12, b"\xff\xff\xff\x7f", "can't hold"),
        (4, b"\xff\xff\xff\x7f", "ends before"),
        (4096, b"\xff\xff\0\0", "makes no sense"),
        (4096 + 8, b"\xff\xff\xff\x7f", "buckets of a section"),
        (4096 + 40, b"\7", "makes no sense"),
    ],
)
def test_senseless_headers_are_refused(tmp_path: Path, at: int, value: bytes, message: str) -> None:
    data = bytearray(ksplat([random_scene(0, 50, 1)], 1))
    data[at : at + len(value)] = value
    (tmp_path / "a.ksplat").write_bytes(data)
    with pytest.raises(SceneError, match=message) as caught:
        read_scene(tmp_path / "a.ksplat")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.5, 0.8, 0.999])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    data = ksplat([random_scene(0, 50, 1)], 1)
    (tmp_path / "a.ksplat").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SceneError, match=r"a\.ksplat"):
        read_scene(tmp_path / "a.ksplat")
