"""The choice of a painter by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from exgs.painter.interface import Painter, PainterError

PAINTERS = ("none", "fill", "gauss", "sharpen")
FOR_PROXIES = ("sharpen",)  # these paint files with proxies, the others files without
_GAUSS_NEEDS = ("torch", "diffusers", "safetensors")


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
        case "sharpen":
            from exgs.painter.sharpen import SharpenPainter

            return SharpenPainter()
        case "fill":
            from exgs.painter.fill import FillPainter

            return FillPainter()
        case "gauss":
            require_gauss()
            from exgs.painter.gauss import GaussPainter

            return GaussPainter(model, budget_s)
    raise PainterError(f"no painter is called {name!r}; choose from {', '.join(PAINTERS)}")


def left_alone(name: str, *, has_proxies: bool) -> str | None:
    """A note if the painter called `name` does not change pictures of such a file."""
    if name == "none" or (name in FOR_PROXIES) == has_proxies:
        return None
    if has_proxies:
        return (
            "the file has proxies for missing leaves: this painter does not change its pictures;"
            " --painter sharpen does"
        )
    return "the file has no proxies: --painter sharpen does not change its pictures"


def require_gauss() -> None:
    """Raise PainterError if a package that painter gauss needs is not installed."""
    missing = [name for name in _GAUSS_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise PainterError(
            f"painter gauss needs {', '.join(missing)}; pip install 'exgs[painter]', or in a"
            " source folder pip install '.[painter]'"
        )
