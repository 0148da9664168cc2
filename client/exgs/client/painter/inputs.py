"""What the network sees of a frame: the filled render, what filling added, and the confidence.

One stack of planes [PLANES, H, W] in [0, 1], the same for training and for painting; and the gate
that says how much of the network's answer each pixel takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from exgs.client.painter.confidence import COVERED_WEIGHT, Confidence
from exgs.client.painter.fill import fill
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterize import Render

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", FloatArray, "Tensor")

# Filled RGB, RGB that filling added, leaves, proxies, nothing, SH pending.
PLANES = 10
FILLED, ADDED, MAP = slice(0, 3), slice(3, 6), slice(6, 10)

# An untrusted weight of so much opens the gate fully.
_OPEN_WEIGHT = 0.1
# What SH that has not come takes from the trust in a leaf: its mean colour is right.
_PENDING_DISTRUST = 0.5


def planes(render: Render, confidence: Confidence) -> FloatArray:
    """The network's input of one frame, clamped to [0, 1]."""
    raw = np.clip(render.rgb, 0.0, 1.0)
    filled = fill(raw, confidence)
    stack = np.concatenate(
        [
            np.moveaxis(filled, 2, 0),
            np.moveaxis(filled - raw, 2, 0),
            confidence.leaves[None],
            confidence.proxies[None],
            (confidence.nothing * confidence.reach)[None],
            confidence.sh_pending[None],
        ]
    )
    return np.asarray(np.clip(stack, 0.0, 1.0), np.float32)


def gate(confidence: Confidence) -> FloatArray:
    """How far each pixel [H, W] is painted: 0 leaves it as rendered, bit for bit.

    Zero where leaves cover with all their detail, and where the empty background shows.
    """
    missing = confidence.nothing * confidence.reach
    opened = gate_of(confidence.proxies, missing, confidence.sh_pending)
    return np.asarray(opened, np.float32)


def gate_of(proxies: Values, missing: Values, sh_pending: Values) -> Values:
    """The gate, from the weights of proxies, of gaps, and of leaves whose SH has not come."""
    distrust = proxies + missing + _PENDING_DISTRUST * sh_pending
    hidden = 1.0 - COVERED_WEIGHT
    return ((distrust - hidden) / (_OPEN_WEIGHT - hidden)).clip(0.0, 1.0)
