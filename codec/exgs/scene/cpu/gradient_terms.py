"""The backward pass of blending for one Gaussian and one row of pixels.

Plane 0 contains the transmittance, planes 1 to 3 the gradient of the picture, and plane 4 the sum
of weight * (color . gradient) over the Gaussians that are not processed yet.
"""

from __future__ import annotations

from typing import Any

from numba import types

from exgs.scene.cpu.rows import GEOMETRY, Row
from exgs.scene.kernel import intrinsic

BEHIND = 4
PLANES = 5

# Totals of one Gaussian over its pixels: a is dL / d ln(alpha), dx the distance to the ridge.
SCREEN_TERMS = 9
A_ONE, A_DX, A_DX2, A_DY, A_DY2, A_DX_DY = 3, 4, 5, 6, 7, 8  # after weight * gradient in 0 to 2

_COLOR = (types.float32,) * 3


def _value(row: Row, color: Any) -> Any:
    """color . gradient in every pixel."""
    value = row.constant(0)
    for channel in range(3):
        on_screen = row.load(row.plane(1 + channel))
        value = row.add(value, row.mul(on_screen, row.splat(color[channel])))
    return value


@intrinsic
def value_row(
    typingctx: Any,
    planes: Any,
    offset: Any,
    center: Any,
    base: Any,
    across: Any,
    red: Any,
    green: Any,
    blue: Any,
) -> Any:
    """Add weight * (color . gradient) to plane BEHIND."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], args[0], args[1])
        weight = row.blend(*args[2:5])
        row.add_to(row.plane(BEHIND), row.mul(weight, _value(row, args[5:])))
        return context.get_dummy_value()

    return types.void(planes, types.int64, *GEOMETRY, *_COLOR), codegen


@intrinsic
def gradient_row(
    typingctx: Any,
    planes: Any,
    totals: Any,
    offset: Any,
    center: Any,
    base: Any,
    across: Any,
    dy: Any,
    red: Any,
    green: Any,
    blue: Any,
) -> Any:
    """Subtract weight * (color . gradient) from plane BEHIND and add to the SCREEN_TERMS totals.

    Let g be the gradient and C the sum of weight * color over the Gaussians behind. Then
    dL / d ln(alpha) = weight * (color . g) - alpha / (1 - alpha) * (C . g): the Gaussian's own
    part, less its occlusion of the Gaussians behind.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], args[0], args[2])
        sums = Row(context, builder, signature.args[1], args[1], args[2])
        one = row.constant(1)
        alpha, dx, capped = row.alpha(*args[3:6])
        weight = row.draw(alpha)
        dy = row.splat(args[6])
        own = row.mul(weight, _value(row, args[7:]))
        behind = row.sub(row.load(row.plane(BEHIND)), own)
        row.store(behind, row.plane(BEHIND))
        occluded = row.mul(row.div(alpha, row.sub(one, alpha)), behind)
        zero = row.constant(0)
        a = row.where(row.greater(weight, zero), row.sub(own, occluded), zero)
        a = row.where(capped, zero, a)
        for channel in range(3):
            on_screen = row.load(row.plane(1 + channel))
            sums.add_to(sums.total(channel), row.mul(weight, on_screen))
        a_dx, a_dy = row.mul(a, dx), row.mul(a, dy)
        moments = {
            A_ONE: a,
            A_DX: a_dx,
            A_DX2: row.mul(a_dx, dx),
            A_DY: a_dy,
            A_DY2: row.mul(a_dy, dy),
            A_DX_DY: row.mul(a_dx, dy),
        }
        for number, moment in moments.items():
            sums.add_to(sums.total(number), moment)
        return context.get_dummy_value()

    one = types.float32
    return types.void(planes, totals, types.int64, *GEOMETRY, one, *_COLOR), codegen
