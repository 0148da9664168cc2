"""A run of the optimiser: its options, its learning rate, and the curve that it leaves."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from exgs.painter.training.scenes import RecipeError

_MOST_LOST = 20  # steps without a finite gradient, one after another


@dataclass(frozen=True, slots=True)
class Steps:
    """The run of the optimiser (AdamW; the rate rises, stays, and falls to zero at the end)."""

    count: int = 1000
    batch: int = 6
    crop: int = 128  # pixels, cut anew from the pairs' crops at each step
    rate: float = 1.5e-3
    warm_up: int = 50
    decay: int = 400
    weight_decay: float = 0.1  # without it the weights before a norm grow for ever
    ema: float = 0.995
    checkpoint: int = 100
    seed: int = 0
    half: bool = False  # bfloat16 on a CPU too; on a GPU always


class Course:
    """Tells when a run has gone astray."""

    def __init__(self) -> None:
        self._lost = 0

    def is_lost(self, step: int, slope: Tensor) -> bool:
        """Whether a step must not be taken, since the norm of its gradient is no number.

        Raises RecipeError when many in a row were such.
        """
        self._lost = 0 if slope.isfinite() else self._lost + 1
        if self._lost == _MOST_LOST:
            raise RecipeError(
                f"step {step}: the loss is no number any more; go on from the last checkpoint's"
                " weights with a lower rate"
            )
        return self._lost > 0


def rate_at(step: int, steps: Steps) -> float:
    """The learning rate: linear up, flat, linear down to zero."""
    rising = (step + 1) / max(steps.warm_up, 1)
    falling = (steps.count - step) / max(steps.decay, 1)
    return steps.rate * min(1.0, rising, falling)


def set_rate(optimiser: Optimizer, step: int, steps: Steps) -> None:
    """Give `optimiser` the learning rate of this step."""
    for group in optimiser.param_groups:
        group["lr"] = rate_at(step, steps)


@torch.no_grad()
def average(means: Module, values: Module, step: int, steps: Steps) -> None:
    """Draw the moving averages of the weights towards them, faster in the first of the steps."""
    keep = min(steps.ema, step / (step + 10))
    for mean, value in zip(means.parameters(), values.parameters(), strict=True):
        mean.lerp_(value, 1 - keep)


def write_curve(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write figures by step, all rows with the same columns, as CSV."""
    with path.open("w", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([f"{value:.6g}" for value in row.values()] for row in rows)
