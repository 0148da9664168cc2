"""The training loop: pairs in, weights out, able to stop and go on at any checkpoint.

Each step's batch follows from the seed and the step's number alone, so that a resumed run gives
what an uninterrupted one would on the same machine.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from exgs.client.painter.inputs import COLORS, GAPS, HALF, LEAVES, PROXIES, RAW, WIDE
from exgs.client.painter.models import SHIPPED, load_network
from exgs.client.painter.pipeline import GaussPainterPipeline, build_pipeline
from exgs.client.painter.training.losses import loss_of, painted, similarity
from exgs.client.painter.training.pairs import (
    Bytes,
    Pairs,
    make_pairs,
    read_shard,
    worth_learning,
    write_shard,
)
from exgs.client.painter.training.recipe import Recipe, Steps
from exgs.client.painter.training.scenes import RecipeError, load_source
from exgs.client.painter.vae import PixelVae
from exgs.scene.files import atomic_write
from exgs.scene.rasterize import default_rasterizer

Progress = Callable[[str, float], None]

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
_VIEW_SIZE = (320, 180)  # of the encoder's views; pairs have sizes of their own


def train(
    recipe: Recipe, data: Path, folder: Path, progress: Progress, note: Callable[[str], None]
) -> Path:
    """Follow `recipe` in `folder`, from where a former run stopped; returns the model's folder.

    The folder keeps pairs/*.npz, checkpoint.pt, curve.csv and, at the end, model/. Raises
    RecipeError, SceneError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def shards(sources: Sequence[str]) -> Iterator[Pairs]:
        for number, source in enumerate(sources):
            progress(f"pairs of {source}", number / len(sources))
            yield _shard(recipe, source, data, folder / "pairs")

    pairs = _join([worth_learning(shard) for shard in shards(recipe.sources)])
    if not len(pairs):
        raise RecipeError(f"{folder / 'pairs'}: no pair is worth learning from; add sources")
    validation = _join(list(shards(recipe.validation))) if recipe.validation else None
    note(f"{len(pairs)} pairs from {len(recipe.sources)} sources")
    run = _Run(recipe, folder, validation)
    run.resume()
    while run.step < recipe.steps.count:
        run.advance(pairs)
        progress("training", run.step / recipe.steps.count)
        if run.step % recipe.steps.checkpoint == 0 or run.step == recipe.steps.count:
            note(run.checkpoint())
    return run.save()


def _join(shards: list[Pairs]) -> Pairs:
    columns = ([getattr(shard, field.name) for shard in shards] for field in fields(Pairs))
    return Pairs(*map(np.concatenate, columns))


def _shard(recipe: Recipe, source: str, data: Path, folder: Path) -> Pairs:
    path = folder / f"{source.replace(':', '-').replace('/', '-')}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        views = recipe.pairs.views + recipe.pairs.encode_views
        scene = load_source(source, data, views, _VIEW_SIZE)
        pairs = make_pairs(scene, default_rasterizer(), recipe.pairs, recipe.seed)
        write_shard(path, pairs)
    return read_shard(path)


class _Run:
    """The state of the optimiser."""

    def __init__(self, recipe: Recipe, folder: Path, validation: Pairs | None) -> None:
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
        self._optimiser = torch.optim.AdamW(self._live.parameters(), weight_decay=1e-4)
        self._rows: list[dict[str, float]] = []
        self._sums = np.zeros(3)
        self._summed = 0
        self._start_s = time.perf_counter()

    def advance(self, pairs: Pairs) -> None:
        """One step."""
        steps = self._recipe.steps
        stack, target = (x.to(self._device) for x in draw_batch(pairs, steps, self.step))
        rate = rate_at(self.step, steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        with self._precision():
            restored, latent = self._trained.restore(stack)
            with torch.no_grad():
                wanted, _ = self._trained.vae.encode(_certain(target, stack))
        shown = painted(stack, restored.float())
        loss = loss_of(shown, target, latent.float(), wanted.float(), self._recipe.loss)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._live.parameters(), _MOST_SLOPE)
        self._optimiser.step()
        self.step += 1
        keep = min(steps.ema, self.step / (self.step + 10))
        with torch.no_grad():
            for average, value in zip(self._ema.parameters(), self._live.parameters(), strict=True):
                average.lerp_(value, 1 - keep)
            before = (stack[:, RAW] - target).square().mean()
            after = (shown.clamp(0, 1) - target).square().mean()
        self._sums += [loss.item(), before.item(), after.item()]
        self._summed += 1

    def checkpoint(self) -> str:
        """Write the state and the curve; returns a line on how it goes."""
        mean = (self._sums / max(self._summed, 1)).tolist()
        self._sums, self._summed = np.zeros(3), 0
        elapsed_s = time.perf_counter() - self._start_s
        before, after = (-10 * math.log10(max(value, 1e-10)) for value in mean[1:])
        judged = self._judge()
        rate = rate_at(self.step, self._recipe.steps)
        numbers = (self.step, mean[0], before, after, *judged, rate, elapsed_s)
        self._rows.append(dict(zip(CURVE_COLUMNS, numbers, strict=True)))
        with atomic_write(self._folder / "checkpoint.pt") as file:
            state = {
                "step": self.step,
                "live": self._live.state_dict(),
                "ema": self._ema.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "rows": self._rows,
            }
            torch.save(state, file)
        with (self._folder / "curve.csv").open("w", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(CURVE_COLUMNS)
            writer.writerows([f"{value:.6g}" for value in row.values()] for row in self._rows)
        return (
            f"step {self.step}: loss {mean[0]:.4f}, raw {before:.2f} dB,"
            f" painted {after:.2f} dB; validation: raw {judged[0]:.2f} dB, {judged[2]:.4f},"
            f" painted {judged[1]:.2f} dB, {judged[3]:.4f}; {elapsed_s:.0f} s"
        )

    def resume(self) -> None:
        """Go on from a checkpoint, if there is one."""
        path = self._folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self._device, weights_only=True)
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
        if self._validation is None:
            return [math.nan] * 4
        side = self._validation.inputs.shape[-1]
        side -= side % self._pipeline.multiple
        figures = []
        for number in range(0, len(self._validation), _JUDGED):
            chosen = np.arange(number, min(number + _JUDGED, len(self._validation)))
            inputs = self._validation.inputs[chosen, :, :side, :side]
            targets = self._validation.targets[chosen, :, :side, :side]
            stack, target = (_to_tensor(x).to(self._device) for x in (inputs, targets))
            raw = stack[:, RAW]
            shown = painted(stack, self._pipeline.restore(stack)[0]).clamp(0, 1)
            squares = [(x - target).square().mean(dim=(1, 2, 3)) for x in (raw, shown)]
            decibels = [-10 * (square + 1e-6).log10().mean().item() for square in squares]
            likeness = [similarity(x, target).item() for x in (raw, shown)]
            figures.append([len(chosen) * value for value in (*decibels, *likeness)])
        means: list[float] = (np.sum(figures, axis=0) / len(self._validation)).tolist()
        return means

    @contextmanager
    def _precision(self) -> Iterator[None]:
        kind = self._device.type
        enabled = kind == "cuda" or self._recipe.steps.half
        with torch.autocast(kind, torch.bfloat16, enabled=enabled):
            yield


def draw_batch(pairs: Pairs, steps: Steps, step: int) -> tuple[Tensor, Tensor]:
    """The inputs [B, PLANES, s, s] and targets [B, 3, s, s] of a step, varied at random."""
    rng = np.random.default_rng([steps.seed, step])
    stacks, targets, light = [], [], np.ones((steps.batch, 3, 1, 1), np.float32)
    for number, index in enumerate(rng.integers(0, len(pairs), steps.batch)):
        free = pairs.inputs.shape[-1] - steps.crop
        top, left = rng.integers(0, free + 1, 2)
        window = np.s_[:, top : top + steps.crop, left : left + steps.crop]
        stack, target = pairs.inputs[index][window], pairs.targets[index][window]
        if rng.random() < _NEGATIVES:
            stack, target = negative(stack, target, pairs.alphas[index][window[1:]])
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
    inputs, wanted = _to_tensor(np.stack(stacks)), _to_tensor(np.stack(targets))
    for colors in COLORS:
        inputs[:, colors] *= torch.from_numpy(light)
    return inputs, wanted * torch.from_numpy(light)


def negative(stack: Bytes, target: Bytes, alpha: Bytes) -> tuple[Bytes, Bytes]:
    """A crop as if every Gaussian had the opposite colour: else what is dark is nearly a gap."""

    def turned(colors: Bytes, weight: Bytes) -> Bytes:
        return (weight.astype(np.int16) - colors).clip(0, 255).astype(np.uint8)

    other = stack.copy()
    other[RAW] = turned(stack[RAW], (stack[LEAVES].astype(np.int16) + stack[PROXIES]).clip(0, 255))
    other[GAPS] = turned(stack[GAPS], np.where(stack[GAPS].any(axis=0), 255, 0))
    other[HALF] = turned(stack[HALF], stack[HALF.stop])
    other[WIDE] = turned(stack[WIDE], stack[WIDE.stop])
    return other, turned(target, alpha)


def _to_tensor(values: Bytes) -> Tensor:
    return torch.from_numpy(values.astype(np.float32) / 255)


def rate_at(step: int, steps: Steps) -> float:
    """The learning rate: linear up, flat, linear down to zero."""
    rising = (step + 1) / max(steps.warm_up, 1)
    falling = (steps.count - step) / max(steps.decay, 1)
    return steps.rate * min(1.0, rising, falling)


def _certain(target: Tensor, stack: Tensor) -> Tensor:
    """The stack of planes of a whole scene's picture: nothing added, all leaves."""
    planes = torch.zeros_like(stack)
    planes[:, :3] = target
    planes[:, 6] = 1
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
