"""What masks the gaps of a scene that is still arriving: the protocol, and the choice by name.

A painter is given a render, over black, and the confidence map that says which of its pixels
can be trusted. `fill` is here; a painter that is not is refused in one line.
"""

from __future__ import annotations

from typing import Protocol

from exgs.client.painter.confidence import Confidence
from exgs.codec.errors import ExgsError
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterize import Render

__all__ = ["PAINTERS", "Confidence", "Painter", "PainterError", "painter_named"]

PAINTERS = ("none", "fill", "gauss")


class PainterError(ExgsError):
    """A painter that this installation doesn't have."""


class Painter(Protocol):
    """Masks the gaps of one picture."""

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """The picture [H, W, 3] with its gaps masked.

        `render` is over black. Pixels that leaves cover come out as rendered, bit for bit.
        """
        ...


def painter_named(name: str) -> Painter | None:
    """The painter of this name, None for "none"; raises PainterError where it can't be had."""
    match name:
        case "none":
            return None
        case "fill":
            from exgs.client.painter.fill import FillPainter

            return FillPainter()
        case "gauss":
            raise PainterError("painter gauss is not in this version of exgs; use fill or none")
    raise PainterError(f"no painter is called {name!r}; there are {', '.join(PAINTERS)}")
