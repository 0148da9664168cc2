"""The training loop of GaussPainter: training pairs in, weights out. It continues at a checkpoint.

Each batch depends only on the seed and the number of the step. So on a CPU, a resumed run gives the
same result as an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from exgs.codec.encoding.stages import Progress
from exgs.codec.threads import ahead
from exgs.painter.inputs import LEAVES, RAW, SPREAD
from exgs.painter.models import SHIPPED, load_network
from exgs.painter.pipeline import (
    GaussPainterPipeline,
    bound_shortcuts,
    build_pipeline,
)
from exgs.painter.training.batches import Batch, draw_batch
from exgs.painter.training.checkpoints import read_checkpoint, write_checkpoint
from exgs.painter.training.losses import loss_of, mean_ssim, painted
from exgs.painter.training.pairs import (
    Bytes,
    Pairs,
    TrainingPairs,
    make_pairs,
    read_shard,
    write_shard,
)
from exgs.painter.training.recipe import Recipe
from exgs.painter.training.scenes import RecipeError, TrainingScene
from exgs.painter.training.schedule import (
    DivergenceCheck,
    learning_rate_at,
    set_learning_rate,
    update_average,
    write_curve,
)
from exgs.painter.training.shards import make_missing, shard_paths
from exgs.painter.vae import PixelVae
from exgs.scene.backends import default_rasterizer

CURVE_COLUMNS = (
    "step",
    "loss",
    "raw_psnr_db",
    "painted_psnr_db",
    "validation_raw_psnr_db",
    "validation_painted_psnr_db",
    "validation_raw_ssim",
    "validation_painted_ssim",
    "rate",
    "time_s",
)
_VALIDATION_BATCH = 8  # pairs
_MOST_GRADIENT_NORM = 0.1  # larger gradients are clipped


def train(
    recipe: Recipe, data: Path, folder: Path, progress: Progress, note: Callable[[str], None]
) -> Path:
    """Train by `recipe` and return the model folder. Continues an earlier run in `folder`.

    Writes pairs/*.npy, checkpoint.pt, curve.csv and at the end model/ to `folder`. Raises
    RecipeError, SceneError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = recipe.pairs
    paths = shard_paths(recipe, options, folder / "pairs", ".npy")

    def make(path: Path, scene: TrainingScene, rng: np.random.Generator) -> None:
        write_shard(path, make_pairs(scene, default_rasterizer(), options, rng))

    make_missing(paths, recipe, options, data, make, progress)

    def shards(sources: Sequence[str]) -> list[Pairs]:
        return [read_shard(paths[source]) for source in sources]

    pairs = TrainingPairs(shards(recipe.sources))
    if not len(pairs):
        raise RecipeError(f"{folder / 'pairs'}: no pair is useful for training; add sources")
    validation = [shard for shard in shards(recipe.validation) if len(shard)]
    note(f"{len(pairs)} pairs from {len(recipe.sources)} sources")
    run = _Run(recipe, folder, validation)
    run.resume()
    optimiser = recipe.optimiser
    left = range(run.step, optimiser.steps)
    for batch in ahead(draw_batch(pairs, optimiser, step) for step in left):
        run.advance(batch)
        progress("training", run.step / optimiser.steps)
        if run.step % optimiser.checkpoint == 0 or run.step == optimiser.steps:
            note(run.checkpoint())
    return run.save()


class _Run:
    """The state of a training run."""

    def __init__(self, recipe: Recipe, folder: Path, validation: Sequence[Pairs]) -> None:
        self.step = 0
        self._recipe = recipe
        self._folder = folder
        self._validation = validation
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.optimiser.seed)
        self._live = _modules(build_pipeline(dict(recipe.vae), dict(recipe.unet)), self._device)
        if recipe.start:
            self._live.load_state_dict(_weights(recipe.start, self._live))
        self._pipeline = build_pipeline(dict(recipe.vae), dict(recipe.unet)).to(self._device)
        self._ema = _modules(self._pipeline, self._device)
        self._ema.load_state_dict(self._live.state_dict())
        self._ema.requires_grad_(False)
        self._trained = GaussPainterPipeline(
            cast(PixelVae, self._live["vae"]), self._live["unet"], self._pipeline.scheduler
        )
        self._optimiser = torch.optim.AdamW(
            self._live.parameters(), weight_decay=recipe.optimiser.weight_decay
        )
        self._rows: list[dict[str, float]] = []
        self._sums = torch.zeros(
            3, device=self._device
        )  # of loss and squared errors over _summed steps
        self._summed = 0
        self._divergence = DivergenceCheck()
        self._start_s = time.perf_counter()

    def advance(self, batch: Batch) -> None:
        """Do one step. Raises RecipeError if the run has diverged."""
        options = self._recipe.optimiser
        stack, target = batch.scaled(self._device)
        set_learning_rate(self._optimiser, self.step, options)
        with self._precision():
            restored, latent = self._trained.restore(stack)
            with torch.no_grad():
                wanted, _ = self._trained.vae.encode(_complete(target, stack))
        shown = painted(stack, restored.float())
        loss = loss_of(shown, target, latent.float(), wanted.float(), self._recipe.loss)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.step += 1
        gradient_norm = nn.utils.clip_grad_norm_(self._live.parameters(), _MOST_GRADIENT_NORM)
        if self._divergence.skips(self.step, gradient_norm):
            return
        self._optimiser.step()
        bound_shortcuts(self._live["unet"])
        update_average(self._ema, self._live, self.step, options)
        with torch.no_grad():
            before = (stack[:, RAW] - target).square().mean()
            after = (shown.clamp(0, 1) - target).square().mean()
            self._sums += torch.stack([loss, before, after])
        self._summed += 1

    def checkpoint(self) -> str:
        """Write the state and the training curve. Returns one line about the progress."""
        mean = (self._sums / max(self._summed, 1)).tolist()
        self._sums.zero_()
        self._summed = 0
        elapsed_s = time.perf_counter() - self._start_s
        before, after = (-10 * math.log10(max(value, 1e-10)) for value in mean[1:])
        figures = self._validate()
        rate = learning_rate_at(self.step, self._recipe.optimiser)
        numbers = (self.step, mean[0], before, after, *figures, rate, elapsed_s)
        self._rows.append(dict(zip(CURVE_COLUMNS, numbers, strict=True)))
        state = {
            "step": self.step,
            "live": self._live.state_dict(),
            "ema": self._ema.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "rows": self._rows,
        }
        write_checkpoint(self._folder / "checkpoint.pt", self._recipe.identity, state)
        write_curve(self._folder / "curve.csv", self._rows)
        return (
            f"step {self.step}: loss {mean[0]:.4f}, raw {before:.2f} dB,"
            f" painted {after:.2f} dB; validation: raw {figures[0]:.2f} dB, {figures[2]:.4f},"
            f" painted {figures[1]:.2f} dB, {figures[3]:.4f}; {elapsed_s:.0f} s"
        )

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one.

        Raises RecipeError if it belongs to another recipe.
        """
        path = self._folder / "checkpoint.pt"
        state = read_checkpoint(path, self._recipe.identity, self._device)
        if state is None:
            return
        self._live.load_state_dict(state["live"])
        self._ema.load_state_dict(state["ema"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self._rows = state["step"], state["rows"]
        if self._rows:
            self._start_s -= self._rows[-1]["time_s"]

    def save(self) -> Path:
        """Write the averaged weights as a model folder in half precision."""
        model = self._folder / "model"
        self._ema.cpu().half()
        self._pipeline.save_pretrained(model, safe_serialization=True)
        return model

    @torch.inference_mode()
    def _validate(self) -> list[float]:
        """Mean PSNR in dB (raw, painted) and SSIM (raw, painted) of the validation pairs."""
        if not self._validation:
            return [math.nan] * 4
        figures, counts = [], []
        for shard in self._validation:
            side = shard.inputs.shape[-1]
            side -= side % self._pipeline.multiple
            for start in range(0, len(shard), _VALIDATION_BATCH):
                window = np.s_[start : start + _VALIDATION_BATCH, :, :side, :side]
                inputs, targets = shard.inputs[window], shard.targets[window]
                stack, target = (_to_tensor(x, self._device) for x in (inputs, targets))
                raw = stack[:, RAW]
                shown = painted(stack, self._pipeline.restore(stack)[0]).clamp(0, 1)
                mse = [(x - target).square().mean(dim=(1, 2, 3)) for x in (raw, shown)]
                psnr_db = [-10 * (x + 1e-6).log10().mean().item() for x in mse]
                ssim_values = [mean_ssim(x, target).item() for x in (raw, shown)]
                figures.append((*psnr_db, *ssim_values))
                counts.append(len(stack))
        means: list[float] = np.average(figures, axis=0, weights=counts).tolist()
        return means

    @contextmanager
    def _precision(self) -> Iterator[None]:
        kind = self._device.type
        enabled = kind == "cuda" or self._recipe.optimiser.bfloat16
        with torch.autocast(kind, torch.bfloat16, enabled=enabled):
            yield


def _to_tensor(values: Bytes, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32) / 255).to(device)


def _complete(target: Tensor, stack: Tensor) -> Tensor:
    """The stack of planes of a picture of the whole scene: leaves everywhere, no gaps."""
    planes = torch.zeros_like(stack)
    planes[:, RAW] = planes[:, SPREAD] = target
    planes[:, LEAVES] = planes[:, SPREAD.stop] = 1
    return planes


def _weights(start: str, live: nn.ModuleDict) -> dict[str, Tensor]:
    """Read the weights of a model folder. Raises RecipeError if they don't fit, PainterError."""
    model = load_network(SHIPPED if start == "shipped" else Path(start))
    if isinstance(model, GaussPainterPipeline):
        weights: dict[str, Tensor] = _modules(model, torch.device("cpu")).state_dict()
        shapes = [{name: x.shape for name, x in w.items()} for w in (weights, live.state_dict())]
        if shapes[0] == shapes[1]:
            return weights
    raise RecipeError(f"start = {start!r}: not a model of the recipe's [vae] and [unet]")


def _modules(pipeline: GaussPainterPipeline, device: torch.device) -> nn.ModuleDict:
    return nn.ModuleDict({"vae": pipeline.vae, "unet": pipeline.unet}).to(device)
