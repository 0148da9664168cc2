"""The interface of painters, and the choice of a painter by name.

A painter receives a render over black and the confidence map of that render. It returns the picture
with its gaps filled.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

from exgs.codec.errors import ExgsError
from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

LEFT_ALONE = "the file has proxies for missing leaves: the painter does not change its pictures"
PAINTERS = ("none", "fill", "gauss")
_GAUSS_NEEDS = ("torch", "diffusers", "safetensors")


class PainterError(ExgsError):
    """The painter is unknown, or this installation can't run it."""


class Painter(Protocol):
    """Fills the gaps of pictures."""

    @property
    def slow(self) -> bool:
        """Whether painting takes so long that it should run on its own thread (`PaintWorker`)."""
        ...

    @property
    def spreads(self) -> bool:
        """Whether it needs the layer of spread leaves, `Gaps.spread`."""
        ...

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """Return the picture [H, W, 3] with its gaps filled.

        `render` is over black. Pixels that leaves cover fully are returned bit for bit.
        """
        ...


def painter_named(
    name: str, model: Path | None = None, budget_s: float | None = None
) -> Painter | None:
    """Return the painter called `name`, one of PAINTERS; None for "none".

    `model` is a model folder for "gauss" that replaces the shipped weights. `budget_s` is the time
    that one picture may take; "gauss" lowers its resolution to keep it. Raises PainterError.
    """
    if model is not None and name != "gauss":
        raise PainterError(f"{model}: painter {name} takes no model; use painter gauss")
    match name:
        case "none":
            return None
        case "fill":
            from exgs.painter.fill import FillPainter

            return FillPainter()
        case "gauss":
            require_gauss()
            from exgs.painter.gauss import GaussPainter

            return GaussPainter(model, budget_s)
    raise PainterError(f"no painter is called {name!r}; choose from {', '.join(PAINTERS)}")


def require_gauss() -> None:
    """Raise PainterError if a package that painter gauss needs is not installed."""
    missing = [name for name in _GAUSS_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise PainterError(
            f"painter gauss needs {', '.join(missing)}; install it from the exgs folder:"
            " pip install '.[painter]'"
        )
