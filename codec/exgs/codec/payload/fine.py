"""FINE payloads: a finer second quantization of the geometry of a cell's leaves.

They hold corrections to the decoded LEAF payload: means, log scales, rotations and opacities, each
with its own quantization step. SH payloads refine colours, including degree 0.
"""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from exgs.codec.constants import FINE_COLUMNS, SCALE_LOG_MAX, SCALE_LOG_MIN
from exgs.codec.errors import DamagedError, UnsupportedError
from exgs.codec.payload.columns import PlaneReader, column_width, planes_of, unzigzag, zigzag
from exgs.codec.payload.geometry import (
    GeometrySteps,
    canonical_axes,
    check_steps,
    clipped,
    complete_quats,
)
from exgs.codec.payload.scale_levels import size_corrections
from exgs.scene.gaussians import Gaussians

_HEAD = struct.Struct(f"<{FINE_COLUMNS}BH4f")
_MAX_LEVEL = 2.0**53  # largest correction in steps; float64 is exact up to here


def pack_fine(target: Gaussians, coarse: Gaussians, steps: GeometrySteps) -> list[bytes]:
    """Encode the corrections from `coarse` [N], decoded from a LEAF payload, to `target` [N]."""
    scales, quats = canonical_axes(target.scales, target.quats)
    logs = np.clip(np.log(scales.astype(np.float64)), SCALE_LOG_MIN, SCALE_LOG_MAX)
    lengths = np.array(
        [steps.position, steps.sizes.longest, steps.rotation, steps.opacity], np.float32
    ).astype(np.float64)
    position, size, rotation, opacity = lengths
    corrections = np.concatenate(
        [
            (target.means.astype(np.float64) - coarse.means) / position,
            size_corrections(
                logs, np.log(coarse.scales.astype(np.float64)), replace(steps.sizes, longest=size)
            ),
            (quats[:, 1:] - coarse.quats[:, 1:]).astype(np.float64) / rotation,
            (target.opacities.astype(np.float64) - coarse.opacities)[:, None] / opacity,
        ],
        axis=1,
    )
    levels = np.clip(np.rint(corrections), -_MAX_LEVEL, _MAX_LEVEL).astype(np.int64)
    columns = list(zigzag(levels).T)
    widths = [column_width(column) for column in columns]
    return [_HEAD.pack(*widths, 0, *lengths), *planes_of(columns, widths)]


def unpack_fine(payload: bytes, coarse: Gaussians, *, section: str) -> Gaussians:
    """Apply the corrections of a FINE payload to `coarse`.

    Raises DamagedError, UnsupportedError.
    """
    if len(payload) < _HEAD.size:
        raise DamagedError("the payload is shorter than its head", section=section)
    *widths, reserved, position, scale, rotation, opacity = _HEAD.unpack_from(payload)
    if reserved:
        raise UnsupportedError("reserved bytes are set; update exgs", section=section)
    check_steps((position, scale, rotation, opacity), section)
    reader = PlaneReader(payload, _HEAD.size, len(coarse), section)
    columns = [unzigzag(reader.column(width)).astype(np.float64) for width in widths]
    reader.finish()
    means = coarse.means + np.stack(columns[0:3], axis=1) * position
    logs = np.log(coarse.scales.astype(np.float64)) + np.stack(columns[3:6], axis=1) * scale
    vectors = coarse.quats[:, 1:] + np.clip(np.stack(columns[6:9], axis=1) * rotation, -2, 2)
    return replace(
        coarse,
        means=clipped(means),
        scales=np.exp(np.clip(logs, SCALE_LOG_MIN, SCALE_LOG_MAX)).astype(np.float32),
        quats=complete_quats(vectors),
        opacities=np.clip(coarse.opacities + columns[9] * opacity, 0, 1).astype(np.float32),
    )
