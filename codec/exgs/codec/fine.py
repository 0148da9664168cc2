"""FINE payloads: more precision for the leaves of a cell that are already drawn.

Small corrections to what the LEAF chunk gave: means, log scales, rotations and opacities, each
with a step of its own. Colours are refined by SH payloads, which carry degree 0 too.
"""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from exgs.codec.columns import PlaneReader, column_width, split_planes, unzigzag, zigzag
from exgs.codec.constants import SCALE_LOG_MAX, SCALE_LOG_MIN
from exgs.codec.errors import DamagedError
from exgs.codec.geometry import GeometrySteps, canonical_axes, complete_quats
from exgs.scene.gaussians import Gaussians

_COLUMNS = 10  # 3 means, 3 log scales, 3 rotations, opacity
_HEAD = struct.Struct(f"<{_COLUMNS}B2x4f")


def pack_fine(target: Gaussians, coarse: Gaussians, steps: GeometrySteps) -> list[bytes]:
    """The payload that brings `coarse` [N], decoded from a LEAF payload, to `target` [N]."""
    scales, quats = canonical_axes(target.scales, target.quats)
    logs = np.clip(np.log(scales.astype(np.float64)), SCALE_LOG_MIN, SCALE_LOG_MAX)
    offsets = [
        target.means.astype(np.float64) - coarse.means,
        logs - np.log(coarse.scales.astype(np.float64)),
        (quats[:, 1:] - coarse.quats[:, 1:]).astype(np.float64),
        (target.opacities.astype(np.float64) - coarse.opacities)[:, None],
    ]
    sizes = np.array(
        [steps.position, steps.scale, steps.rotation, steps.opacity], np.float32
    ).astype(np.float64)
    columns = [
        zigzag(np.rint(offset[:, i] / size).astype(np.int64))
        for offset, size in zip(offsets, sizes, strict=True)
        for i in range(offset.shape[1])
    ]
    widths = [column_width(column) for column in columns]
    planes = [
        plane
        for column, width in zip(columns, widths, strict=True)
        for plane in split_planes(column, width)
    ]
    return [_HEAD.pack(*widths, *sizes), *planes]


def unpack_fine(payload: bytes, coarse: Gaussians, *, section: str) -> Gaussians:
    """`coarse` with the corrections of a FINE payload; raises DamagedError."""
    if len(payload) < _HEAD.size:
        raise DamagedError("the payload is shorter than its head", section=section)
    *widths, position, scale, rotation, opacity = _HEAD.unpack_from(payload)
    if not all(0 < step < 1e30 for step in (position, scale, rotation, opacity)):
        raise DamagedError("a step is not positive and finite", section=section)
    reader = PlaneReader(payload, _HEAD.size, len(coarse), section)
    columns = [
        unzigzag(reader.column(width)).astype(np.float64)
        if width
        else np.zeros(len(coarse), np.float64)
        for width in widths
    ]
    reader.finish()
    means = coarse.means + np.stack(columns[0:3], axis=1) * position
    logs = np.log(coarse.scales.astype(np.float64)) + np.stack(columns[3:6], axis=1) * scale
    return replace(
        coarse,
        means=np.clip(means, -3e38, 3e38).astype(np.float32),
        scales=np.exp(np.clip(logs, SCALE_LOG_MIN, SCALE_LOG_MAX)).astype(np.float32),
        quats=complete_quats(
            (coarse.quats[:, 1:] + np.stack(columns[6:9], axis=1) * rotation).astype(np.float32)
        ),
        opacities=np.clip(coarse.opacities + columns[9] * opacity, 0, 1).astype(np.float32),
    )
