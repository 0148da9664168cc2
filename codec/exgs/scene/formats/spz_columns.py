"""Converts between the columns of an .spz file and values; spz.py packs the columns.

Values have the axes of the file; spz.py converts the axes.
Quantization: https://github.com/nianticlabs/spz, load-spz.cc.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.repair import SH_CUT, SH_KEPT, repaired
from exgs.scene.rotations import join_smallest_three, split_smallest_three

COLUMNS = ("positions", "alphas", "colors", "scales", "rotations", "sh")  # in file order

_COLOR_SCALE = 0.15  # share of a byte's range per unit of sh0; leaves room outside [0, 1]
_SCALE_STEPS = 16  # steps of a byte per unit of log scale
_MIN_LOG_SCALE = -10.0
_POSITION_BITS = 24
_USUAL_BITS = 12  # fractional bits of the 24 of a position
_MAX_FRACTIONAL_BITS = 20
_STEP_BITS = 13
_ROTATION_STEPS = (1 << 9) - 1  # for a component's magnitude, up to sqrt(1/2)
_SH1_STEP = 1 << 3  # of a byte: 5 bits remain
_SH_REST_STEP = 1 << 4

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Layout:
    """The facts about the columns in the header."""

    version: int
    count: int
    sh_degree: int  # 0 to 4
    fractional_bits: int  # of a position


def column_bytes(column: str, layout: Layout) -> int:
    """The size of a column."""
    first_version, old_version = layout.version == 1, layout.version < 3
    widths = {
        "positions": 6 if first_version else 9,
        "alphas": 1,
        "colors": 3,
        "scales": 3,
        "rotations": 3 if old_version else 4,
        "sh": 3 * ((layout.sh_degree + 1) ** 2 - 1),
    }
    return widths[column] * layout.count


def fractional_bits(means: FloatArray, name: str) -> int:
    """The number of fractional bits of a position, of 24: usually 12.

    More if the largest coordinate would have fewer than 2^13 steps, fewer if it needs the bits.
    Raises SceneError if even 0 fractional bits are not enough.
    """
    largest = float(np.abs(means).max(initial=0))
    wanted = _STEP_BITS - math.floor(math.log2(max(largest, 2**-_MAX_FRACTIONAL_BITS)))
    for bits in range(min(max(wanted, _USUAL_BITS), _MAX_FRACTIONAL_BITS), -1, -1):
        if np.rint(largest * (1 << bits)) < 1 << (_POSITION_BITS - 1):
            return bits
    raise SceneError(f"{name}: a position of {largest:.0f} is too large for .spz; write a .ply")


def unpack_columns(columns: Sequence[bytes], layout: Layout, name: str) -> Gaussians:
    """Decode columns with the sizes of `column_bytes`, in the axes of the file."""
    n = layout.count
    positions, alphas, colors, scales, rotations, sh = (
        np.frombuffer(column, np.uint8).reshape(n, -1) if n else np.zeros((0, 0), np.uint8)
        for column in columns
    )
    if n == 0:
        return Gaussians.empty(min(layout.sh_degree, 3))
    if layout.sh_degree > 3:
        warnings.warn(f"{name}: {SH_CUT}", SceneWarning, stacklevel=3)
    kept = min((layout.sh_degree + 1) ** 2 - 1, SH_KEPT)
    shN = (sh.reshape(n, -1, 3)[:, :kept].astype(np.float32) - 128) / 128
    return repaired(
        name,
        means=_unpack_positions(positions, layout),
        quats=_unpack_rotations(rotations, layout),
        scales=np.exp(scales.astype(np.float32) / _SCALE_STEPS + np.float32(_MIN_LOG_SCALE)),
        opacities=alphas[:, 0].astype(np.float32) / 255,
        sh0=(colors.astype(np.float32) / 255 - np.float32(0.5)) / np.float32(_COLOR_SCALE),
        shN=shN,
    )


def pack_columns(gaussians: Gaussians, layout: Layout) -> list[bytes]:
    """Encode the columns of a version 3 file, in file order."""
    k = gaussians.shN.shape[1]
    log_scales = np.log(gaussians.scales.astype(np.float64))
    highest = _MIN_LOG_SCALE + 255.5 / _SCALE_STEPS
    beyond = int(np.count_nonzero((log_scales > highest).any(axis=1)))
    if beyond:
        warnings.warn(
            f"{beyond} Gaussians are wider than SPZ can say and are cut to"
            f" {math.exp(highest):.0f} units",
            SceneWarning,
            stacklevel=3,
        )
    steps = np.where(np.arange(k) < 3, _SH1_STEP, _SH_REST_STEP)[:, None]
    sh = np.rint(gaussians.shN * 128) + 128
    columns = (
        _pack_positions(gaussians.means, layout.fractional_bits),
        _to_bytes(gaussians.opacities * 255),
        _to_bytes(gaussians.sh0 * (_COLOR_SCALE * 255) + 127.5),
        _to_bytes((log_scales - _MIN_LOG_SCALE) * _SCALE_STEPS),
        _pack_rotations(gaussians.quats),
        _to_bytes((sh + steps // 2) // steps * steps),
    )
    return [column.tobytes() for column in columns]


def _to_bytes(values: npt.NDArray[np.floating]) -> Bytes:
    clipped: Bytes = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return clipped


def _unpack_positions(positions: Bytes, layout: Layout) -> FloatArray:
    if layout.version == 1:
        return np.ascontiguousarray(positions).view("<f2").astype(np.float32)
    words = np.zeros((*positions.shape[:1], 3, 4), np.uint8)
    words[:, :, 1:] = positions.reshape(-1, 3, 3)  # upper bytes: a shift extends the sign
    fixed = words.view("<i4")[:, :, 0] >> 8
    return (fixed / float(1 << layout.fractional_bits)).astype(np.float32)


def _pack_positions(means: FloatArray, bits: int) -> Bytes:
    fixed = np.rint(means.astype(np.float64) * (1 << bits)).astype("<i4")
    words: Bytes = fixed[:, :, None].view(np.uint8)
    return words[:, :, :3]


def _unpack_rotations(rotations: Bytes, layout: Layout) -> FloatArray:
    """Quaternions wxyz."""
    if layout.version < 3:
        xyz = rotations.astype(np.float32) / np.float32(127.5) - 1
        xyzw = join_smallest_three(xyz, np.full(len(xyz), 3))
    else:
        words = np.ascontiguousarray(rotations).view("<u4")[:, 0]
        fields = np.stack([words >> 20, words >> 10, words], axis=1)
        magnitudes = (fields & _ROTATION_STEPS) / (_ROTATION_STEPS * np.sqrt(2))
        smallest = np.where(fields & (_ROTATION_STEPS + 1), -magnitudes, magnitudes)
        xyzw = join_smallest_three(smallest.astype(np.float32), (words >> 30).astype(np.intp))
    return np.roll(xyzw, 1, axis=1)


def _pack_rotations(quats: FloatArray) -> Bytes:
    xyzw = np.roll(quats, -1, axis=1)
    smallest, largest = split_smallest_three(xyzw)
    magnitudes = np.rint(np.abs(smallest) * (_ROTATION_STEPS * np.sqrt(2))).astype(np.uint32)
    fields = np.minimum(magnitudes, _ROTATION_STEPS)
    fields |= np.where(np.signbit(smallest), np.uint32(_ROTATION_STEPS + 1), np.uint32(0))
    words = largest.astype(np.uint32) << 30
    words |= fields[:, 0] << 20 | fields[:, 1] << 10 | fields[:, 2]
    return words.astype("<u4")[:, None].view(np.uint8)
