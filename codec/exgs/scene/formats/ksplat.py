""".ksplat files (mkkellogg, GaussianSplats3D): sections of rows, positions in 16 bits by buckets.

Level 0 stores floats, level 1 halves, level 2 halves and SH in 8 bits. Colours and opacity have 8
bits. SH are ordered by degree, then by channel.
Format: https://github.com/mkkellogg/GaussianSplats3D, SplatBuffer.js.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.repair import check_count, repaired
from exgs.scene.scene import Scene
from exgs.scene.transform import rebased

_HEADER_BYTES = 4096
_SECTION_BYTES = 1024
_HEADER = struct.Struct("<BBxxIIIIH")  # version, sections (most, used), splats (most, used), level
_SH_RANGE = struct.Struct("<ff")
_SH_RANGE_AT = 36
_SH_DEFAULT = 1.5
_SECTION = struct.Struct("<IIIIfHxxIIIIH")
_SH_FIELDS = (0, 9, 24, 45)  # values per Gaussian, by degree
_BANDS = (3, 5, 7)
_BUCKET_STEPS = 32767  # default for sections that do not state it

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Level:
    """The data types of a compression level."""

    position: str
    value: str  # scales and rotations
    sh: str


_LEVELS = (_Level("<f4", "<f4", "<f4"), _Level("<u2", "<f2", "<f2"), _Level("<u2", "<f2", "u1"))


@dataclass(frozen=True, slots=True)
class _Section:
    """The header of a section."""

    count: int
    most: int  # capacity in rows
    bucket_rows: int
    buckets: int
    block_size: float  # side of a bucket, world units
    bucket_bytes: int
    steps: int  # steps from the centre of a bucket to its side
    full_buckets: int
    partial_buckets: int
    sh_degree: int


def read_ksplat(path: str | os.PathLike[str]) -> Scene:
    """Read a .ksplat of version 0.1 or later, with the axes of the PLY it was made from.

    Raises SceneError if the file is invalid or shorter than its headers state; OSError.
    """
    name, data = str(path), Path(path).read_bytes()
    if len(data) < _HEADER_BYTES:
        raise SceneError(f"{name}: {len(data)} bytes, a .ksplat has {_HEADER_BYTES} or more")
    major, minor, sections, _, most, count, level = _HEADER.unpack_from(data)
    if (major, minor) < (0, 1) or major > 0 or level >= len(_LEVELS):
        raise SceneError(
            f"{name}: .ksplat of version {major}.{minor} at compression level {level}; exgs reads"
            " version 0.1 on, levels 0 to 2"
        )
    check_count(name, max(count, most), len(data))
    at = _HEADER_BYTES + sections * _SECTION_BYTES
    if at > len(data):
        raise _cut_short(name)
    low, high = _SH_RANGE.unpack_from(data, _SH_RANGE_AT)
    parts = []
    for number in range(sections):
        section = _read_section(data, _HEADER_BYTES + number * _SECTION_BYTES, name)
        part, at = _read_rows(
            data, at, section, _LEVELS[level], (low or -_SH_DEFAULT, high or _SH_DEFAULT), name
        )
        parts.append(part)
    gaussians = Gaussians.concatenate(parts) if parts else Gaussians.empty()
    return rebased(Scene(gaussians))


def _read_section(data: bytes, at: int, name: str) -> _Section:
    values = _SECTION.unpack_from(data, at)
    count, most, rows, buckets, size, bucket_bytes, steps, _, full, partial, degree = values
    if count > most or degree >= len(_SH_FIELDS) or not 0 <= size < 1e12:
        raise SceneError(f"{name}: a section's header makes no sense; the file is damaged")
    steps = steps or _BUCKET_STEPS
    return _Section(count, most, rows, buckets, size, bucket_bytes, steps, full, partial, degree)


def _read_rows(
    data: bytes,
    at: int,
    section: _Section,
    level: _Level,
    sh_range: tuple[float, float],
    name: str,
) -> tuple[Gaussians, int]:
    """The Gaussians of a section that starts at `at`, and the start of the next section."""
    fields = _SH_FIELDS[section.sh_degree]
    row = np.dtype(
        [
            ("mean", level.position, 3),
            ("scale", level.value, 3),
            ("quat", level.value, 4),
            ("rgba", "u1", 4),
            *([("sh", level.sh, fields)] if fields else []),
        ]
    )
    sizes_at = at
    buckets_at = sizes_at + 4 * section.partial_buckets
    rows_at = buckets_at + section.bucket_bytes * section.buckets
    end = rows_at + row.itemsize * section.most
    if rows_at + row.itemsize * section.count > len(data):
        raise _cut_short(name)
    rows = np.frombuffer(data, row, section.count, rows_at)
    means = rows["mean"].astype(np.float64)
    if level.position == "<u2":
        middles = _bucket_middles(data, sizes_at, buckets_at, section, name)
        means = middles + (means - section.steps) * (section.block_size / 2 / section.steps)
    colors = rows["rgba"].astype(np.float32) / 255
    with np.errstate(over="ignore"):
        gaussians = repaired(
            name,
            means=means,
            quats=rows["quat"].astype(np.float32),
            scales=rows["scale"].astype(np.float32),
            opacities=colors[:, 3],
            sh0=(colors[:, :3] - np.float32(0.5)) / np.float32(SH_C0),
            shN=_harmonics(rows["sh"] if fields else None, section, sh_range),
        )
    return gaussians, end


def _bucket_middles(
    data: bytes, sizes_at: int, buckets_at: int, section: _Section, name: str
) -> npt.NDArray[np.float64]:
    """The centre [N, 3] of the bucket of each row: first full buckets, then partial ones."""
    partial = np.frombuffer(data, "<u4", section.partial_buckets, sizes_at).astype(np.int64)
    rows = section.full_buckets * section.bucket_rows + int(partial.sum())
    if (
        section.bucket_bytes < 12
        or section.full_buckets + section.partial_buckets > section.buckets
        or rows != section.count
    ):
        raise SceneError(f"{name}: the buckets of a section don't hold its rows; file damaged")
    table = np.frombuffer(
        data, np.uint8, section.bucket_bytes * section.buckets, buckets_at
    ).reshape(section.buckets, section.bucket_bytes)
    middles = np.ascontiguousarray(table[:, :12]).view("<f4").astype(np.float64)
    sizes = np.concatenate([np.full(section.full_buckets, section.bucket_rows), partial])
    return np.repeat(middles[: len(sizes)], sizes, axis=0)[: section.count]


def _harmonics(
    stored: npt.NDArray[np.generic] | None, section: _Section, sh_range: tuple[float, float]
) -> FloatArray:
    if stored is None:
        return np.zeros((section.count, 0, 3), np.float32)
    values: FloatArray = stored.astype(np.float32)
    if stored.dtype == np.uint8:
        low, high = sh_range
        values = (low + values / 255 * (high - low)).astype(np.float32)
    bands, at = [], 0
    for width in _BANDS[: section.sh_degree]:
        band = values[:, at : at + 3 * width].reshape(len(values), 3, width)
        bands.append(band.transpose(0, 2, 1))
        at += 3 * width
    return np.concatenate(bands, axis=1)


def _cut_short(name: str) -> SceneError:
    return SceneError(
        f"{name}: the file ends before its last row; it was cut short or is damaged: fetch it again"
    )
