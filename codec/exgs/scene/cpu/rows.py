"""Blends one Gaussian into one vector row of LANES pixels, with explicit LLVM vectors.

The auto-vectoriser does not vectorise these loops reliably. `Row` has the common arithmetic; the
intrinsics below use the blending weights. Those of the backward pass are in `gradient_terms`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from exgs.scene.cpu.layout import (
    LANES,
    LOG2_ALPHA_MAX,
    LOG2_ALPHA_MIN,
    PIXELS,
    TRANSMITTANCE_MIN,
)
from exgs.scene.kernel import intrinsic

_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_FLOATS = ir.VectorType(_F32, LANES)
_INTS = ir.VectorType(_I32, LANES)
_FUSED = ("contract",)  # allow fused multiply-add
_FLOOR = 8  # exponents are in (-_FLOOR, 0]: log2(1/255) = -7.99
_EXPONENT_BIAS = 127
_MANTISSA_BITS = 23


def _exp2_polynomial() -> list[float]:
    """Coefficients of 2^f on [0, 1), degree 5: relative error 2e-7 (Chebyshev nodes)."""
    f = np.cos((np.arange(400) + 0.5) / 400 * np.pi) * 0.5 + 0.5
    return [float(c) for c in np.polynomial.polynomial.polyfit(f, 2.0**f, 5, w=2.0**-f)]


_EXP2 = _exp2_polynomial()


class Row:
    """Emits vector arithmetic on the LANES pixels of a row with an LLVM builder."""

    def __init__(self, context: Any, builder: Any, array_type: Any, planes: Any, offset: Any):
        self.builder = builder
        self.data = context.make_array(array_type)(context, builder, planes).data
        self.offset = offset

    def constant(self, value: float) -> Any:
        return ir.Constant(_FLOATS, [float(np.float32(value))] * LANES)

    def splat(self, scalar: Any) -> Any:
        undefined = ir.Constant(_FLOATS, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(_INTS, [0] * LANES))

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b, flags=_FUSED)

    def sub(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b, flags=_FUSED)

    def mul(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b, flags=_FUSED)

    def div(self, a: Any, b: Any) -> Any:
        return self.builder.fdiv(a, b)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        return self.builder.select(condition, a, b)

    def greater(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered(">", a, b)

    def maximum(self, a: Any, b: Any) -> Any:
        return self.where(self.greater(a, b), a, b)

    def fold(self, value: Any, combine: Callable[[Any, Any], Any]) -> Any:
        """Combine all lanes to one float, the upper half with the lower half each time."""
        builder, lanes = self.builder, LANES
        while lanes > 1:
            lanes //= 2
            picks = ir.VectorType(_I32, lanes)
            halves = [ir.Constant(picks, list(range(i, i + lanes))) for i in (0, lanes)]
            value = combine(*(builder.shuffle_vector(value, value, half) for half in halves))
        return builder.extract_element(value, ir.Constant(_I32, 0))

    def plane(self, number: int) -> Any:
        """Address of this row in plane `number`."""
        shift = ir.Constant(_I64, number * PIXELS)
        return self._address(self.builder.add(self.offset, shift))

    def total(self, number: int) -> Any:
        """Address of total `number`, in arrays with LANES floats per total."""
        return self._address(ir.Constant(_I64, number * LANES))

    def load(self, address: Any) -> Any:
        return self.builder.load(address, align=4)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, address, align=4)

    def add_to(self, address: Any, value: Any) -> None:
        self.store(self.add(self.load(address), value), address)

    def exp2(self, exponent: Any) -> Any:
        """2^exponent for exponents in (-_FLOOR, 0]."""
        builder = self.builder
        shifted = self.add(exponent, self.constant(_FLOOR))
        whole = builder.fptosi(shifted, _INTS)
        fraction = self.sub(shifted, builder.sitofp(whole, _FLOATS))
        power = self.constant(_EXP2[-1])
        for coefficient in reversed(_EXP2[:-1]):
            power = self.add(self.constant(coefficient), self.mul(fraction, power))
        bias = ir.Constant(_INTS, [_EXPONENT_BIAS - _FLOOR] * LANES)
        bits = builder.shl(builder.add(whole, bias), ir.Constant(_INTS, [_MANTISSA_BITS] * LANES))
        return self.mul(power, builder.bitcast(bits, _FLOATS))

    def alpha(self, center: Any, base: Any, across: Any) -> tuple[Any, Any, Any]:
        """Return alpha, dx, and whether alpha was capped.

        alpha = 2^(base + across * dx^2), or 0 where the Gaussian is not drawn. dx is the distance
        from `center` to the pixel; x is measured from the left of the row's first pixel.
        """
        lanes = ir.Constant(_FLOATS, [lane + 0.5 for lane in range(LANES)])
        dx = self.sub(lanes, self.splat(center))
        exponent = self.add(self.splat(base), self.mul(self.mul(self.splat(across), dx), dx))
        drawn = self.builder.fcmp_ordered(">=", exponent, self.constant(LOG2_ALPHA_MIN))
        highest = self.constant(LOG2_ALPHA_MAX)
        too_high = self.greater(exponent, highest)
        exponent = self.where(too_high, highest, exponent)
        exponent = self.where(drawn, exponent, highest)
        return self.where(drawn, self.exp2(exponent), self.constant(0)), dx, too_high

    def draw(self, alpha: Any) -> Any:
        """Multiply plane 0 by 1 - `alpha`; returns the weights alpha * T.

        Plane 0 is the transmittance; its sign is positive while the pixel is open.
        """
        transmittance = self.load(self.plane(0))
        weight = self.mul(transmittance, alpha)
        left = self.sub(transmittance, weight)
        still_open = self.greater(left, self.constant(TRANSMITTANCE_MIN))
        closed = self._negative(transmittance)
        self.store(self.where(still_open, left, closed), self.plane(0))
        return self.where(still_open, weight, self.constant(0))

    def blend(self, center: Any, base: Any, across: Any) -> Any:
        """Draw the Gaussian into plane 0; returns its weights alpha * T."""
        alpha, _, _ = self.alpha(center, base, across)
        return self.draw(alpha)

    def _negative(self, value: Any) -> Any:
        """-|value|, by its sign bit."""
        sign = ir.Constant(_INTS, [1 << 31] * LANES)
        bits = self.builder.or_(self.builder.bitcast(value, _INTS), sign)
        return self.builder.bitcast(bits, _FLOATS)

    def _address(self, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(self.data, [offset]), _FLOATS.as_pointer())


GEOMETRY = (types.float32, types.float32, types.float32)  # center, base, across


@intrinsic
def paint_row(
    typingctx: Any,
    planes: Any,
    offset: Any,
    center: Any,
    base: Any,
    across: Any,
    red: Any,
    green: Any,
    blue: Any,
    depth: Any,
) -> Any:
    """Add weight * (red, green, blue, depth) to planes 1 to 4."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], args[0], args[1])
        weight = row.blend(*args[2:5])
        for number, value in enumerate(args[5:], start=1):
            row.add_to(row.plane(number), row.mul(weight, row.splat(value)))
        return context.get_dummy_value()

    values = (types.float32,) * 4
    return types.void(planes, types.int64, *GEOMETRY, *values), codegen


@intrinsic
def score_row(
    typingctx: Any, planes: Any, totals: Any, offset: Any, center: Any, base: Any, across: Any
) -> Any:
    """Weights: sum in total 0, maximum in 1, count in 2; transmittance before them in 3."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], args[0], args[2])
        sums = Row(context, builder, signature.args[1], args[1], args[2])
        before = row.load(row.plane(0))
        weight = row.blend(*args[3:])
        sums.add_to(sums.total(0), weight)
        most = row.load(sums.total(1))
        row.store(row.maximum(weight, most), sums.total(1))
        hit = row.greater(weight, row.constant(0))
        sums.add_to(sums.total(2), row.where(hit, row.constant(1), row.constant(0)))
        sums.add_to(sums.total(3), row.where(hit, before, row.constant(0)))
        return context.get_dummy_value()

    return types.void(planes, totals, types.int64, *GEOMETRY), codegen


@intrinsic
def gather_row(
    typingctx: Any, planes: Any, totals: Any, offset: Any, center: Any, base: Any, across: Any
) -> Any:
    """Add weight * planes 1 to 3 to totals 0 to 2, the weights to 3, their squares to 4."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], args[0], args[2])
        sums = Row(context, builder, signature.args[1], args[1], args[2])
        weight = row.blend(*args[3:])
        for channel in range(3):
            picture = row.load(row.plane(1 + channel))
            sums.add_to(sums.total(channel), row.mul(weight, picture))
        sums.add_to(sums.total(3), weight)
        sums.add_to(sums.total(4), row.mul(weight, weight))
        return context.get_dummy_value()

    return types.void(planes, totals, types.int64, *GEOMETRY), codegen


@intrinsic
def lane_sum(typingctx: Any, array: Any, offset: Any) -> Any:
    """Sum of the LANES floats of `array` from `offset` on, in a fixed order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], *args)
        return row.fold(row.load(row.plane(0)), row.add)

    return types.float32(array, types.int64), codegen


@intrinsic
def lane_max(typingctx: Any, array: Any, offset: Any) -> Any:
    """Maximum of the LANES floats of `array` from `offset` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], *args)
        return row.fold(row.load(row.plane(0)), row.maximum)

    return types.float32(array, types.int64), codegen
