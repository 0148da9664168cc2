"""Quantizer steps by measured sensitivity: every scalar of a cell adds the same squared error.

At a given distortion, bits are spent best where each coded scalar adds equally to the squared
error of the pictures. To first order, an error e in an attribute of Gaussian i adds
energy_i * (g_i * e)^2, with energy_i the sum of w^2 over the pixels and g_i how strongly the
attribute moves the splat's light. A cell's step follows from the mean over its Gaussians.
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

# Squared error per pixel that all coded scalars of one kind may add in the end, about 48 dB.
_FINE_TOTAL = 2.9e-7
_FINE_SH_RATIO = 2.4  # SH are many, and seen from some directions only
# Layers are quantized more coarsely while much of the scene is missing; the last layer is final.
_COARSE_GROWTH = 2.15  # power of the share that has arrived
_COARSE_SHARE_MIN = 0.25
_COARSE_SH_RATIO = 2.5  # SH distortion budget, relative to the coarse geometry budget
_SHAPES_SHARE = 0.45  # once more than this has arrived, shapes cost more than the model says
_COLORS_RATIO = 2.7  # distortion budget of base colours that SH will correct

# How far each attribute may go beyond the common step, as measured on renders.
_POSITION = 3.6
_SCALE = 4.4
_MIDDLE = 1.8  # in steps of the longest axis
_FLATNESS = 0.1  # see sizes.py
_ROTATION = 5.4
_OPACITY = 5.0
_LUMA = 1.1
_CHROMA = 1.5
_SH = 1.0

# Bounds that keep a step sensible where hardly anything is seen.
_SCALE_STEP = (0.01, 0.7)
_ROTATION_BITS = (4, 12)
_OPACITY_BITS = (3, 10)
_COLOR_STEP = (0.002, 0.5)
_SH_STEP = (0.005, 2.0)
_TINY = 1e-30  # of a black scene nothing shows, yet steps must be positive


@dataclass(frozen=True, slots=True)
class Precision:
    """Squared error per pixel, [0, 1]^2, that each coded scalar of a layer may add."""

    coarse: float  # of the first coding
    coarse_sh: float
    fine: float  # of the last
    fine_sh: float
    shape_factor: float  # of these, that each scalar of a shape may add
    color_factor: float  # and of a base colour


def layer_precision(count: int, arrived: float, *, sh: bool) -> Precision:
    """The precision of a layer after which the share `arrived` of `count` Gaussians is there.

    While most of the scene is missing, a finer coding would not show. `sh` says whether SH follow.
    """
    fine = _FINE_TOTAL / count
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
    """Steps for one cell.

    Args:
        scene: the cell's Gaussians.
        energy: [N] sum of w^2 per pixel of the views.
        contrast: [N] the same, weighed by how much the Gaussian differs from what lies behind.
        pixel_size: [N] world size of a pixel at the Gaussian's usual viewing distance.
        distortion: squared error per pixel that each coded scalar may add, [0, 1]^2.
        shape_factor: of it, that each scalar of a shape may add.
        color_factor: of it, that each scalar of a colour may add.
    """
    sizes = -np.sort(-scene.scales.astype(np.float64), axis=1)
    width = np.hypot(sizes[:, 1], 0.5 * pixel_size)
    # A turn shows the more, the less round a Gaussian is, and moves the ends of a needle far.
    elongation = 1 - np.minimum(sizes[:, 1] / sizes[:, 0], 1)
    turning = np.maximum(elongation, 0.1) * np.maximum(0.5 * sizes[:, 0] / width, 1)
    of_shape = shape_factor * distortion
    common = {
        "position": _step(contrast, 1 / width, of_shape),
        "scale": _step(contrast, 1.0, of_shape),
        "rotation": _step(contrast, turning, of_shape),
        "opacity": _step(contrast, 1 / np.maximum(scene.opacities, 0.05), of_shape),
        "color": _step(energy, SH_C0, color_factor * distortion),
    }
    turn = _ROTATION * common["rotation"]  # radians; a component moves by half of that over sqrt 2
    return GeometrySteps(
        position=_POSITION * common["position"],
        sizes=SizeSteps(float(np.clip(_SCALE * common["scale"], *_SCALE_STEP)), _MIDDLE, _FLATNESS),
        rotation_bits=_bits(2 * math.sqrt(2) / turn, _ROTATION_BITS, ROTATION_BITS_MAX),
        opacity_bits=_bits(1 / (_OPACITY * common["opacity"]), _OPACITY_BITS, OPACITY_BITS_MAX),
        luma=float(np.clip(_LUMA * common["color"], *_COLOR_STEP)),
        chroma=float(np.clip(_CHROMA * common["color"], *_COLOR_STEP)),
    )


def sh_step(energy: npt.NDArray[np.floating], distortion: float) -> float:
    """Step of the SH coefficients of one cell; arguments as for `geometry_steps`."""
    return float(np.clip(_SH * _step(energy, SH_C0, distortion), *_SH_STEP))


def _step(
    energy: npt.NDArray[np.floating], strength: npt.NDArray[np.floating] | float, distortion: float
) -> float:
    """The uniform step whose error, step^2 / 12, adds `distortion` per Gaussian on average."""
    sensitivity = float(np.mean(energy * np.square(strength))) if len(energy) else 0.0
    return math.sqrt(12 * max(distortion, _TINY) / max(sensitivity, _TINY))


def _bits(levels: float, bounds: tuple[int, int], limit: int) -> int:
    wanted = math.ceil(math.log2(max(levels, 1.0)) - 0.25)
    return min(max(wanted, bounds[0]), bounds[1], limit)
