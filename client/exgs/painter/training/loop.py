"""The training loop: pairs in, weights out, able to stop and go on at any checkpoint.

Each step's batch follows from the seed and the step's number alone, so that on a CPU a resumed run
gives what an uninterrupted one would.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from exgs.codec.encoding.encode import Progress
from exgs.codec.threads import ahead
from exgs.painter.inputs import COLORS, GAPS, LEAVES, PROXIES, RAW, REACH, SPREAD, WIDE
from exgs.painter.models import SHIPPED, load_network
from exgs.painter.pipeline import (
    GaussPainterPipeline,
    bound_shortcuts,
    build_pipeline,
)
from exgs.painter.training.checkpoints import read_checkpoint, write_checkpoint
from exgs.painter.training.losses import loss_of, painted, similarity
from exgs.painter.training.pairs import (
    Bytes,
    Lessons,
    Pairs,
    make_pairs,
    read_shard,
    write_shard,
)
from exgs.painter.training.recipe import Recipe
from exgs.painter.training.scenes import RecipeError, TrainingScene
from exgs.painter.training.schedule import (
    Course,
    Steps,
    average,
    rate_at,
    set_rate,
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
_JUDGED = 8  # pairs at a time
_DIM = 0.5  # the least light in which a crop is shown
_MOST_SLOPE = 0.1  # norm of a step's gradient
_NEGATIVES = 0.3  # of the crops


def train(
    recipe: Recipe, data: Path, folder: Path, progress: Progress, note: Callable[[str], None]
) -> Path:
    """Follow `recipe` in `folder`, from where a former run stopped; returns the model's folder.

    The folder keeps pairs/*.npy, checkpoint.pt, curve.csv and, at the end, model/. Raises
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

    lessons = Lessons(shards(recipe.sources))
    if not len(lessons):
        raise RecipeError(f"{folder / 'pairs'}: no pair is worth learning from; add sources")
    validation = [shard for shard in shards(recipe.validation) if len(shard)]
    note(f"{len(lessons)} pairs from {len(recipe.sources)} sources")
    run = _Run(recipe, folder, validation)
    run.resume()
    steps = recipe.steps
    for batch in ahead(draw_batch(lessons, steps, step) for step in range(run.step, steps.count)):
        run.advance(batch)
        progress("training", run.step / steps.count)
        if run.step % steps.checkpoint == 0 or run.step == steps.count:
            note(run.checkpoint())
    return run.save()


class _Run:
    """The state of the optimiser."""

    def __init__(self, recipe: Recipe, folder: Path, validation: Sequence[Pairs]) -> None:
        self.step = 0
        self._recipe = recipe
        self._folder = folder
        self._validation = validation
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.steps.seed)
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
            self._live.parameters(), weight_decay=recipe.steps.weight_decay
        )
        self._rows: list[dict[str, float]] = []
        self._sums = torch.zeros(3, device=self._device)  # of loss and squares, since _summed was 0
        self._summed = 0
        self._course = Course()
        self._start_s = time.perf_counter()

    def advance(self, batch: Batch) -> None:
        """One step; raises RecipeError where no step has led anywhere for long."""
        steps = self._recipe.steps
        stack, target = batch.lit(self._device)
        set_rate(self._optimiser, self.step, steps)
        with self._precision():
            restored, latent = self._trained.restore(stack)
            with torch.no_grad():
                wanted, _ = self._trained.vae.encode(_certain(target, stack))
        shown = painted(stack, restored.float())
        loss = loss_of(shown, target, latent.float(), wanted.float(), self._recipe.loss)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.step += 1
        slope = nn.utils.clip_grad_norm_(self._live.parameters(), _MOST_SLOPE)
        if self._course.is_lost(self.step, slope):
            return
        self._optimiser.step()
        bound_shortcuts(self._live["unet"])
        average(self._ema, self._live, self.step, steps)
        with torch.no_grad():
            before = (stack[:, RAW] - target).square().mean()
            after = (shown.clamp(0, 1) - target).square().mean()
            self._sums += torch.stack([loss, before, after])
        self._summed += 1

    def checkpoint(self) -> str:
        """Write the state and the curve; returns a line on how it goes."""
        mean = (self._sums / max(self._summed, 1)).tolist()
        self._sums.zero_()
        self._summed = 0
        elapsed_s = time.perf_counter() - self._start_s
        before, after = (-10 * math.log10(max(value, 1e-10)) for value in mean[1:])
        judged = self._judge()
        rate = rate_at(self.step, self._recipe.steps)
        numbers = (self.step, mean[0], before, after, *judged, rate, elapsed_s)
        self._rows.append(dict(zip(CURVE_COLUMNS, numbers, strict=True)))
        state = {
            "step": self.step,
            "live": self._live.state_dict(),
            "ema": self._ema.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "rows": self._rows,
        }
        write_checkpoint(self._folder / "checkpoint.pt", self._recipe, state)
        write_curve(self._folder / "curve.csv", self._rows)
        return (
            f"step {self.step}: loss {mean[0]:.4f}, raw {before:.2f} dB,"
            f" painted {after:.2f} dB; validation: raw {judged[0]:.2f} dB, {judged[2]:.4f},"
            f" painted {judged[1]:.2f} dB, {judged[3]:.4f}; {elapsed_s:.0f} s"
        )

    def resume(self) -> None:
        """Go on from a checkpoint, if there is one; raises RecipeError where it is another's."""
        state = read_checkpoint(self._folder / "checkpoint.pt", self._recipe, self._device)
        if state is None:
            return
        self._live.load_state_dict(state["live"])
        self._ema.load_state_dict(state["ema"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self._rows = state["step"], state["rows"]
        if self._rows:
            self._start_s -= self._rows[-1]["time_s"]

    def save(self) -> Path:
        """Write the averaged weights as a model folder, half precision."""
        model = self._folder / "model"
        self._ema.cpu().half()
        self._pipeline.save_pretrained(model, safe_serialization=True)
        return model

    @torch.inference_mode()
    def _judge(self) -> list[float]:
        """Mean PSNR in dB and SSIM of the validation pairs, raw and painted by the averages."""
        if not self._validation:
            return [math.nan] * 4
        figures, counts = [], []
        for shard in self._validation:
            side = shard.inputs.shape[-1]
            side -= side % self._pipeline.multiple
            for start in range(0, len(shard), _JUDGED):
                window = np.s_[start : start + _JUDGED, :, :side, :side]
                inputs, targets = shard.inputs[window], shard.targets[window]
                stack, target = (_to_tensor(x, self._device) for x in (inputs, targets))
                raw = stack[:, RAW]
                shown = painted(stack, self._pipeline.restore(stack)[0]).clamp(0, 1)
                squares = [(x - target).square().mean(dim=(1, 2, 3)) for x in (raw, shown)]
                decibels = [-10 * (square + 1e-6).log10().mean().item() for square in squares]
                likeness = [similarity(x, target).item() for x in (raw, shown)]
                figures.append((*decibels, *likeness))
                counts.append(len(stack))
        means: list[float] = np.average(figures, axis=0, weights=counts).tolist()
        return means

    @contextmanager
    def _precision(self) -> Iterator[None]:
        kind = self._device.type
        enabled = kind == "cuda" or self._recipe.steps.half
        with torch.autocast(kind, torch.bfloat16, enabled=enabled):
            yield


class Batch(NamedTuple):
    """B crops as 8-bit values, and the light in which each is shown."""

    stacks: Tensor  # [B, PLANES, s, s]
    targets: Tensor  # [B, 3, s, s]
    light: Tensor  # [B, 3, 1, 1] factors of colours

    def lit(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Inputs [B, PLANES, s, s] and targets [B, 3, s, s], floats on `device`."""
        light = self.light.to(device)
        inputs, targets = (x.to(device) / 255 for x in (self.stacks, self.targets))
        for colors in COLORS:
            inputs[:, colors] *= light
        return inputs, targets * light


def draw_batch(lessons: Lessons, steps: Steps, step: int) -> Batch:
    """The crops of a step, varied at random."""
    rng = np.random.default_rng([steps.seed, step])
    stacks, targets, light = [], [], np.ones((steps.batch, 3, 1, 1), np.float32)
    for number, index in enumerate(rng.integers(0, len(lessons), steps.batch)):
        stack, target, alpha = lessons[index]
        free = stack.shape[-1] - steps.crop
        top, left = rng.integers(0, free + 1, 2)
        window = np.s_[:, top : top + steps.crop, left : left + steps.crop]
        stack, target = stack[window], target[window]
        if rng.random() < _NEGATIVES:
            stack, target = negative(stack, target, alpha[window[1:]])
        if rng.random() < 0.5:
            stack, target = stack[:, :, ::-1], target[:, :, ::-1]
        if rng.random() < 0.5:
            stack, target = stack.swapaxes(1, 2), target.swapaxes(1, 2)
        if rng.random() < 0.5:  # other colours
            order = rng.permutation(3)
            stack = stack.copy()
            for colors in COLORS:
                stack[colors] = stack[colors][order]
            target = target[order]
            light[number] = rng.uniform(_DIM, 1, (3, 1, 1))
        stacks.append(stack)
        targets.append(target)
    return Batch(*map(torch.from_numpy, (np.stack(stacks), np.stack(targets), light)))


def negative(stack: Bytes, target: Bytes, alpha: Bytes) -> tuple[Bytes, Bytes]:
    """A crop as if every Gaussian had the opposite colour: else what is dark is nearly a gap."""

    def turned(colors: Bytes, weight: Bytes) -> Bytes:
        return (weight.astype(np.int16) - colors).clip(0, 255).astype(np.uint8)

    other = stack.copy()
    other[RAW] = turned(stack[RAW], (stack[LEAVES].astype(np.int16) + stack[PROXIES]).clip(0, 255))
    other[GAPS] = turned(stack[GAPS], np.where(stack[REACH] > 0, 255, 0))
    other[SPREAD] = turned(stack[SPREAD], stack[SPREAD.stop])
    other[WIDE] = turned(stack[WIDE], stack[WIDE.stop])
    return other, turned(target, alpha)


def _to_tensor(values: Bytes, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32) / 255).to(device)


def _certain(target: Tensor, stack: Tensor) -> Tensor:
    """The stack of planes of a whole scene's picture: nothing added, all leaves."""
    planes = torch.zeros_like(stack)
    planes[:, RAW] = planes[:, SPREAD] = target
    planes[:, LEAVES] = planes[:, SPREAD.stop] = 1
    return planes


def _weights(start: str, live: nn.ModuleDict) -> dict[str, Tensor]:
    """Those of a model folder; raises RecipeError where they don't fit, PainterError."""
    model = load_network(SHIPPED if start == "shipped" else Path(start))
    if isinstance(model, GaussPainterPipeline):
        weights: dict[str, Tensor] = _modules(model, torch.device("cpu")).state_dict()
        shapes = [{name: x.shape for name, x in w.items()} for w in (weights, live.state_dict())]
        if shapes[0] == shapes[1]:
            return weights
    raise RecipeError(f"start = {start!r}: not a model of the recipe's [vae] and [unet]")


def _modules(pipeline: GaussPainterPipeline, device: torch.device) -> nn.ModuleDict:
    return nn.ModuleDict({"vae": pipeline.vae, "unet": pipeline.unet}).to(device)
