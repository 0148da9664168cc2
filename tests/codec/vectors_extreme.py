"""Sound files whose numbers are as large as they may be, so that each clamp of section 7 shows."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from exgs.codec.constants import MAX_MAGNITUDE, ChunkKind
from tests.codec.forge import Parts, Row, chunk, layers
from tests.codec.forged_files import random_file, small_file

LEAF, PROXY, SH, BASIS, FINE = (int(kind) for kind in list(ChunkKind)[:5])

_MOST = (1 << 64) - 1
_HALF = 1 << 63


def extremes() -> Parts:
    """One cell whose leaves reach every limit, with proxies and SH, and two cells above it."""
    codes = [
        morton(0x1FFFFF, 0, 0),
        morton(0, 0x1FFFFF, 1),
        morton(1, 0x155555, 0x1AAAAA),
        morton(0x0F0F0F, 0x123456, 0x1FEDCB),
    ]
    # Each delta leads to the next code, some of them round 2^63 or by a bit that is cut off.
    first, second, third, last = codes
    deltas = [first, (second - first) % _HALF, (third - second) % _HALF + _HALF]
    deltas.append((last - third) % (1 << 64))
    leaf = geometry_payload(
        [4, 0],
        [
            deltas,
            [0, 40, 1 << 50, _MOST],  # size_long
            [0, 90, 1 << 20, 0],  # size_drop: b and c fall below 0
            [30, 0, 1 << 52, _MOST],
            zigzag([90, -127, 1, 0]),  # turns: the first two are longer than a unit
            zigzag([-90, 127, 0, 0]),
            zigzag([90, 127, -1, 0]),
            [0, 255, 256, _MOST],  # opacity
            zigzag([3, -3, _HALF - 1, -_HALF]),  # luma
            zigzag([0, 5, -_HALF, 7]),  # red_blue
            zigzag([1, -1, 2, _HALF - 1]),  # green
        ],
        rotation_bits=8,
        opacity_bits=8,
        scale_step=0.5,
        color_step=2.0**40,
    )
    proxy = geometry_payload(
        [1, 1],
        [[7, _MOST], *[[1, 2]] * 6, [256, _MOST], *[[1, 2]] * 3],
        position_step=2.0**90,
    )
    basis = struct.pack("<HHH", 2, 12, 1) + np.full(24, 65504.0, "<f2").tobytes()
    # One dense column, one sparse one: its last entry is 2^64 - 1, which stands for 0.
    dense = planes(zigzag([1, -1, _HALF - 1, -_HALF]), 8)
    flags = bytes([0x80, 0, 0x80, 0x80])
    sparse = planes([0, 5, _MOST], 8)
    sh = struct.pack("<HBBf", 2, 8, 0, 2.0**30) + bytes([8, 128]) + dense + flags + sparse
    half_turn = zigzag([1 << 40, -(1 << 40), 3, 0])
    fine = struct.pack("<10BH4f", *[8] * 10, 0, 2.0**60, 0.25, 0.125, 0.5) + b"".join(
        planes(column, 8)
        for column in (
            zigzag([1, -1, _HALF - 1, -_HALF]),
            zigzag([0, 0, -_HALF, 1]),
            zigzag([2, 0, 0, 0]),
            *[zigzag([1, -1, 1000, -1000])] * 3,
            half_turn,
            zigzag([2, -2, 0, 1]),
            zigzag([0, 0, -1, 1]),
            zigzag([1, -1, 100, -100]),
        )
    )
    above = [
        random_file(
            counts=(3,), proxies=(0,), levels=(0,), amplification=(1.0,), fine=False, seed=seed
        )
        for seed in (3, 4)
    ]
    rows = [
        chunk(PROXY, 0, 0, 2, proxy),
        chunk(LEAF, 0, 0, 4, leaf),
        chunk(BASIS, 0, 0, 0, basis),
        chunk(SH, 0, 0, 4, sh),
        chunk(FINE, 0, 0, 4, fine),
    ]
    for tile, other in enumerate(above):
        (own,) = [row for page in other.pages for row in page if row.kind == LEAF]
        rows.append(Row(LEAF, 1, tile, own.count, own.data, own.raw))
    box = (-MAX_MAGNITUDE, -1.0, -1.0), (MAX_MAGNITUDE,) * 3
    rows = [replace(row, box=box) for row in rows]
    root = {
        **small_file().root,
        "count": 10,
        "layers": layers([(0, 4, 2, 2.0**7), (1, 6, 0, 2.0**-7)]),
    }
    return Parts(root, [rows[:5], rows[5:]])


def geometry_payload(
    child_counts: Sequence[int],
    columns: Sequence[Sequence[int]],
    *,
    position_step: float = 2.0**-20,
    scale_step: float = 0.1,
    rotation_bits: int = 8,
    opacity_bits: int = 8,
    color_step: float = 0.1,
) -> bytes:
    """A LEAF or PROXY payload whose columns, all in 8 planes, hold these unsigned integers."""
    head = struct.pack(
        "<11BB3f3fBBHff",
        *[8] * 11,
        0,
        *(-1.0, 0.0, 0.5),
        position_step,
        -3.0,
        scale_step,
        rotation_bits,
        opacity_bits,
        0,
        color_step,
        color_step,
    )
    counts = struct.pack(f"<{len(child_counts)}I", *child_counts)
    return head + counts + b"".join(planes(column, 8) for column in columns)


def planes(values: Sequence[int], width: int) -> bytes:
    """One column."""
    return b"".join(bytes(value >> 8 * p & 255 for value in values) for p in range(width))


def zigzag(values: Sequence[int]) -> list[int]:
    """Signed integers as they are stored."""
    return [2 * value if value >= 0 else -2 * value - 1 for value in values]


def morton(x: int, y: int, z: int) -> int:
    """The code of a place in the grid."""
    return sum((v >> b & 1) << 3 * b + axis for axis, v in enumerate((x, y, z)) for b in range(21))
