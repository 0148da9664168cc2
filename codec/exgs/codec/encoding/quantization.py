"""Quantization steps, from the sensitivity of the pictures to errors of each value.

For a given total distortion, the rate is minimal if each coded scalar adds the same squared error
to the pictures (reverse water-filling). To first order, an error e in an attribute of Gaussian i
adds energy_i * (g_i * e)^2, where energy_i is the sum of w^2 over the pixels and g_i is the change
of the Gaussian's picture per unit of the attribute. The step of a cell follows from the mean over
its Gaussians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import OPACITY_BITS_MAX, ROTATION_BITS_MAX
from exgs.codec.payload.geometry import GeometrySteps
from exgs.codec.payload.scale_levels import SizeSteps
from exgs.scene.gaussians import SH_C0, Gaussians

# Squared error per pixel that all coded scalars of one kind may add in the complete file. The sum
# over all kinds is about 48 dB.
_FINE_TOTAL = 2.9e-7
_FINE_SH_RATIO = 2.4  # SH distortion budget, relative to the fine geometry budget
# Layers are quantized more coarsely while much of the scene is missing; the last layer is final.
_COARSE_GROWTH = 2.15  # exponent of the share of leaves that have arrived
_COARSE_SHARE_MIN = 0.25
_COARSE_SH_RATIO = 2.5  # SH distortion budget, relative to the coarse geometry budget
# If a larger share of the leaves has arrived, errors of shapes exceed the model, so their budget is
# smaller.
_SHAPES_SHARE = 0.45
_COLORS_RATIO = 2.7  # distortion budget of base colours that SH will correct

# Factors on the step of the model, from measurements on renderings.
_POSITION = 3.6
_SCALE = 4.4
_MIDDLE = 1.8  # step of the middle axis, relative to the longest axis
_FLATNESS = 0.1  # see `SizeSteps`
_ROTATION = 5.4
_OPACITY = 5.0
_LUMA = 1.1
_CHROMA = 1.5
_SH = 1.0

# Bounds of the steps, for cells that the views hardly see.
_SCALE_STEP = (0.01, 0.7)
_ROTATION_BITS = (4, 12)
_OPACITY_BITS = (3, 10)
_COLOR_STEP = (0.002, 0.5)
_SH_STEP = (0.005, 2.0)
_TINY = 1e-30  # keeps steps positive if nothing is visible


@dataclass(frozen=True, slots=True)
class Precision:
    """Distortion budgets of one layer: squared error per pixel that each coded scalar may add.

    Channel values are in [0, 1].
    """

    coarse: float  # LEAF
    coarse_sh: float  # first SH
    fine: float  # after FINE
    fine_sh: float  # after the second SH
    shape_factor: float  # on the budget of shapes
    color_factor: float  # on the budget of base colours


def layer_precision(count: int, arrived: float, *, sh: bool, coarseness: float = 1.0) -> Precision:
    """The precision of a layer after which the share `arrived` of `count` leaves has arrived.

    `sh` tells whether SH follow, `coarseness` is a factor on the squared errors. While most of the
    scene is missing, a finer quantization would not be visible.
    """
    fine = coarseness * _FINE_TOTAL / count
    coarse = fine * max(arrived, _COARSE_SHARE_MIN) ** -_COARSE_GROWTH
    coarse_sh, fine_sh = coarse * _COARSE_SH_RATIO, fine * _FINE_SH_RATIO
    shape_factor = min(_SHAPES_SHARE / max(arrived, _SHAPES_SHARE), 1.0)
    color_factor = _COLORS_RATIO if sh else 1.0
    return Precision(coarse, coarse_sh, fine, fine_sh, shape_factor, color_factor)


def geometry_steps(
    scene: Gaussians,
    energy: npt.NDArray[np.floating],
    contrast: npt.NDArray[np.floating],
    pixel_size: npt.NDArray[np.floating],
    distortion: float,
    *,
    shape_factor: float = 1.0,
    color_factor: float = 1.0,
) -> GeometrySteps:
    """The quantization steps of one cell.

    Args:
        scene: the N Gaussians of the cell.
        energy: [N] sum of w^2 per pixel of the views.
        contrast: [N] energy weighted by the contrast to the background, see `Importance.contrast`.
        pixel_size: [N] world size of a pixel at the mean viewing distance.
        distortion: squared error per pixel that each coded scalar may add, [0, 1]^2.
        shape_factor: factor on `distortion` for scalars of shapes.
        color_factor: factor on `distortion` for scalars of colours.
    """
    sizes = -np.sort(-scene.scales.astype(np.float64), axis=1)
    width = np.hypot(sizes[:, 1], 0.5 * pixel_size)
    # Rotations are more visible for elongated Gaussians, and move the ends of needles far.
    elongation = 1 - np.minimum(sizes[:, 1] / sizes[:, 0], 1)
    rotation_effect = np.maximum(elongation, 0.1) * np.maximum(0.5 * sizes[:, 0] / width, 1)
    shape_distortion = shape_factor * distortion
    position = _step(contrast, 1 / width, shape_distortion)
    scale = _step(contrast, 1.0, shape_distortion)
    rotation = _step(contrast, rotation_effect, shape_distortion)
    opacity = _step(contrast, 1 / np.maximum(scene.opacities, 0.05), shape_distortion)
    color = _step(energy, SH_C0, color_factor * distortion)
    # A rotation by an angle changes a quaternion component by half of it, over sqrt(2).
    angle = _ROTATION * rotation  # radians
    return GeometrySteps(
        position=_POSITION * position,
        sizes=SizeSteps(float(np.clip(_SCALE * scale, *_SCALE_STEP)), _MIDDLE, _FLATNESS),
        rotation_bits=_bits(2 * math.sqrt(2) / angle, _ROTATION_BITS, ROTATION_BITS_MAX),
        opacity_bits=_bits(1 / (_OPACITY * opacity), _OPACITY_BITS, OPACITY_BITS_MAX),
        luma=float(np.clip(_LUMA * color, *_COLOR_STEP)),
        chroma=float(np.clip(_CHROMA * color, *_COLOR_STEP)),
    )


def sh_step(energy: npt.NDArray[np.floating], distortion: float) -> float:
    """The step of the SH coefficients of one cell; arguments as in `geometry_steps`."""
    return float(np.clip(_SH * _step(energy, SH_C0, distortion), *_SH_STEP))


def _step(
    energy: npt.NDArray[np.floating], effect: npt.NDArray[np.floating] | float, distortion: float
) -> float:
    """The step whose mean squared error, step^2 / 12, adds `distortion` per Gaussian on average.

    `effect` is g_i of the module's formula, [N] or one value for all.
    """
    sensitivity = float(np.mean(energy * np.square(effect))) if len(energy) else 0.0
    return math.sqrt(12 * max(distortion, _TINY) / max(sensitivity, _TINY))


def _bits(levels: float, bounds: tuple[int, int], limit: int) -> int:
    wanted = math.ceil(math.log2(max(levels, 1.0)) - 0.25)
    return min(max(wanted, bounds[0]), bounds[1], limit)
