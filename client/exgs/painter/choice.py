"""What masks the gaps of a scene that is still arriving: the protocol, and the choice by name.

A painter is given a render, over black, and the confidence map that says which of its pixels
can be trusted. A painter that this installation can't run is refused in one line.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

from exgs.codec.errors import ExgsError
from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

LEFT_ALONE = "the file has proxies for what is missing: the painter leaves its pictures as they are"
PAINTERS = ("none", "fill", "gauss")
_GAUSS_NEEDS = ("torch", "diffusers", "safetensors")


class PainterError(ExgsError):
    """A painter that this installation doesn't have."""


class Painter(Protocol):
    """Masks the gaps of one picture."""

    @property
    def slow(self) -> bool:
        """Whether frames should not wait for it."""
        ...

    @property
    def spreads(self) -> bool:
        """Whether it is to be shown the leaves as a network spreads them."""
        ...

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """The picture [H, W, 3] with its gaps masked.

        `render` is over black. Pixels that leaves cover come out as rendered, bit for bit.
        """
        ...


def painter_named(
    name: str, model: Path | None = None, budget_s: float | None = None
) -> Painter | None:
    """The painter of this name, None for "none"; raises PainterError where it can't be had.

    `model` is a folder for "gauss" in place of the weights that are shipped; `budget_s` is what a
    frame may take, for which "gauss" steps down in resolution.
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
    raise PainterError(f"no painter is called {name!r}; there are {', '.join(PAINTERS)}")


def require_gauss() -> None:
    """Raise PainterError where what painter gauss runs on is not installed."""
    missing = [name for name in _GAUSS_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise PainterError(
            f"painter gauss needs {', '.join(missing)}; install it from the exgs folder:"
            " pip install '.[painter]'"
        )
