"""LEAF and PROXY payloads: Gaussians with a base colour, quantized column by column.

Each payload has its own quantization steps, so an encoder chooses the precision of each cell. Axes
are sorted by length, and the quaternion is changed so that w is its largest component. This does
not change the ellipsoid and makes coding cheaper.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import (
    GEOMETRY_COLUMNS,
    MAX_MAGNITUDE,
    OPACITY_BITS_MAX,
    POSITION_BITS,
    ROTATION_BITS_MAX,
    SCALE_LOG_MAX,
    SCALE_LOG_MIN,
)
from exgs.codec.errors import DamagedError, UnsupportedError
from exgs.codec.payload.columns import PlaneReader, column_width, planes_of, unzigzag, zigzag
from exgs.codec.payload.morton import morton_decode, morton_encode
from exgs.codec.payload.scale_levels import SizeSteps, size_levels
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rotations import quats_from_matrices

_HEAD = struct.Struct(f"<{GEOMETRY_COLUMNS}BB3f f ff BBBB ff")
_MAX_LEVEL = 2.0**53  # largest colour in steps; float64 is exact up to here
_ROUGH = 1.5  # ratio of actual to requested position step from which a payload is rough
_FAR_SHARE, _FAR_COUNT = 0.01, 3  # at most this share of a cell, or this count, are outliers
_FAR = 8.0  # distance of outliers from the centre, relative to the largest of the others

# Luma and chromas of a degree-0 colour; rows are orthogonal: Y, R - B, G - (R + B) / 2.
_COLOR_TRANSFORM = np.array([[1 / 3, 1 / 3, 1 / 3], [1, 0, -1], [-0.5, 1, -0.5]])


@dataclass(frozen=True, slots=True)
class GeometrySteps:
    """Quantization steps of one payload."""

    position: float  # world units
    sizes: SizeSteps
    rotation_bits: int  # per component
    opacity_bits: int
    luma: float  # degree-0 coefficient units
    chroma: float

    @property
    def rotation(self) -> float:
        """Step of the three small quaternion components, which are at most 1 / sqrt 2."""
        return 1 / (((1 << (self.rotation_bits - 1)) - 1) * math.sqrt(2.0))

    @property
    def opacity(self) -> float:
        """Step of the opacity."""
        return 1 / ((1 << self.opacity_bits) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class PackedGeometry:
    """A payload before compression, with the order of its Gaussians."""

    columns: list[bytes]
    order: npt.NDArray[np.int64]  # [N] index into the input
    is_rough: bool  # the cell is so wide that positions need FINE, whatever the steps


def pack_geometry(
    scene: Gaussians,
    child: npt.NDArray[np.integer],
    child_count: int,
    steps: GeometrySteps,
    *,
    sh_components: int = 0,
) -> PackedGeometry:
    """Quantize `scene` without shN. `child` [N] is the child of the cell of each Gaussian.

    A few outliers that would make the position grid coarse for all are moved closer.
    `sh_components` announces the SH of proxies, which the caller appends to the columns.
    """
    given, scene = scene, _brought_near(scene, steps.position)
    means = scene.means.astype(np.float64)
    origin = means.min(axis=0, initial=np.inf) if len(means) else np.zeros(3)
    origin = origin.astype(np.float32).astype(np.float64)
    extent = float((means - origin).max(initial=0.0))
    position_step = float(
        np.float32(max(steps.position, extent / ((1 << POSITION_BITS) - 2), 1e-30))
    )
    grid = np.clip(np.rint((means - origin) / position_step), 0, (1 << POSITION_BITS) - 1)
    code = morton_encode(grid.astype(np.int64))
    order = np.lexsort((code, child))
    code = code[order]
    counts = np.bincount(child, minlength=child_count).astype("<u4")
    first = (np.cumsum(counts, dtype=np.int64) - counts)[counts > 0]
    delta = np.diff(code, prepend=np.uint64(0))
    delta[first] = code[first]

    scales, quats = canonical_axes(scene.scales[order], scene.quats[order])
    logs = np.log(np.clip(scales.astype(np.float64), np.exp(SCALE_LOG_MIN), np.exp(SCALE_LOG_MAX)))
    scale_step = float(np.float32(steps.sizes.longest))
    scale_origin = float(np.float32(np.floor(logs.min(initial=0.0))))
    sizes = size_levels(logs, scale_origin, replace(steps.sizes, longest=scale_step))

    half = (1 << (steps.rotation_bits - 1)) - 1
    turns = np.clip(np.rint(quats[:, 1:] * np.sqrt(2.0) * half), -half, half).astype(np.int64)

    top = (1 << steps.opacity_bits) - 1
    opacity = np.clip(np.rint(scene.opacities[order].astype(np.float64) * top), 0, top)

    color_steps = np.array([steps.luma, steps.chroma, steps.chroma], np.float32).astype(np.float64)
    color = np.rint(scene.sh0[order].astype(np.float64) @ _COLOR_TRANSFORM.T / color_steps)
    color = np.clip(color, -_MAX_LEVEL, _MAX_LEVEL)

    numbers = (
        delta,
        *sizes,
        *(zigzag(turns[:, i]) for i in range(3)),
        opacity,
        *(zigzag(color[:, i].astype(np.int64)) for i in range(3)),
    )
    columns = [column.astype(np.uint64) for column in numbers]
    widths = [column_width(column) for column in columns]
    if len(scene) and not any(widths):
        widths[0] = 1  # at least one byte per Gaussian; see MAX_FREE_COUNT
    head = _HEAD.pack(
        *widths,
        0,
        *origin,
        position_step,
        scale_origin,
        scale_step,
        steps.rotation_bits,
        steps.opacity_bits,
        sh_components,
        0,
        color_steps[0],
        color_steps[1],
    )
    is_rough = scene is not given or position_step > _ROUGH * steps.position
    return PackedGeometry([head + counts.tobytes(), *planes_of(columns, widths)], order, is_rough)


def _brought_near(scene: Gaussians, step: float) -> Gaussians:
    """Move outliers closer to the centre and shrink them; return `scene` itself if there are none.

    From the centre of the other Gaussians they look the same, and they stay behind them.
    """
    count = len(scene)
    if not count:
        return scene
    middle = np.median(scene.means, axis=0)
    distances = np.abs(scene.means.astype(np.float64) - middle).max(axis=1)
    few = max(round(_FAR_SHARE * count), min(_FAR_COUNT, count // 4))
    usual = float(np.partition(distances, -1 - few)[-1 - few])
    reach = max(_FAR * usual, step * (1 << POSITION_BITS - 1))
    if not (distances > reach).any():
        return scene
    factors = (reach / np.maximum(distances, reach))[:, None]
    return replace(
        scene,
        means=(middle + factors * (scene.means - middle)).astype(np.float32),
        scales=(factors * scene.scales).astype(np.float32),
    )


def unpack_geometry(
    payload: bytes, *, count: int, child_count: int, section: str
) -> tuple[Gaussians, npt.NDArray[np.uint32]]:
    """Decode the Gaussians (SH degree 0) of a LEAF payload, and their number in each child.

    Raises DamagedError, UnsupportedError.
    """
    scene, child_counts, components, behind = unpack_columns(
        payload, count=count, child_count=child_count, section=section
    )
    if components:
        raise DamagedError("SH within a payload of leaves", section=section)
    if len(behind):
        raise DamagedError(f"{len(behind)} bytes behind the last column", section=section)
    return scene, child_counts


def unpack_columns(
    payload: bytes, *, count: int, child_count: int, section: str
) -> tuple[Gaussians, npt.NDArray[np.uint32], int, bytes]:
    """Decode what LEAF and PROXY payloads have in common.

    Returns the Gaussians (SH degree 0), their number in each child of the cell, how many
    components of SH follow, and the bytes behind the columns. Raises as `unpack_geometry`.
    """
    counts_end = _HEAD.size + 4 * child_count
    if len(payload) < counts_end:
        raise DamagedError("the payload is shorter than its head", section=section)
    head = _HEAD.unpack_from(payload)
    widths = head[:GEOMETRY_COLUMNS]
    reserved, *numbers = head[GEOMETRY_COLUMNS : GEOMETRY_COLUMNS + 7]
    rotation_bits, opacity_bits, components, also_reserved, luma_step, chroma_step = head[
        GEOMETRY_COLUMNS + 7 :
    ]
    *origin, position_step, scale_origin, scale_step = numbers
    if reserved or also_reserved:
        raise UnsupportedError("reserved bytes are set; update exgs", section=section)
    if not all(abs(number) <= MAX_MAGNITUDE for number in (*origin, scale_origin)):
        raise DamagedError("an origin is not finite", section=section)
    check_steps((position_step, scale_step, luma_step, chroma_step), section)
    if not 2 <= rotation_bits <= ROTATION_BITS_MAX or not 1 <= opacity_bits <= OPACITY_BITS_MAX:
        raise DamagedError("bit depths are out of range", section=section)
    child_counts = np.frombuffer(payload, "<u4", child_count, _HEAD.size)
    if int(child_counts.sum(dtype=np.uint64)) != count:
        raise DamagedError("the children do not add up to the chunk", section=section)
    reader = PlaneReader(payload, counts_end, count, section)
    columns = [reader.column(width) for width in widths]

    code = _undo_deltas(columns[0].astype(np.uint64), child_counts)
    means = morton_decode(code) * np.float64(position_step) + np.array(origin)

    level = np.empty((count, 3), np.float64)
    level[:, 0] = columns[1]
    level[:, 1] = level[:, 0] - columns[2]
    level[:, 2] = level[:, 1] - columns[3]
    logs = np.clip(level * scale_step + scale_origin, SCALE_LOG_MIN, SCALE_LOG_MAX)

    half = (1 << (rotation_bits - 1)) - 1
    vectors = np.stack([unzigzag(columns[4 + axis]) for axis in range(3)], axis=1)

    opacities = np.minimum(columns[7] / np.float64((1 << opacity_bits) - 1), 1.0)
    luma = unzigzag(columns[8]) * luma_step
    red_blue = unzigzag(columns[9]) * chroma_step
    green = unzigzag(columns[10]) * chroma_step
    grey = luma - green / 3
    color = np.stack([grey + red_blue / 2, luma + 2 * green / 3, grey - red_blue / 2], axis=1)
    scene = Gaussians(
        means=clipped(means),
        quats=complete_quats(vectors / (half * math.sqrt(2.0))),
        scales=np.exp(logs).astype(np.float32),
        opacities=opacities.astype(np.float32),
        sh0=clipped(color),
        shN=np.zeros((count, 0, 3), np.float32),
    )
    return scene, child_counts, components, payload[reader.position :]


def clipped(values: npt.NDArray[np.float64]) -> FloatArray:
    """Clip `values` to the largest magnitude of the format; return float32."""
    return np.clip(values, -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.float32)


def check_steps(steps: Sequence[float], section: str) -> None:
    """Raise DamagedError unless all quantization steps are positive and finite."""
    if not all(0 < step <= MAX_MAGNITUDE for step in steps):
        raise DamagedError("a quantizer step is not positive and finite", section=section)


def complete_quats(vectors: npt.NDArray[np.float64]) -> FloatArray:
    """Unit quaternions [N, 4] from x, y, z [N, 3], with w >= 0. Vectors are limited to length 1."""
    norm = (vectors * vectors).sum(axis=1)
    quats = np.empty((len(vectors), 4), np.float32)
    quats[:, 1:] = vectors / np.sqrt(np.maximum(norm, 1.0))[:, None]
    quats[:, 0] = np.sqrt(np.maximum(0.0, 1.0 - norm))
    return quats


def _undo_deltas(
    delta: npt.NDArray[np.uint64], child_counts: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint64]:
    """Morton codes from differences, modulo 2^63. The first code of each child is absolute."""
    code = np.cumsum(delta, dtype=np.uint64)
    starts = np.cumsum(child_counts, dtype=np.int64) - child_counts
    filled = child_counts > 0
    before = code[starts[filled]] - delta[starts[filled]]
    code -= np.repeat(before, child_counts[filled])
    return code & np.uint64((1 << 3 * POSITION_BITS) - 1)


def canonical_axes(scales: FloatArray, quats: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same ellipsoids with descending scales [N, 3] and w as the largest quaternion component.

    Permuting the axes multiplies the rotation by one of the 24 rotations of the cube. Rotating an
    ellipsoid by 180° about one of its axes does not change it and can make any component the first.
    """
    order = np.argsort(-scales, axis=1, kind="stable")
    code = order[:, 0] * 3 + order[:, 1]
    quats = _multiply(quats, _AXIS_TURNS[code])
    largest = np.abs(quats).argmax(axis=1)
    quats = _multiply(quats, _HALF_TURNS[largest])
    quats *= np.where(quats[:, :1] < 0, -1, 1).astype(np.float32)
    return np.take_along_axis(scales, order, axis=1), quats


def _multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """Hamilton product of quaternions [N, 4], wxyz."""
    aw, ax, ay, az = a.T
    bw, bx, by, bz = b.T
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=1,
    ).astype(np.float32)


def _axis_turns() -> FloatArray:
    """For each pair of longest and second longest axis: the rotation with these columns."""
    turns = np.zeros((9, 4))
    for first in range(3):
        for second in range(3):
            if first == second:
                continue
            matrix = np.zeros((3, 3))
            matrix[first, 0] = matrix[second, 1] = 1
            matrix[:, 2] = np.cross(matrix[:, 0], matrix[:, 1])
            turns[first * 3 + second] = quats_from_matrices(matrix[None])[0]
    return turns.astype(np.float32)


_AXIS_TURNS = _axis_turns()
_HALF_TURNS = np.eye(4, dtype=np.float32)
