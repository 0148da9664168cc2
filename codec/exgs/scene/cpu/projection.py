"""From world to screen: culling, EWA projection and colours, in storage order.

Visible Gaussians leave a compact record, the rectangle of tiles they touch, and a count in each
of those tiles. Formulas: Zwicker et al. 2002 (EWA) as gsplat 1.5.3 computes them.
"""

from __future__ import annotations

import math

import numpy as np
from exgs.scene.cpu.ellipse import tile_columns
from exgs.scene.cpu.harmonics import write_sh_color
from exgs.scene.cpu.intrinsics import take_ticket
from exgs.scene.cpu.record import (
    ACROSS,
    ALPHA_MIN,
    BLOCKS,
    CHORD_X,
    CHORD_Y,
    DEPTH,
    EXTENT_X,
    EXTENT_Y,
    FASTMATH,
    LEAN_X,
    LEAN_Y,
    LOG2_ALPHA_MIN,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    RED,
    RIDGE,
    TILE,
)
from numba import njit, prange

NEAR = 0.01  # world units
FAR = 1e10
EPS2D = 0.3  # squared pixels added to the variance along both axes: the EWA screen filter
MARGIN = 0.15  # share of the picture by which the linearisation may leave it

NO_COLORS, GIVEN_COLORS, SH_COLORS = 0, 1, 2

_LN2 = math.log(2.0)
_EXPONENT = -0.5 / _LN2  # of base 2, per squared standard deviation
# The cutoff ellipse is widened by this much exponent, so that rounding never cuts a pixel off.
_SLACK = 0.01
_SIGMAS_MAX = math.sqrt(2 * _LN2 * (-LOG2_ALPHA_MIN + _SLACK))


@njit(parallel=True, nogil=True, cache=True, fastmath=FASTMATH, error_model="numpy")
def project(  # type: ignore[no-untyped-def]
    means,  # [N, 3] float32, as are the next five
    quats,  # [N, 4]
    scales,  # [N, 3]
    opacities,  # [N]
    sh0,  # [N, 3]
    shN,  # [N, K, 3]
    colors,  # [N, 3] used with GIVEN_COLORS only
    color_source,
    viewmat,  # [4, 4] float64
    K,  # [3, 3] float64
    width,
    height,
    records,  # out [BLOCKS * size, RECORD] float32
    rects,  # out [BLOCKS * size, 4] int32: tile columns and rows, first and end
    sources,  # out [BLOCKS * size] int32: index of the Gaussian
    visible,  # out [BLOCKS] int64: records of each block, from block * size on
    tile_counts,  # out [BLOCKS, tiles] int32, zeroed here
    ticket,  # [1] int64, zero
    workers,
):
    """Project every Gaussian; `size` is N / BLOCKS rounded up."""
    n = means.shape[0]
    size = (n + BLOCKS - 1) // BLOCKS
    for _ in prange(workers):
        while True:
            block = take_ticket(ticket)
            if block >= BLOCKS:
                break
            tile_counts[block] = 0
            visible[block] = _project_block(
                means,
                quats,
                scales,
                opacities,
                sh0,
                shN,
                colors,
                color_source,
                viewmat,
                K,
                width,
                height,
                records,
                rects,
                sources,
                tile_counts[block],
                block * size,
                min(n, block * size + size),
            )


@njit(cache=True, fastmath=FASTMATH, error_model="numpy")
def _project_block(  # type: ignore[no-untyped-def]
    means,
    quats,
    scales,
    opacities,
    sh0,
    shN,
    colors,
    color_source,
    viewmat,
    K,
    width,
    height,
    records,
    rects,
    sources,
    tile_counts,
    begin,
    end,
):
    """Project the Gaussians begin..end; their records stand from `begin` on. How many there are."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    r00, r01, r02, t0 = viewmat[0, 0], viewmat[0, 1], viewmat[0, 2], viewmat[0, 3]
    r10, r11, r12, t1 = viewmat[1, 0], viewmat[1, 1], viewmat[1, 2], viewmat[1, 3]
    r20, r21, r22, t2 = viewmat[2, 0], viewmat[2, 1], viewmat[2, 2], viewmat[2, 3]
    eye_x = -(r00 * t0 + r10 * t1 + r20 * t2)
    eye_y = -(r01 * t0 + r11 * t1 + r21 * t2)
    eye_z = -(r02 * t0 + r12 * t1 + r22 * t2)

    right, left = (width - cx) / fx + MARGIN * width / fx, -cx / fx - MARGIN * width / fx
    lower, upper = (height - cy) / fy + MARGIN * height / fy, -cy / fy - MARGIN * height / fy
    # Bounds on the half size of a footprint, in pixels per (largest scale / depth) and flat.
    spread_x = _SIGMAS_MAX * fx * math.sqrt(1 + max(right * right, left * left))
    spread_y = _SIGMAS_MAX * fy * math.sqrt(1 + max(lower * lower, upper * upper))
    blur = _SIGMAS_MAX * math.sqrt(EPS2D)
    tile_columns_all = (width + TILE - 1) // TILE

    k = begin
    for i in range(begin, end):
        x, y, z = float(means[i, 0]), float(means[i, 1]), float(means[i, 2])
        depth = r20 * x + r21 * y + r22 * z + t2
        opacity = opacities[i]
        if not (depth >= NEAR and depth <= FAR and opacity >= ALPHA_MIN):
            continue
        near = 1 / depth
        tan_x = (r00 * x + r01 * y + r02 * z + t0) * near
        tan_y = (r10 * x + r11 * y + r12 * z + t1) * near
        u, v = fx * tan_x + cx, fy * tan_y + cy
        scale_0, scale_1, scale_2 = scales[i, 0], scales[i, 1], scales[i, 2]
        nearness = max(scale_0, max(scale_1, scale_2)) * near
        bound_x, bound_y = nearness * spread_x + blur, nearness * spread_y + blur
        if not (u + bound_x >= 0 and u - bound_x <= width):
            continue
        if not (v + bound_y >= 0 and v - bound_y <= height):
            continue

        # Jacobian of the projection at the clamped direction, times the camera's rotation
        ax, ay = min(right, max(left, tan_x)), min(lower, max(upper, tan_y))
        sx, sy = fx * near, fy * near
        p00, p01, p02 = sx * (r00 - ax * r20), sx * (r01 - ax * r21), sx * (r02 - ax * r22)
        p10, p11, p12 = sy * (r10 - ay * r20), sy * (r11 - ay * r21), sy * (r12 - ay * r22)
        # ... times the Gaussian's rotation and scales: its three axes on the screen
        w, a, b, c = float(quats[i, 0]), float(quats[i, 1]), float(quats[i, 2]), float(quats[i, 3])
        s = 2 / (w * w + a * a + b * b + c * c)
        m00, m01, m02 = 1 - s * (b * b + c * c), s * (a * b - w * c), s * (a * c + w * b)
        m10, m11, m12 = s * (a * b + w * c), 1 - s * (a * a + c * c), s * (b * c - w * a)
        m20, m21, m22 = s * (a * c - w * b), s * (b * c + w * a), 1 - s * (a * a + b * b)
        e0, g0 = (
            (p00 * m00 + p01 * m10 + p02 * m20) * scale_0,
            (p10 * m00 + p11 * m10 + p12 * m20) * scale_0,
        )
        e1, g1 = (
            (p00 * m01 + p01 * m11 + p02 * m21) * scale_1,
            (p10 * m01 + p11 * m11 + p12 * m21) * scale_1,
        )
        e2, g2 = (
            (p00 * m02 + p01 * m12 + p02 * m22) * scale_2,
            (p10 * m02 + p11 * m12 + p12 * m22) * scale_2,
        )
        var_x = e0 * e0 + e1 * e1 + e2 * e2 + EPS2D
        var_y = g0 * g0 + g1 * g1 + g2 * g2 + EPS2D
        cov = e0 * g0 + e1 * g1 + e2 * g2
        det = var_x * var_y - cov * cov
        if not (det > 0 and det < np.inf):
            continue

        log2_opacity = math.log2(opacity)
        sigmas2 = 2 * _LN2 * (log2_opacity - LOG2_ALPHA_MIN + _SLACK)
        extent_x, extent_y = math.sqrt(sigmas2 * var_x), math.sqrt(sigmas2 * var_y)
        first_x = math.ceil(max(u - extent_x - 0.5, 0.0))
        last_x = math.floor(min(u + extent_x - 0.5, width - 1.0))
        first_y = math.ceil(max(v - extent_y - 0.5, 0.0))
        last_y = math.floor(min(v + extent_y - 0.5, height - 1.0))
        if last_x < first_x or last_y < first_y:
            continue

        record = records[k]
        root = math.sqrt(det)
        record[MEAN_X], record[MEAN_Y] = u, v
        record[ACROSS], record[RIDGE] = _EXPONENT * var_y / det, _EXPONENT / var_y
        record[LEAN_X], record[CHORD_X] = cov / var_y, root / var_y
        record[LEAN_Y], record[CHORD_Y] = cov / var_x, root / var_x
        record[EXTENT_X], record[EXTENT_Y] = extent_x, extent_y
        record[LOG2_OPACITY], record[DEPTH] = log2_opacity, depth
        if color_source == SH_COLORS:
            dx, dy, dz = x - eye_x, y - eye_y, z - eye_z
            unit = 1 / math.sqrt(dx * dx + dy * dy + dz * dz)
            write_sh_color(
                sh0,
                shN,
                i,
                np.float32(dx * unit),
                np.float32(dy * unit),
                np.float32(dz * unit),
                record,
            )
        elif color_source == GIVEN_COLORS:
            for channel in range(3):
                record[RED + channel] = colors[i, channel]

        rects[k, 0], rects[k, 1] = int(first_x) // TILE, int(last_x) // TILE + 1
        rects[k, 2], rects[k, 3] = int(first_y) // TILE, int(last_y) // TILE + 1
        for row in range(rects[k, 2], rects[k, 3]):
            first, stop = columns_of_row(record, rects[k], row, width)
            for column in range(first, stop):
                tile_counts[row * tile_columns_all + column] += 1
        sources[k] = i
        k += 1
    return k - begin


@njit(cache=True, fastmath=FASTMATH, inline="always")
def columns_of_row(record, rect, row, width):  # type: ignore[no-untyped-def]
    """Tile columns [first, end) that a Gaussian touches in a tile row of its rectangle."""
    if rect[1] - rect[0] > 1 and rect[3] - rect[2] > 1:
        return tile_columns(record, row, width)
    return rect[0], rect[1]
