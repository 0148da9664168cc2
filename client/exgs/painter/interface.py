"""The interface of painters.

A painter receives a render over black and the confidence map of that render. It returns the picture
with its gaps filled, or sharpened.
"""

from __future__ import annotations

from typing import Protocol

from exgs.codec.errors import ExgsError
from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render


class PainterError(ExgsError):
    """The painter is unknown, or this installation can't run it."""


class Painter(Protocol):
    """Fills the gaps of pictures, or sharpens them."""

    @property
    def slow(self) -> bool:
        """Whether painting takes so long that it should run on its own thread (`PaintWorker`)."""
        ...

    @property
    def spreads(self) -> bool:
        """Whether it needs the layer of spread leaves, `Gaps.spread`."""
        ...

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """Return the painted picture [H, W, 3].

        `render` is over black. Pixels that leaves cover fully are returned bit for bit.
        """
        ...
