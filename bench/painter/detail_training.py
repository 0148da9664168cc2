"""Trains the network of `--painter sharpen`: python -m bench.painter.detail_training RECIPE OUT.

The loss is the distance of painted crops from the whole scene: the logarithm of ST-LPIPS with
features of VGG16, of all crops at half the resolution and of one crop of each batch at full
resolution, and FLIP relative to that of the raw crops. A larger loss of PSNR counts in addition,
and so does the difference between paintings of the same place in shifted crops. ST-LPIPS with
AlexNet is for measuring only; the validation figures show it. A run continues from
OUT/checkpoint.pt; it ends with OUT/detail.npz and OUT/curve.csv.
"""

from __future__ import annotations

import argparse
import time
import tomllib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.common.data import data_dir
from bench.painter.detail_module import DetailModule
from bench.painter.detail_pairs import PairOptions, Shard, folder_of, make_shard
from bench.painter.flip_loss import flip_means
from exgs.painter.bands import CELL
from exgs.painter.stlpips import StLpips
from exgs.painter.training.schedule import (
    OptimiserOptions,
    set_learning_rate,
    update_average,
    write_curve,
)

_EDGE = 16  # pixels of a crop on each side that the loss leaves out
_SMALL_DISTANCE, _SMALL_ERROR, _SMALL_FLIP, _SMALL_MSE = 0.01, 0.002, 0.01, 1e-5
_VALIDATION_SIDE, _VALIDATION_CROPS = 240, 8  # of each source
_TRIES, _LEAST_GATE = 8, 0.3  # a crop is drawn again if less of it is painted
_MOST_ERROR = 0.2  # crops that differ more (mean absolute difference) say little


@dataclass(frozen=True, slots=True)
class LossOptions:
    """Weights of the loss."""

    slices: int = 5  # of the features of VGG16
    full: float = 0.3  # of ST-LPIPS at full resolution
    flip: float = 1.5
    steady: float = 1.5  # of differences between shifted crops, relative to the raw errors
    beyond: float = 0.8  # per dB lost beyond `free`
    free: float = 0.25  # dB


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run depends on."""

    sources: list[str]
    validation: list[str]
    width: int = 32
    pairs: PairOptions = field(default_factory=PairOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises OSError, ValueError, TypeError."""
    data: dict[str, Any] = tomllib.loads(path.read_text())
    for name, kind in (
        ("pairs", PairOptions),
        ("loss", LossOptions),
        ("optimiser", OptimiserOptions),
    ):
        data[name] = kind(**data.get(name, {}))
    return Recipe(**data)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops of pictures."""

    picture: Tensor  # [B, 3, s, s]
    maps: Tensor  # [B, 6, s / CELL, s / CELL]
    gate: Tensor  # [B, 1, s, s]
    target: Tensor  # [B, 3, s, s]
    shift: tuple[int, int] = (0, 0)  # pixels down and to the right, less than a cell

    def shifted(self, down: int, across: int) -> Batch:
        """The part of s - CELL pixels that begins there."""
        side = self.picture.shape[-1] - CELL
        pixels = ..., slice(down, down + side), slice(across, across + side)
        maps = self.maps
        rows = maps[..., :-1, :].lerp(maps[..., 1:, :], down / CELL)
        maps = rows[..., :-1].lerp(rows[..., 1:], across / CELL)
        return Batch(self.picture[pixels], maps, self.gate[pixels], self.target[pixels])


class Training:
    """The state of a run."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.optimiser.seed)
        self._recipe = recipe
        self._module = DetailModule(recipe.width)
        self.mean = deepcopy(self._module)
        options = recipe.optimiser
        self._adam = torch.optim.AdamW(
            self._module.parameters(), weight_decay=options.weight_decay, betas=(0.9, 0.98)
        )
        self._metric = StLpips("vgg", recipe.loss.slices)
        self.step = 0
        self.rows: list[dict[str, float]] = []
        self.losses: list[list[float]] = []  # of the steps since the last note

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint, if there is one."""
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self._module.load_state_dict(state["module"])
        self.mean.load_state_dict(state["mean"])
        self._adam.load_state_dict(state["adam"])
        self.step, self.rows = state["step"], state["rows"]

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        states = {name: getattr(self, f"_{name}").state_dict() for name in ("module", "adam")}
        unfinished = path.with_suffix(".unfinished")
        mean = self.mean.state_dict()
        torch.save(states | {"mean": mean, "step": self.step, "rows": self.rows}, unfinished)
        unfinished.replace(path)

    def advance(self, batch: Batch) -> None:
        """One step."""
        set_learning_rate(self._adam, self.step, self._recipe.optimiser)
        loss, figures = self._loss(batch)
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._module.parameters(), 1.0)
        self._adam.step()
        update_average(self.mean, self._module, self.step, self._recipe.optimiser)
        self.step += 1
        self.losses.append(figures)

    def _loss(self, batch: Batch) -> tuple[Tensor, list[float]]:
        options, (down, across) = self._recipe.loss, batch.shift
        moved = painted(self._module, batch.shifted(down, across))
        batch = batch.shifted(0, 0)
        whole = painted(self._module, batch)
        side = whole.shape[-1]
        same = whole[..., down:, across:] - moved[..., : side - down, : side - across]
        inner = (slice(None), slice(None), *(slice(_EDGE, -_EDGE),) * 2)
        shown, raw, target = whole[inner], batch.picture[inner].clamp(0, 1), batch.target[inner]
        halves = (functional.avg_pool2d(x, 2) for x in (shown, target))
        looks = (self._distances(*halves) + _SMALL_DISTANCE).log().mean()
        full = (self._distances(shown[:1], target[:1]) + _SMALL_DISTANCE).log().mean()
        far = (raw - target).abs().mean(dim=(1, 2, 3)) + _SMALL_ERROR
        unsteady = (same[inner].abs().mean(dim=(1, 2, 3)) / far).mean()
        flips = [flip_means(x, target) + _SMALL_FLIP for x in (raw, shown)]
        seen = (flips[1] / flips[0]).mean()
        mse = [(x - target).square().mean(dim=(1, 2, 3)) + _SMALL_MSE for x in (raw, shown)]
        lost = 10 * (mse[1] / mse[0]).log10()
        beyond = functional.relu(lost - options.free).mean()
        loss = looks + options.full * full + options.flip * seen + options.steady * unsteady
        loss = loss + options.beyond * beyond
        return loss, [float(x.detach()) for x in (loss, looks, seen, unsteady, lost.mean())]

    def _distances(self, shown: Tensor, target: Tensor) -> Tensor:
        """ST-LPIPS of the crops [B]."""
        enabled = self._recipe.optimiser.bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            near, far = (x.contiguous(memory_format=torch.channels_last) for x in (shown, target))
            distances: Tensor = self._metric(near, far)
            return distances.float()

    def note(self, batches: Sequence[Batch], alex: StLpips) -> str:
        """Measure the validation crops and add a row to the curve."""
        figures = []
        with torch.inference_mode():
            for batch in batches:
                shown = batch.picture.clamp(0, 1), painted(self.mean, batch)
                far = [alex(x, batch.target) for x in shown]
                mse = [(x - batch.target).square().mean(dim=(1, 2, 3)) + 1e-6 for x in shown]
                lost = 10 * (mse[1] / mse[0]).log10().mean()
                seen = [flip_means(x, batch.target).mean() for x in shown]
                ratios = [float(x[1].mean() / x[0].mean()) for x in (far, seen)]
                figures.append((*ratios, float(lost)))
        names = "loss", "vgg", "flip", "unsteady", "lost_db"
        sums = np.mean(self.losses, axis=0) if self.losses else np.full(len(names), np.nan)
        self.losses = []
        row = {"step": float(self.step)} | dict(zip(names, map(float, sums), strict=True))
        for number, values in enumerate(figures):
            kinds = (f"{name}_{number}" for name in ("alex", "flip", "lost_db"))
            row |= dict(zip(kinds, values, strict=True))
        self.rows.append(row | {"time_s": time.process_time()})
        return " ".join(f"{name} {value:.4g}" for name, value in self.rows[-1].items())


def painted(module: DetailModule, batch: Batch) -> Tensor:
    """The painted crops."""
    added: Tensor = batch.gate * module(batch.picture, batch.maps)
    return (batch.picture + added).clamp(0, 1)


def draw_batch(shards: Sequence[Shard], options: OptimiserOptions, step: int) -> Batch:
    """The batch of a step; it depends only on the seed and the step.

    Every source has the same share. Crops are flipped, transposed and inverted.
    """
    rng = np.random.default_rng([options.seed, step])
    crops: list[list[np.ndarray]] = []
    while len(crops) < options.batch:
        shard = shards[int(rng.integers(len(shards)))]
        crop = _random_crop(shard, options.crop, rng)
        if crop is None:
            continue
        if rng.random() < 0.5:
            crop = [part[:, ::-1] for part in crop]
        if rng.random() < 0.5:
            crop = [part.swapaxes(0, 1) for part in crop]
        if rng.random() < 0.5:
            order = rng.permutation(3)
            crop[0], crop[3] = crop[0][..., order], crop[3][..., order]
        crops.append(crop)
    down, across = rng.integers(CELL, size=2).tolist()
    return replace(_stacked(crops), shift=(down, across))


def _random_crop(shard: Shard, side: int, rng: np.random.Generator) -> list[np.ndarray] | None:
    """A crop that is painted and resembles its target, if one is found."""
    for _ in range(_TRIES):
        number = int(rng.integers(len(shard.gate)))
        height, width = shard.gate.shape[1:]
        top, left = (
            CELL * int(rng.integers((size - side) // CELL + 1)) for size in (height, width)
        )
        crop = _crop(shard, number, top, left, side)
        if crop[2].mean() > _LEAST_GATE and 0.002 < np.abs(crop[0] - crop[3]).mean() < _MOST_ERROR:
            return crop
    return None


def _crop(shard: Shard, number: int, top: int, left: int, side: int) -> list[np.ndarray]:
    pixels = slice(top, top + side), slice(left, left + side)
    cells = tuple(slice(part.start // CELL, part.stop // CELL) for part in pixels)
    return [
        shard.picture[number][pixels].astype(np.float32),
        shard.maps[number][cells].astype(np.float32),
        shard.gate[number][pixels][..., None].astype(np.float32) / 255,
        shard.target[number][pixels].astype(np.float32) / 255,
    ]


def _stacked(crops: Sequence[Sequence[np.ndarray]]) -> Batch:
    parts = (np.stack(part).transpose(0, 3, 1, 2) for part in zip(*crops, strict=True))
    return Batch(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


def validation_batches(shards: Sequence[Shard]) -> list[Batch]:
    """Crops of the middle of some pictures, one batch for each source."""
    batches = []
    for shard in shards:
        count, height, width = shard.gate.shape
        chosen = np.linspace(0, count - 1, _VALIDATION_CROPS).astype(int)
        top, left = ((size - _VALIDATION_SIDE) // 2 // CELL * CELL for size in (height, width))
        batches.append(
            _stacked([_crop(shard, int(n), top, left, _VALIDATION_SIDE) for n in chosen])
        )
    return batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    recipe, folder = read_recipe(options.recipe), options.out
    for source in (*recipe.sources, *recipe.validation):
        if make_shard(source, data_dir(), folder, recipe.pairs):
            print("pairs of", source, flush=True)
    shards, kept_back = (
        [Shard.read(folder_of(source, folder)) for source in sources]
        for sources in (recipe.sources, recipe.validation)
    )
    training, alex = Training(recipe), StLpips()
    training.resume(folder / "checkpoint.pt")
    batches = validation_batches(kept_back)
    if training.step == 0:
        print(training.note(batches, alex), flush=True)
    while training.step < recipe.optimiser.steps:
        training.advance(draw_batch(shards, recipe.optimiser, training.step))
        if training.step % recipe.optimiser.checkpoint == 0:
            print(training.note(batches, alex), flush=True)
            training.save(folder / "checkpoint.pt")
            write_curve(folder / "curve.csv", training.rows)
    weights = {name: value.numpy() for name, value in training.mean.state_dict().items()}
    np.savez(folder / "detail.npz", **{n: value.astype(np.float16) for n, value in weights.items()})


if __name__ == "__main__":
    main()
