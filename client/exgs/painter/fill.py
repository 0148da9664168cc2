"""The honest fill: gaps take the colours of the leaves around them, what has come stays.

For files without proxies; where there are some, nothing is open that is not open in the scene.
"""

from __future__ import annotations

from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render


class FillPainter:
    """Fills what is missing; proxies and leaves stay as rendered."""

    slow = False
    spreads = False

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """See Painter."""
        gaps = confidence.gaps
        if gaps is None:
            return render.rgb
        filled: FloatArray = render.rgb + gaps.weight[..., None] * gaps.colors
        return filled
