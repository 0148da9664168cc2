"""Perceptual metrics of a picture, in `perceptual` of an experiment. Each needs a package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from exgs.lab.errors import LabError
from exgs.scene.gaussians import FloatArray
from exgs.scene.metrics import can_flip, flip

Metric = Callable[[FloatArray, FloatArray], float]  # of a picture and its target


def _flip() -> Metric:
    if not can_flip():
        raise LabError("perceptual = ['flip'] needs: pip install flip-evaluator")
    return flip


def _stlpips() -> Metric:
    try:
        from exgs.painter.interface import PainterError
        from exgs.painter.stlpips import StLpips, StLpipsMeter

        net = StLpips()
    except (ModuleNotFoundError, PainterError) as error:
        raise LabError(
            "perceptual = ['stlpips'] needs: pip install torch, and"
            " pip install --no-deps stlpips-pytorch"
        ) from error
    return lambda picture, target: StLpipsMeter(net, target)(picture)


PERCEPTUAL: Mapping[str, Callable[[], Metric]] = {"flip": _flip, "stlpips": _stlpips}


@cache
def perceptual_metric(name: str) -> Metric:
    """The metric of this name. Raises LabError if there is none, or if its package is missing."""
    if name not in PERCEPTUAL:
        raise LabError(f"perceptual metric {name!r} is none of {', '.join(PERCEPTUAL)}")
    return PERCEPTUAL[name]()
