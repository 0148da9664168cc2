"""Sharpens pictures of files with proxies, where proxies are drawn.

Proxies are larger than the leaves that they stand for, so such pictures are soft and uneven. A
small network chooses for each place how much to amplify or to remove each band of detail
(`detail`). What it adds passes through a gate, the share of proxies in each pixel.
"""

from __future__ import annotations

import numpy as np

from exgs.painter.confidence import COVERED_WEIGHT, Confidence
from exgs.painter.detail import cell_maps, shipped
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

_RAMP = 1.0 - COVERED_WEIGHT, 0.15  # shares of proxies between which the gate opens


class SharpenPainter:
    """See Painter. Pictures of files without proxies are returned bit for bit."""

    slow = False
    spreads = False

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """See Painter."""
        opened = sharpen_gate(confidence)
        if not opened.any():
            return render.rgb
        change = shipped().added(render.rgb, cell_maps(render, confidence))
        painted = np.clip(render.rgb + opened[..., None] * change, 0.0, 1.0)
        return np.where(opened[..., None] > 0, painted, render.rgb).astype(np.float32)


def sharpen_gate(confidence: Confidence) -> FloatArray:
    """The share of the change in each pixel [H, W]; 0 where leaves cover it, or without proxies.

    It closes towards the background, since a painter sees pictures over black only.
    """
    if confidence.proxy_sizes is None:
        return np.zeros_like(confidence.proxies)
    low, high = _RAMP
    opened = np.clip((confidence.proxies - low) / (high - low), 0.0, 1.0)
    covered = np.clip(confidence.leaves + confidence.proxies, 0.0, 1.0)
    return np.asarray(opened * covered, np.float32)
