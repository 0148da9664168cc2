"""Converts gradients on the screen to gradients of the parameters: the chain rule of projection.
Let d be the vector from the mean to a pixel and S the covariance of the footprint. Then ln(alpha) =
ln(opacity) - d^T S^-1 d / 2, with the derivatives y = S^-1 d by the mean and y y^T / 2 by S. The
sums of y and y y^T follow from the SCREEN_TERMS in closed form; the backward pass of the projection
follows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from exgs.scene.cpu.gradient_terms import A_DX, A_DX2, A_DX_DY, A_DY, A_DY2, A_ONE
from exgs.scene.cpu.harmonics import C0
from exgs.scene.cpu.intrinsics import take_ticket
from exgs.scene.cpu.layout import (
    ACROSS,
    BLOCKS,
    LEAN_X,
    RED,
    RIDGE,
    Doubles,
    Floats,
    Longs,
    Projected,
    Splats,
    View,
)
from exgs.scene.cpu.projection import Vector, axes_of, screen_row, tangents
from exgs.scene.kernel import kernel
from exgs.scene.rasterizer import Gradients

_LN2 = math.log(2.0)


@kernel(parallel=True)
def unproject(
    splats: Splats,
    first: int,
    view: View,
    projected: Projected,
    on_screen: Doubles,
    out: Gradients,
    ticket: Longs,
    workers: int,
) -> None:
    """Gradients of all visible Gaussians from `first` on, from their `on_screen` [N - first, 9]."""
    for _ in prange(workers):
        _unproject_blocks(splats, first, view, projected, on_screen, out, ticket)


@kernel()
def _unproject_blocks(
    splats: Splats,
    first: int,
    view: View,
    projected: Projected,
    on_screen: Doubles,
    out: Gradients,
    ticket: Longs,
) -> None:
    """One worker: process blocks of records until none is left."""
    size = projected.records.shape[0] // BLOCKS
    block = take_ticket(ticket)
    while block < BLOCKS:
        for k in range(block * size, block * size + projected.visible[block]):
            i = projected.sources[k]
            if i >= first:
                _unproject_one(
                    splats,
                    i,
                    view,
                    projected.records[k],
                    on_screen[i - first],
                    out,
                    i - first,
                )
        block = take_ticket(ticket)


@kernel()
def _unproject_one(
    splats: Splats,
    i: int,
    view: View,
    record: Floats,
    on_screen: Doubles,
    out: Gradients,
    j: int,
) -> None:
    """The gradients of Gaussian i into row j of `out`."""
    R, t = view.viewmat[:3, :3], view.viewmat[:3, 3]
    fx, fy = view.K[0, 0], view.K[1, 1]
    mean, scale = splats.means[i], splats.scales[i]
    x, y, z = np.float64(mean[0]), np.float64(mean[1]), np.float64(mean[2])
    depth = R[2, 0] * x + R[2, 1] * y + R[2, 2] * z + t[2]
    near = 1 / depth
    tan_x = (R[0, 0] * x + R[0, 1] * y + R[0, 2] * z + t[0]) * near
    tan_y = (R[1, 0] * x + R[1, 1] * y + R[1, 2] * z + t[1]) * near
    left, right = tangents(view.width, fx, view.K[0, 2])
    top, bottom = tangents(view.height, fy, view.K[1, 2])
    toward_x, toward_y = min(right, max(left, tan_x)), min(bottom, max(top, tan_y))
    axes = axes_of(splats.quats[i])
    jx = screen_row(R, 0, fx * near, toward_x)
    jy = screen_row(R, 1, fy * near, toward_y)

    for channel in range(3):
        drawn = record[RED + channel] > 0  # no gradient where the colour is clamped at 0
        out.sh0[j, channel] = C0 * on_screen[channel] if drawn else 0.0
    out.opacities[j] = on_screen[A_ONE] / splats.opacities[i]

    # y = (p dx, q dy - lean p dx), with dx off the ridge
    p, q = -2 * _LN2 * record[ACROSS], -2 * _LN2 * record[RIDGE]
    lean = np.float64(record[LEAN_X])
    d_u = p * on_screen[A_DX]
    d_v = q * on_screen[A_DY] - lean * d_u
    d_var_x = 0.5 * p * p * on_screen[A_DX2]
    d_cov = p * q * on_screen[A_DX_DY] - 2 * lean * d_var_x
    d_var_y = (
        0.5 * q * q * on_screen[A_DY2] - lean * p * q * on_screen[A_DX_DY] + lean * lean * d_var_x
    )

    if view.antialiased:
        # ln(alpha) also has ln(det of the footprint before the filter / det after it) / 2.
        var_x, var_y, cov = 0.0, 0.0, 0.0
        for axis in range(3):
            on_x, on_y = _dot(jx, axes[axis]) * scale[axis], _dot(jy, axes[axis]) * scale[axis]
            var_x += on_x * on_x
            var_y += on_y * on_y
            cov += on_x * on_y
        bare = var_x * var_y - cov * cov
        wide_x, wide_y = var_x + view.screen_filter, var_y + view.screen_filter
        det = wide_x * wide_y - cov * cov
        d_var_x += 0.5 * on_screen[A_ONE] * (var_y / bare - wide_y / det)
        d_var_y += 0.5 * on_screen[A_ONE] * (var_x / bare - wide_x / det)
        d_cov += on_screen[A_ONE] * (cov / det - cov / bare)

    # Gradients through the projected axes
    d_jx, d_jy = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    d_axes = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    for axis in range(3):
        e, s = axes[axis], np.float64(scale[axis])
        unit_x, unit_y = _dot(jx, e), _dot(jy, e)
        d_x = s * (2 * d_var_x * unit_x + d_cov * unit_y)
        d_y = s * (2 * d_var_y * unit_y + d_cov * unit_x)
        out.scales[j, axis] = d_x * unit_x + d_y * unit_y
        d_jx = _plus(d_jx, s * d_x, e)
        d_jy = _plus(d_jy, s * d_y, e)
        d_axis = _plus(_plus((0.0, 0.0, 0.0), s * d_x, jx), s * d_y, jy)
        if axis == 0:
            d_axes = (d_axis, d_axes[1], d_axes[2])
        elif axis == 1:
            d_axes = (d_axes[0], d_axis, d_axes[2])
        else:
            d_axes = (d_axes[0], d_axes[1], d_axis)
    _turn(splats.quats[i], d_axes, out.quats[j])

    # Gradients through the direction of linearisation, and the depth
    forward = (R[2, 0], R[2, 1], R[2, 2])
    d_near = (_dot(d_jx, jx) + _dot(d_jy, jy)) / near
    d_tan_x, d_tan_y = fx * d_u, fy * d_v
    if toward_x == tan_x:
        d_tan_x -= fx * near * _dot(d_jx, forward)
    if toward_y == tan_y:
        d_tan_y -= fy * near * _dot(d_jy, forward)
    d_depth = -near * (near * d_near + d_tan_x * tan_x + d_tan_y * tan_y)
    for axis in range(3):
        out.means[j, axis] = (
            near * (d_tan_x * R[0, axis] + d_tan_y * R[1, axis]) + d_depth * R[2, axis]
        )


@kernel()
def _turn(quat: Floats, d_axes: tuple[Vector, Vector, Vector], out: Doubles) -> None:
    """The tangential gradient of a unit quaternion from the gradients of its axes."""
    w, a, b, c = np.float64(quat[0]), np.float64(quat[1]), np.float64(quat[2]), np.float64(quat[3])
    (xx, yx, zx), (xy, yy, zy), (xz, yz, zz) = d_axes  # gradient of the matrix, row and column
    d_w = 2 * (c * (yx - xy) + b * (xz - zx) + a * (zy - yz))
    d_a = 2 * (b * (yx + xy) + c * (zx + xz) + w * (zy - yz) - 2 * a * (yy + zz))
    d_b = 2 * (a * (yx + xy) + c * (zy + yz) + w * (xz - zx) - 2 * b * (xx + zz))
    d_c = 2 * (a * (zx + xz) + b * (zy + yz) + w * (yx - xy) - 2 * c * (xx + yy))
    outward = d_w * w + d_a * a + d_b * b + d_c * c
    out[0], out[1] = d_w - outward * w, d_a - outward * a
    out[2], out[3] = d_b - outward * b, d_c - outward * c


@kernel()
def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel()
def _plus(a: Vector, factor: float, b: Vector) -> Vector:
    """a + factor * b."""
    return a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]
