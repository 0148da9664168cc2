"""Training pairs: crops of pictures of file prefixes, and the same crops of the whole scene.

Each source is encoded without proxies and cut at random prefixes. The crops are stored as 8-bit
planes in one .npy shard per source, so a run can stop and continue. Shards are memory-mapped,
because they may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.painter.confidence import look_at_scene
from exgs.painter.inputs import PLANES, RAW, planes
from exgs.painter.training.prefixes import random_prefixes, resized_views
from exgs.painter.training.scenes import RecipeError, TrainingScene
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import FloatArray
from exgs.scene.pictures import to_pixels
from exgs.scene.rasterizer import Rasterizer

Bytes = npt.NDArray[np.uint8]

_EMPTY = 0.02  # mean value below which a crop counts as empty
_TRIES = 4  # attempts to find a crop that is not empty
# Mean squared errors of 44 and 9 dB. Training on crops outside this range is useless or harmful.
_LEAST_ERROR, _MOST_ERROR = 10**-4.4, 10**-0.9


@dataclass(frozen=True, slots=True)
class PairOptions:
    """Number and size of the pairs of a source."""

    crop: int = 192  # side of a crop in pixels
    prefixes: int = 8
    views: int = 6  # training views
    encode_views: int = 16  # views for the encoder
    heights: tuple[int, ...] = (200, 270, 360, 480)  # of the pictures before cropping, in pixels


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """n pairs of crops of side s, as 8-bit values."""

    inputs: Bytes  # [n, PLANES, s, s], see `inputs.planes`
    targets: Bytes  # [n, 3, s, s]
    alphas: Bytes  # [n, s, s] alpha of the targets

    def __len__(self) -> int:
        return len(self.inputs)


class TrainingPairs:
    """A sequence of the useful pairs of many shards."""

    def __init__(self, shards: Sequence[Pairs]) -> None:
        self._places = [(shard, row) for shard in shards for row in useful_pairs(shard)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> tuple[Bytes, Bytes, Bytes]:
        """Return input [PLANES, s, s], target [3, s, s] and alpha [s, s] of a pair."""
        shard, row = self._places[number]
        return shard.inputs[row], shard.targets[row], shard.alphas[row]


def make_pairs(
    scene: TrainingScene,
    rasterizer: Rasterizer,
    options: PairOptions,
    rng: np.random.Generator,
) -> Pairs:
    """Encode `scene`, cut it at random prefixes and render pairs of crops.

    Raises the errors of `encode`.
    """
    cameras = resized_views(scene.cameras[: options.views], options.heights, rng)
    targets = [rasterizer.render(scene.gaussians, camera) for camera in cameras]
    inputs, wanted, alphas = [], [], []
    others = scene.cameras[options.views :]  # the encoder never sees the training views
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


def useful_pairs(pairs: Pairs) -> list[int]:
    """Indices of pairs whose error is neither too small nor too large for training."""
    kept = []
    for number, (stack, target) in enumerate(zip(pairs.inputs, pairs.targets, strict=True)):
        error = (stack[RAW].astype(np.float32) - target) / 255
        if _LEAST_ERROR < float(np.square(error).mean()) < _MOST_ERROR:
            kept.append(number)
    return kept


def write_shard(path: Path, pairs: Pairs) -> None:
    """Write a shard atomically."""
    planes = np.concatenate([pairs.inputs, pairs.targets, pairs.alphas[:, None]], axis=1)
    with atomic_write(path) as file:
        np.save(file, planes)


def read_shard(path: Path) -> Pairs:
    """Map a shard into memory. Raises RecipeError if the file is not a shard."""
    try:
        planes = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise RecipeError(f"{path}: not a shard of pairs; delete it") from error
    if planes.ndim != 4 or planes.shape[1] != PLANES + 4 or planes.dtype != np.uint8:
        raise RecipeError(f"{path}: not a shard of pairs; delete it")
    return Pairs(planes[:, :PLANES], planes[:, PLANES:-1], planes[:, -1])


def _place(target: FloatArray, side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Top and left of a random crop that is not empty, if a few attempts find one."""
    height, width = target.shape[:2]
    top = left = 0
    for _ in range(_TRIES):
        top = int(rng.integers(0, height - side + 1))
        left = int(rng.integers(0, width - side + 1))
        if target[top : top + side, left : left + side].mean() > _EMPTY:
            break
    return top, left
