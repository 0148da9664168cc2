"""Projects Gaussians to the screen: culling, EWA projection and colours, in storage order.

Each visible Gaussian gets a compact record and the rectangle of tiles that it overlaps, and is
counted in each of these tiles. Formulas: Zwicker et al. 2002 (EWA), as gsplat 1.5.3 computes them.
Geometry is in float64, which takes no extra time here and avoids jitter far from the origin.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from exgs.scene.cpu.ellipse import columns_of_row
from exgs.scene.cpu.harmonics import write_sh_color
from exgs.scene.cpu.intrinsics import take_ticket
from exgs.scene.cpu.layout import (
    ACROSS,
    ALPHA_MIN,
    BLOCKS,
    CHORD_X,
    CHORD_Y,
    DEPTH,
    EXTENT_X,
    EXTENT_Y,
    LEAN_X,
    LEAN_Y,
    LOG2_ALPHA_MIN,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    RED,
    RIDGE,
    TILE,
    Doubles,
    Floats,
    Longs,
    Projected,
    Splats,
    View,
)
from exgs.scene.kernel import kernel

Vector = tuple[float, float, float]

NEAR = 0.01  # world units
FAR = 1e10
MARGIN = 0.15  # share of the picture by which the linearisation may leave it

NO_COLORS, GIVEN_COLORS, SH_COLORS = 0, 1, 2

_PIXELS_MAX = 1e15  # larger footprints are not drawn: their squares would exceed float32
_LN2 = math.log(2.0)
_EXPONENT = -0.5 / _LN2  # base-2 exponent per squared standard deviation
# The cutoff ellipse is enlarged by this exponent, so that rounding never excludes a pixel.
_SLACK = 0.01
_SIGMAS_MAX = math.sqrt(2 * _LN2 * (_SLACK - LOG2_ALPHA_MIN))


@kernel(parallel=True)
def project(
    splats: Splats, color_source: int, view: View, out: Projected, ticket: Longs, workers: int
) -> None:
    """Project every Gaussian into `out`, with SH colours, given colours, or no colours."""
    for _ in prange(workers):
        _project_blocks(splats, color_source, view, out, ticket)


@kernel()
def _project_blocks(
    splats: Splats, color_source: int, view: View, out: Projected, ticket: Longs
) -> None:
    """One worker: project blocks until none is left."""
    size = out.records.shape[0] // BLOCKS
    block = take_ticket(ticket)
    while block < BLOCKS:
        out.counts[block] = 0
        begin = block * size
        end = min(splats.means.shape[0], begin + size)
        out.visible[block] = _project_range(
            splats, color_source, view, out, out.counts[block], begin, end
        )
        block = take_ticket(ticket)


@kernel()
def _project_range(
    splats: Splats,
    color_source: int,
    view: View,
    out: Projected,
    counts: Longs,
    begin: int,
    end: int,
) -> int:
    """Project the Gaussians begin..end to records from `begin` on; return how many are visible."""
    means, quats, scales = splats.means, splats.quats, splats.scales
    R, t, width, height = view.viewmat[:3, :3], view.viewmat[:3, 3], view.width, view.height
    fx, fy, cx, cy = view.K[0, 0], view.K[1, 1], view.K[0, 2], view.K[1, 2]
    eye_x = -(R[0, 0] * t[0] + R[1, 0] * t[1] + R[2, 0] * t[2])
    eye_y = -(R[0, 1] * t[0] + R[1, 1] * t[1] + R[2, 1] * t[2])
    eye_z = -(R[0, 2] * t[0] + R[1, 2] * t[1] + R[2, 2] * t[2])
    left, right = tangents(width, fx, cx)
    top, bottom = tangents(height, fy, cy)
    # Bounds on the half size of a footprint: pixels per (largest scale / depth), and pixels.
    spread_x = _SIGMAS_MAX * fx * math.sqrt(1 + max(right * right, left * left))
    spread_y = _SIGMAS_MAX * fy * math.sqrt(1 + max(bottom * bottom, top * top))
    blur = _SIGMAS_MAX * math.sqrt(view.screen_filter)
    tile_columns = (width + TILE - 1) // TILE

    k = begin
    for i in range(begin, end):
        x, y, z = np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2])
        depth = R[2, 0] * x + R[2, 1] * y + R[2, 2] * z + t[2]
        opacity = splats.opacities[i]
        if not (depth >= NEAR and depth <= FAR and opacity >= ALPHA_MIN):
            continue
        near = 1 / depth
        tan_x = (R[0, 0] * x + R[0, 1] * y + R[0, 2] * z + t[0]) * near
        tan_y = (R[1, 0] * x + R[1, 1] * y + R[1, 2] * z + t[1]) * near
        u, v = fx * tan_x + cx, fy * tan_y + cy
        size = max(scales[i, 0], max(scales[i, 1], scales[i, 2])) * near
        bound_x, bound_y = size * spread_x + blur, size * spread_y + blur
        if not (u + bound_x >= 0 and u - bound_x <= width):
            continue
        if not (v + bound_y >= 0 and v - bound_y <= height):
            continue

        # The projection is linearised at the mean, or at the margin if the mean is beyond it.
        toward_x, toward_y = min(right, max(left, tan_x)), min(bottom, max(top, tan_y))
        var_x, var_y, cov = _screen_covariance(
            quats[i],
            scales[i],
            R,
            fx * near,
            fy * near,
            toward_x,
            toward_y,
            view.screen_filter,
        )
        det = var_x * var_y - cov * cov
        if not det > 0:
            continue
        if view.antialiased:
            bare = (var_x - view.screen_filter) * (var_y - view.screen_filter) - cov * cov
            opacity *= np.float32(math.sqrt(max(bare, 0.0) / det))  # Yu et al. 2024, equation 11
            if not opacity >= ALPHA_MIN:
                continue
        log2_opacity = math.log2(opacity)
        sigmas2 = 2 * _LN2 * (log2_opacity - LOG2_ALPHA_MIN + _SLACK)
        extent_x, extent_y = math.sqrt(sigmas2 * var_x), math.sqrt(sigmas2 * var_y)
        if not max(abs(u), abs(v)) + max(extent_x, extent_y) < _PIXELS_MAX:
            continue
        first_x = math.ceil(max(u - extent_x - 0.5, 0.0))
        last_x = math.floor(min(u + extent_x - 0.5, width - 1.0))
        first_y = math.ceil(max(v - extent_y - 0.5, 0.0))
        last_y = math.floor(min(v + extent_y - 0.5, height - 1.0))
        if last_x < first_x or last_y < first_y:
            continue  # between pixel centres, or outside the picture

        record = out.records[k]
        root = math.sqrt(det)
        record[MEAN_X], record[MEAN_Y] = u, v
        record[ACROSS], record[RIDGE] = _EXPONENT * var_y / det, _EXPONENT / var_y
        record[LEAN_X], record[CHORD_X] = cov / var_y, root / var_y
        record[LEAN_Y], record[CHORD_Y] = cov / var_x, root / var_x
        record[EXTENT_X], record[EXTENT_Y] = extent_x, extent_y
        record[LOG2_OPACITY], record[DEPTH] = log2_opacity, depth
        if color_source == SH_COLORS:
            write_sh_color(splats.sh0, splats.shN, i, x - eye_x, y - eye_y, z - eye_z, record)
        elif color_source == GIVEN_COLORS:
            for channel in range(3):
                record[RED + channel] = splats.colors[i, channel]

        rect = out.rects[k]
        rect[0], rect[1] = first_x // TILE, last_x // TILE + 1
        rect[2], rect[3] = first_y // TILE, last_y // TILE + 1
        for row in range(rect[2], rect[3]):
            first, stop = columns_of_row(record, rect, row, width)
            for tile in range(row * tile_columns + first, row * tile_columns + stop):
                counts[tile] += 1
        out.sources[k] = i
        k += 1
    return k - begin


@kernel(inlined=True)
def tangents(size: int, focal: float, center: float) -> tuple[float, float]:
    """Minimum and maximum tangent along one axis at which the projection is linearised."""
    margin = MARGIN * size / focal
    return -center / focal - margin, (size - center) / focal + margin


@kernel(inlined=True)
def axes_of(quat: Floats) -> tuple[Vector, Vector, Vector]:
    """Unit axes of a Gaussian: the columns of the rotation matrix of `quat`, of any length."""
    w, a, b, c = np.float64(quat[0]), np.float64(quat[1]), np.float64(quat[2]), np.float64(quat[3])
    s = 2 / (w * w + a * a + b * b + c * c)
    return (
        (1 - s * (b * b + c * c), s * (a * b + w * c), s * (a * c - w * b)),
        (s * (a * b - w * c), 1 - s * (a * a + c * c), s * (b * c + w * a)),
        (s * (a * c + w * b), s * (b * c - w * a), 1 - s * (a * a + b * b)),
    )


@kernel(inlined=True)
def screen_row(R: Doubles, axis: int, pixels: float, toward: float) -> Vector:
    """The gradient of one screen coordinate: pixels per world unit along x, y and z.

    `axis` is 0 or 1, `pixels` is the focal length over the depth, `toward` the tangent at which
    the projection is linearised.
    """
    return (
        pixels * (R[axis, 0] - toward * R[2, 0]),
        pixels * (R[axis, 1] - toward * R[2, 1]),
        pixels * (R[axis, 2] - toward * R[2, 2]),
    )


@kernel(inlined=True)
def _screen_covariance(
    quat: Floats,
    scale: Floats,
    R: Doubles,
    pixels_x: float,
    pixels_y: float,
    toward_x: float,
    toward_y: float,
    screen_filter: float,
) -> tuple[float, float, float]:
    """Variances along x and y and covariance of a footprint in squared pixels, filter included.

    `pixels_x` and `pixels_y` are focal lengths over depth; `toward` is the direction (x/z, y/z)
    at which the projection is linearised.
    """
    axes = axes_of(quat)
    jx = screen_row(R, 0, pixels_x, toward_x)
    jy = screen_row(R, 1, pixels_y, toward_y)
    var_x, var_y, cov = screen_filter, screen_filter, 0.0
    for axis in range(3):
        # One axis of the Gaussian, projected to the screen
        e = axes[axis]
        on_x = (jx[0] * e[0] + jx[1] * e[1] + jx[2] * e[2]) * scale[axis]
        on_y = (jy[0] * e[0] + jy[1] * e[1] + jy[2] * e[2]) * scale[axis]
        var_x += on_x * on_x
        var_y += on_y * on_y
        cov += on_x * on_y
    return var_x, var_y, cov
