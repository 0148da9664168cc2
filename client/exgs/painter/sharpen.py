"""Sharpens pictures of files with proxies, where proxies are drawn.

Proxies are larger than the leaves that they stand for, so such pictures are soft. An unsharp mask
is applied through a gate, the share of proxies in each pixel. Its radius and its amount follow the
size of the proxies on the screen. There are no learned weights.
"""

from __future__ import annotations

import numpy as np

from exgs.painter.confidence import COVERED_WEIGHT, Confidence
from exgs.painter.unsharp import blurred
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

_RAMP = 1.0 - COVERED_WEIGHT, 0.15  # shares of proxies between which the gate opens
# Standard deviations in pixels, of proxies that get the first mask and of those that get the second
_FINE_PX, _COARSE_PX = 3.0, 12.0
_FINE, _COARSE = (1.0, 0.5), (2.0, 0.75)  # radius in pixels and amount of each mask


class SharpenPainter:
    """See Painter. Pictures of files without proxies are returned bit for bit."""

    slow = False
    spreads = False

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """See Painter."""
        opened = sharpen_gate(confidence)
        if confidence.proxy_sizes is None or not opened.any():
            return render.rgb
        octaves = np.log2(np.maximum(confidence.proxy_sizes, 1e-3) / _FINE_PX)
        coarse = np.clip(octaves / np.log2(_COARSE_PX / _FINE_PX), 0.0, 1.0)
        change = np.zeros_like(render.rgb)
        for share, (radius, amount) in ((1 - coarse, _FINE), (coarse, _COARSE)):
            detail = render.rgb - blurred(render.rgb, radius)
            change += (amount * share * opened)[..., None] * detail
        painted = np.clip(render.rgb + change, 0.0, 1.0)
        return np.where(opened[..., None] > 0, painted, render.rgb).astype(np.float32)


def sharpen_gate(confidence: Confidence) -> FloatArray:
    """The share of the mask in each pixel [H, W]; 0 where leaves cover it, or without proxies.

    It closes towards the background, since a painter sees pictures over black only.
    """
    if confidence.proxy_sizes is None:
        return np.zeros_like(confidence.proxies)
    low, high = _RAMP
    opened = np.clip((confidence.proxies - low) / (high - low), 0.0, 1.0)
    covered = np.clip(confidence.leaves + confidence.proxies, 0.0, 1.0)
    return np.asarray(opened * covered, np.float32)
