"""What the network sees of a frame: the render, the colours for its gaps, and the confidence map.

One stack of planes [PLANES, H, W] in [0, 1], the same for training and for painting; and the gate
that says how much of the network's answer each pixel takes.
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

# RGB as rendered, RGB for gaps; leaves, proxies, SH pending, gaps by weight and by reach; then
# premultiplied RGB and alpha of leaves spread by a network, and stretched to their neighbours.
PLANES = 19
RAW, GAPS, MAP, SPREAD, WIDE = (
    slice(0, 3),
    slice(3, 6),
    slice(6, 11),
    slice(11, 14),
    slice(15, 18),
)
COLORS = RAW, GAPS, SPREAD, WIDE
LEAVES, PROXIES, REACH = 6, 7, 10

# From which weight on the gate opens, and from which it is open: for what may be a gap, and for
# leaves that stand for others. Where fewer are missing there is next to nothing left to gain, and
# no pairs to learn it from.
_REACH_OPENS = 1.0 - COVERED_WEIGHT, 0.1
_DOUBT_OPENS = 0.3, 0.4


def planes(render: Render, confidence: Confidence, gaps: Gaps) -> FloatArray:
    """The network's input of one frame with these gaps, clamped to [0, 1].

    Raises ValueError where the gaps lack the layer of spread leaves.
    """
    if gaps.spread is None:
        raise ValueError("the leaves have not been spread")
    near = gaps.reach > 1 - COVERED_WEIGHT  # colours elsewhere mean nothing
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
            np.moveaxis(gaps.wide, 2, 0),
        ]
    )
    return np.asarray(np.clip(stack, 0.0, 1.0), np.float32)


def gate(confidence: Confidence) -> FloatArray:
    """How far each pixel [H, W] is painted: 0 leaves it as rendered, bit for bit.

    Closed where leaves cover, where the empty background shows, and all over where proxies stand
    for what is missing: those were fitted to the whole scene's pictures, and painting over them
    gains nothing. Nor does it over leaves of which only SH is still to come.
    """
    if confidence.gaps is None:
        return np.zeros_like(confidence.nothing)
    return np.asarray(gate_of(confidence.proxies, confidence.gaps.reach), np.float32)


def gate_of(doubt: Values, reach: Values) -> Values:
    """The gate, from the weights of leaves that stand for others and of what may be a gap."""
    return (_ramp(doubt, *_DOUBT_OPENS) + _ramp(reach, *_REACH_OPENS)).clip(0.0, 1.0)


def _ramp(values: Values, low: float, high: float) -> Values:
    return ((values - low) / (high - low)).clip(0.0, 1.0)
