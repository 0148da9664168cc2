"""Frames and payloads, read as sections 4 and 7.1 to 7.5 of spec/format.md say: slow and plain.

A part of the second decoder, reference_decoder.py, with the fault that its parts raise.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

import numpy as np
import zstandard

HUGE = 2.0**99


class Fault(Exception):
    """A file to refuse; `kind` is the class of section 10."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(f"{kind}: {problem}")
        self.kind = kind


def need(condition: bool, problem: str, kind: str = "damaged") -> None:
    if not condition:
        raise Fault(kind, problem)


@dataclass
class Splat:
    """One Gaussian."""

    mean: list[float]
    quat: list[float]
    scale: list[float]
    opacity: float
    sh: list[list[float]]  # [coefficient][channel]
    is_proxy: bool


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def unpack(packed: bytes, raw: int, expected_hash: bytes) -> bytes:
    """Section 4."""
    need(digest(packed) == expected_hash, "hash")
    try:
        frame = zstandard.get_frame_parameters(packed)
        need(frame.dict_id == 0, "dictionary")
        need(frame.content_size == raw, "content size")
        need(frame.window_size <= max(raw, 1 << 23), "window", "limit")
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        data = decompressor.decompress(packed)
        need(decompressor.eof and not decompressor.unused_data, "behind the frame")
    except zstandard.ZstdError as error:
        raise Fault("damaged", str(error)) from error
    need(len(data) == raw, "length")
    return data


def f32(value: float) -> float:
    return float(np.float32(value))


def clamp(value: float, limit: float = HUGE) -> float:
    return min(max(value, -limit), limit)


def columns(payload: bytes, start: int, widths: bytes, count: int) -> list[list[int]]:
    """Section 7.1."""
    need(all(width <= 8 for width in widths), "planes")
    need(len(payload) == start + sum(widths) * count, "length of the columns")
    result = []
    for width in widths:
        planes = [payload[start + p * count : start + (p + 1) * count] for p in range(width)]
        start += width * count
        result.append([sum(planes[p][i] << 8 * p for p in range(width)) for i in range(count)])
    return result


def geometry(
    payload: bytes, count: int, children: int, size: int, *, is_proxy: bool
) -> list[list[Splat]]:
    """Section 7.2: the Gaussians of each child of the cell; `size`: D of the scene."""
    (widths, reserved, *origin, position_step, scale_origin, scale_step) = struct.unpack(
        "<11sB3f3f", payload[:36]
    )
    rotation_bits, opacity_bits, components, also_reserved, luma_step, chroma_step = struct.unpack(
        "<BBBBff", payload[36:48]
    )
    need(reserved == 0 and also_reserved == 0, "reserved", "unsupported")
    need(all(abs(v) <= HUGE for v in (*origin, scale_origin)), "origin")
    steps = position_step, scale_step, luma_step, chroma_step
    need(all(0 < step <= HUGE for step in steps), "steps")
    need(2 <= rotation_bits <= 16 and 1 <= opacity_bits <= 16, "bits")
    child_counts = struct.unpack(f"<{children}I", payload[48 : 48 + 4 * children])
    need(sum(child_counts) == count, "child counts")
    need(components <= (size if is_proxy and size > 3 else 0), "SH of proxies")
    start = 48 + 4 * children
    need(all(width <= 8 for width in widths), "planes")
    end = start + sum(widths) * count if components else len(payload)
    delta, long_, drop, short, *turns, opacity, luma, red_blue, green = columns(
        payload[:end], start, widths, count
    )
    half = (1 << (rotation_bits - 1)) - 1
    groups = []
    i = 0
    for in_child in child_counts:
        group = []
        code = 0
        for _ in range(in_child):
            code = (code + delta[i]) % (1 << 63)
            grid = [sum((code >> 3 * b + axis & 1) << b for b in range(21)) for axis in range(3)]
            a = long_[i]
            sizes = [a, a - drop[i], a - drop[i] - short[i]]
            y = signed(luma[i]) * luma_step
            r_b = signed(red_blue[i]) * chroma_step
            g = signed(green[i]) * chroma_step
            grey = y - g / 3
            color = [grey + r_b / 2, y + 2 * g / 3, grey - r_b / 2]
            group.append(
                Splat(
                    [f32(clamp(x * position_step + o)) for x, o in zip(grid, origin, strict=True)],
                    completed([signed(turn[i]) / (half * math.sqrt(2)) for turn in turns]),
                    [f32(math.exp(clamp(s * scale_step + scale_origin, 30))) for s in sizes],
                    f32(min(opacity[i] / ((1 << opacity_bits) - 1), 1)),
                    [[f32(clamp(channel)) for channel in color]],
                    is_proxy,
                )
            )
            i += 1
        groups.append(group)
    if components:
        rows_end = end + 2 * components * size
        rows = f16_rows(payload[end:rows_end], components, size)
        apply_sh(payload[rows_end:], [rows], size, [splat for group in groups for splat in group])
    return groups


def f16_rows(data: bytes, count: int, size: int) -> list[list[float]]:
    need(len(data) == 2 * count * size, "basis")
    values = struct.unpack(f"<{count * size}e", data)
    need(all(map(math.isfinite, values)), "basis")
    return [list(values[r * size : (r + 1) * size]) for r in range(count)]


def apply_fine(payload: bytes, leaves: list[Splat]) -> None:
    """Section 7.3."""
    widths, reserved, *steps = struct.unpack("<10sH4f", payload[:28])
    need(reserved == 0, "reserved", "unsupported")
    need(all(0 < step <= HUGE for step in steps), "steps")
    mean_step, scale_step, turn_step, opacity_step = steps
    values = columns(payload, 28, widths, len(leaves))
    for i, leaf in enumerate(leaves):
        q = [signed(column[i]) for column in values]
        leaf.mean = [f32(clamp(leaf.mean[k] + q[k] * mean_step)) for k in range(3)]
        logs = [math.log(leaf.scale[k]) + q[3 + k] * scale_step for k in range(3)]
        leaf.scale = [f32(math.exp(clamp(log, 30))) for log in logs]
        turns = [clamp(q[6 + k] * turn_step, 2) for k in range(3)]
        leaf.quat = completed([leaf.quat[1 + k] + turns[k] for k in range(3)])
        leaf.opacity = f32(min(max(leaf.opacity + q[9] * opacity_step, 0), 1))


def basis_rows(payload: bytes, expected_size: int) -> list[list[list[float]]]:
    """Section 7.4: the rows of each basis."""
    components, size, bases = struct.unpack("<HHH", payload[:6])
    need(size == expected_size and components <= size, "basis")
    need(1 <= bases <= 64, "bases")
    rows = f16_rows(payload[6:], bases * components, size)
    return [rows[b * components : (b + 1) * components] for b in range(bases)]


def apply_sh(
    payload: bytes, bases: list[list[list[float]]], size: int, leaves: list[Splat]
) -> None:
    """Section 7.5."""
    count = len(leaves)
    need(len(payload) >= 8, "head")
    components, value_width, number, step = struct.unpack("<HBBf", payload[:8])
    need(number < len(bases), "number of the basis")
    basis = bases[number]
    need(components <= len(basis), "components")
    need(0 < step <= HUGE, "step")
    need(len(payload) >= 8 + components, "head")
    need(value_width <= 8, "value width")
    widths = payload[8 : 8 + components]
    sparse = [j for j, width in enumerate(widths) if width == 128]
    dense = bytes(width for width in widths if width != 128)
    flag_planes = (len(sparse) + 7) // 8
    need(all(width <= 8 for width in dense), "planes")
    flags_at = 8 + components + sum(dense) * count
    values_at = flags_at + flag_planes * count
    need(values_at <= len(payload), "flags")
    own = iter(columns(payload[:flags_at], 8 + components, dense, count))
    integers = [[0] * count if width == 128 else next(own) for width in widths]
    holds = [
        (i, j)
        for j in range(8 * flag_planes)
        for i in range(count)
        if payload[flags_at + j // 8 * count + i] >> (7 - j % 8) & 1
    ]
    need(all(j < len(sparse) for _, j in holds), "flags of no column")
    (values,) = columns(payload, values_at, bytes([value_width]), len(holds))
    for (i, j), value in zip(holds, values, strict=True):
        integers[sparse[j]][i] = (value + 1) % (1 << 64)
    for i, leaf in enumerate(leaves):
        values = [clamp(signed(column[i]) * step) for column in integers]
        vector = [
            clamp(sum(v * row[e] for v, row in zip(values, basis, strict=False)))
            for e in range(size)
        ]
        leaf.sh += [[0.0, 0.0, 0.0] for _ in range(size // 3 - len(leaf.sh))]
        for e, value in enumerate(vector):
            leaf.sh[e // 3][e % 3] += value


def signed(value: int) -> int:
    return value // 2 if value % 2 == 0 else -(value + 1) // 2


def completed(v: list[float]) -> list[float]:
    n = sum(x * x for x in v)
    if n <= 1:
        return [f32(math.sqrt(1 - n)), *(f32(x) for x in v)]
    return [0.0, *(f32(x / math.sqrt(n)) for x in v)]
