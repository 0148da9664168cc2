"""The input of the network and the gate, the same for training and painting.

The input is one stack of planes [PLANES, H, W] in [0, 1]: the render, colours for its gaps, the
confidence map, and layers of spread and stretched leaves. The gate is the share of the network's
output in each pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from exgs.painter.confidence import COVERED_WEIGHT, Confidence
from exgs.painter.gaps import Gaps
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", FloatArray, "Tensor")

# Planes: rendered RGB, RGB for gaps; leaves, proxies, pending SH, weight and reach of gaps; then
# premultiplied RGB and alpha of the spread leaves and of the stretched leaves.
PLANES = 19
RAW, GAPS, MAP, SPREAD, STRETCHED = (
    slice(0, 3),
    slice(3, 6),
    slice(6, 11),
    slice(11, 14),
    slice(15, 18),
)
COLORS = RAW, GAPS, SPREAD, STRETCHED
LEAVES, PROXIES, REACH = 6, 7, 10

# The gate opens linearly between two weights: of possible gaps (reach), and of stand-ins (the plane
# `proxies`). Below these weights there is little to gain, and training has no examples.
_REACH_RAMP = 1.0 - COVERED_WEIGHT, 0.1
_STAND_IN_RAMP = 0.3, 0.4


def planes(render: Render, confidence: Confidence, gaps: Gaps) -> FloatArray:
    """The network's input [PLANES, H, W] for one picture, clamped to [0, 1].

    Raises ValueError if `gaps` has no layer of spread leaves.
    """
    if gaps.spread is None:
        raise ValueError("the leaves have not been spread")
    near = gaps.reach > 1 - COVERED_WEIGHT  # colours are meaningless elsewhere
    stack = np.concatenate(
        [
            np.moveaxis(render.rgb, 2, 0),
            np.moveaxis(gaps.colors * near[..., None], 2, 0),
            confidence.leaves[None],
            confidence.proxies[None],
            confidence.sh_pending[None],
            gaps.weight[None],
            gaps.reach[None],
            np.moveaxis(gaps.spread, 2, 0),
            np.moveaxis(gaps.stretched, 2, 0),
        ]
    )
    return np.asarray(np.clip(stack, 0.0, 1.0), np.float32)


def gate(confidence: Confidence) -> FloatArray:
    """The share of the network's output in each pixel [H, W]; 0 keeps the render bit for bit.

    The gate is closed where leaves cover a pixel and where the scene has empty background. It is
    closed everywhere in files with proxies: proxies are fitted to pictures of the whole scene, so
    painting over them does not reduce the error. Pending SH does not open it either.
    """
    if confidence.gaps is None:
        return np.zeros_like(confidence.nothing)
    return np.asarray(gate_of(confidence.proxies, confidence.gaps.reach), np.float32)


def gate_of(stand_ins: Values, reach: Values) -> Values:
    """The gate, from the weights of stand-ins and of possible gaps."""
    return (_ramp(stand_ins, *_STAND_IN_RAMP) + _ramp(reach, *_REACH_RAMP)).clip(0.0, 1.0)


def _ramp(values: Values, low: float, high: float) -> Values:
    return ((values - low) / (high - low)).clip(0.0, 1.0)
