"""Options of the optimiser, its learning rate, averages of weights, and the training curve."""

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

_MOST_SKIPPED = 20  # consecutive steps without a finite gradient


@dataclass(frozen=True, slots=True)
class OptimiserOptions:
    """Options of AdamW. The learning rate rises linearly, stays, and falls linearly to zero."""

    steps: int = 1000
    batch: int = 6
    crop: int = 128  # side in pixels of the random crop from each pair, drawn at each step
    learning_rate: float = 1.5e-3
    warm_up: int = 50  # steps
    decay: int = 400  # steps
    weight_decay: float = 0.1  # without it, weights in front of a normalisation grow without bound
    ema: float = 0.995  # decay of the moving average of the weights
    checkpoint: int = 100  # steps between checkpoints
    seed: int = 0
    bfloat16: bool = False  # on a CPU; a GPU always uses bfloat16


class DivergenceCheck:
    """Detects a run that has diverged."""

    def __init__(self) -> None:
        self._skipped = 0

    def skips(self, step: int, gradient_norm: Tensor) -> bool:
        """Whether to skip a step because its gradient is not finite.

        Raises RecipeError after many consecutive steps of this kind.
        """
        self._skipped = 0 if gradient_norm.isfinite() else self._skipped + 1
        if self._skipped == _MOST_SKIPPED:
            raise RecipeError(
                f"step {step}: the loss is not finite any more; continue from the weights of the"
                " last checkpoint with a lower learning rate"
            )
        return self._skipped > 0


def learning_rate_at(step: int, options: OptimiserOptions) -> float:
    """The learning rate at `step`: it rises linearly, stays, and falls linearly to zero."""
    rising = (step + 1) / max(options.warm_up, 1)
    falling = (options.steps - step) / max(options.decay, 1)
    return options.learning_rate * min(1.0, rising, falling)


def set_learning_rate(optimiser: Optimizer, step: int, options: OptimiserOptions) -> None:
    """Set the learning rate of `optimiser` for `step`."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate_at(step, options)


@torch.no_grad()
def update_average(means: Module, values: Module, step: int, options: OptimiserOptions) -> None:
    """Update the exponential moving average of the weights; it adapts faster in the first steps."""
    keep = min(options.ema, step / (step + 10))
    for mean, value in zip(means.parameters(), values.parameters(), strict=True):
        mean.lerp_(value, 1 - keep)


def write_curve(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the training curve as CSV. All rows have the same columns."""
    with path.open("w", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([f"{value:.6g}" for value in row.values()] for row in rows)
