"""Fills gaps with the colours of the surrounding leaves.

For files without proxies. In files with proxies no gaps occur.
"""

from __future__ import annotations

from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render


class FillPainter:
    """Fills gaps. Proxies and leaves stay as rendered."""

    slow = False
    spreads = False

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """See Painter."""
        gaps = confidence.gaps
        if gaps is None:
            return render.rgb
        filled: FloatArray = render.rgb + gaps.weight[..., None] * gaps.colors
        return filled
