"""Pairs to learn from: crops of what a file's first bytes show, and of what the whole shows.

Each source is encoded by our own encoder, without proxies, and cut at random prefixes; the crops
are kept as 8-bit planes in one .npy shard a source, so that a run can stop and go on. Shards are
mapped, not read: there may be more of them than memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.painter.confidence import look_at_scene
from exgs.painter.inputs import PLANES, RAW, planes
from exgs.painter.training.prefixes import judged_cameras, random_prefixes
from exgs.painter.training.scenes import RecipeError, TrainingScene
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import FloatArray
from exgs.scene.pictures import to_pixels
from exgs.scene.rasterizer import Rasterizer

Bytes = npt.NDArray[np.uint8]

_EMPTY = 0.02  # mean value below which a crop shows next to nothing
_TRIES = 4  # at a crop that shows something
# Mean squares: 44 and 9 dB. Crops outside teach nothing, or noise.
_LEAST_ERROR, _MOST_ERROR = 10**-4.4, 10**-0.9


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How many pairs a source gives, and of what size."""

    crop: int = 192  # pixels
    prefixes: int = 8
    views: int = 6
    encode_views: int = 16
    heights: tuple[int, ...] = (200, 270, 360, 480)  # of the pictures that crops are cut from


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """n crops of side s, as 8-bit values."""

    inputs: Bytes  # [n, PLANES, s, s], see `inputs.planes`
    targets: Bytes  # [n, 3, s, s]
    alphas: Bytes  # [n, s, s] of the targets

    def __len__(self) -> int:
        return len(self.inputs)


class Lessons:
    """The pairs of many shards that are worth learning from, one after another."""

    def __init__(self, shards: Sequence[Pairs]) -> None:
        self._places = [(shard, row) for shard in shards for row in worth_learning(shard)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> tuple[Bytes, Bytes, Bytes]:
        """Input [PLANES, s, s], target [3, s, s] and alpha [s, s] of a pair."""
        shard, row = self._places[number]
        return shard.inputs[row], shard.targets[row], shard.alphas[row]


def make_pairs(
    scene: TrainingScene,
    rasterizer: Rasterizer,
    options: PairOptions,
    rng: np.random.Generator,
) -> Pairs:
    """Encode `scene`, cut it at random prefixes, look at it, keep crops; raises as `encode`."""
    cameras = judged_cameras(scene.cameras[: options.views], options.heights, rng)
    targets = [rasterizer.render(scene.gaussians, camera) for camera in cameras]
    inputs, wanted, alphas = [], [], []
    others = scene.cameras[options.views :]  # the encoder never sees the judged views
    prefixes = random_prefixes(scene.gaussians, others, options.prefixes, rasterizer, rng)
    for drawn, facts in prefixes:
        for camera, target in zip(cameras, targets, strict=True):
            render, confidence = look_at_scene(rasterizer, drawn, facts, camera, spread=True)
            if confidence.gaps is None:
                continue
            stack = planes(render, confidence, confidence.gaps)
            top, left = _place(target.rgb, options.crop, rng)
            window = np.s_[top : top + options.crop, left : left + options.crop]
            inputs.append(to_pixels(stack[:, *window]))
            wanted.append(to_pixels(target.rgb[window].transpose(2, 0, 1)))
            alphas.append(to_pixels(target.alpha[window]))
    side = options.crop
    return Pairs(
        np.array(inputs, np.uint8).reshape(-1, PLANES, side, side),
        np.array(wanted, np.uint8).reshape(-1, 3, side, side),
        np.array(alphas, np.uint8).reshape(-1, side, side),
    )


def worth_learning(pairs: Pairs) -> list[int]:
    """Which are neither right already nor without a trace of what they should show."""
    kept = []
    for number, (stack, target) in enumerate(zip(pairs.inputs, pairs.targets, strict=True)):
        error = (stack[RAW].astype(np.float32) - target) / 255
        if _LEAST_ERROR < float(np.square(error).mean()) < _MOST_ERROR:
            kept.append(number)
    return kept


def write_shard(path: Path, pairs: Pairs) -> None:
    """Write a shard, all or nothing."""
    planes = np.concatenate([pairs.inputs, pairs.targets, pairs.alphas[:, None]], axis=1)
    with atomic_write(path) as file:
        np.save(file, planes)


def read_shard(path: Path) -> Pairs:
    """Map a shard; raises RecipeError where it is none."""
    try:
        planes = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise RecipeError(f"{path}: no shard of pairs; delete it") from error
    if planes.ndim != 4 or planes.shape[1] != PLANES + 4 or planes.dtype != np.uint8:
        raise RecipeError(f"{path}: no shard of pairs; delete it")
    return Pairs(planes[:, :PLANES], planes[:, PLANES:-1], planes[:, -1])


def _place(target: FloatArray, side: int, rng: np.random.Generator) -> tuple[int, int]:
    """The corner of a random crop that shows something, if a few tries find one."""
    height, width = target.shape[:2]
    top = left = 0
    for _ in range(_TRIES):
        top = int(rng.integers(0, height - side + 1))
        left = int(rng.integers(0, width - side + 1))
        if target[top : top + side, left : left + side].mean() > _EMPTY:
            break
    return top, left
