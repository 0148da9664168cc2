"""Decodes random prefixes of a scene's file, the training inputs of the painter."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.decode import ExgsFile, decode, open_scene
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.format.facts import SceneFacts
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Rasterizer

_MOST_SHARE = 0.85  # largest prefix, relative to the file; longer ones have hardly any gaps
_HEAD_SHARE = 1.3  # smallest prefix, relative to the bytes that show the first Gaussians


def resized_views(
    cameras: Sequence[Camera], heights: Sequence[int], rng: np.random.Generator
) -> list[Camera]:
    """The same views, each resized to one of `heights` (pixels) at random."""
    return [
        camera.resized(round(height * camera.width / camera.height), height)
        for camera, height in zip(cameras, rng.choice(heights, len(cameras)), strict=True)
    ]


def random_prefixes(
    scene: Gaussians,
    cameras: Sequence[Camera],
    count: int,
    rasterizer: Rasterizer,
    rng: np.random.Generator,
) -> Iterator[tuple[DrawnScene, SceneFacts]]:
    """Encode `scene` for `cameras` without proxies and decode up to `count` random prefixes.

    The logarithms of the prefix lengths are uniform. Raises the errors of `encode`.
    """
    with tempfile.TemporaryDirectory(prefix="exgs-prefixes-") as folder:
        path = Path(folder) / "scene.exgs"
        choice = EncodeOptions(views=len(cameras), cameras=CameraSet(tuple(cameras)), proxies=False)
        encode(scene, path, choice, rasterizer=rasterizer)
        file = open_scene(path)
        least = _HEAD_SHARE * _first_drawn(path, file)
        low, high = math.log(least), math.log(max(least, _MOST_SHARE * file.file_bytes))
        for budget in np.exp(rng.uniform(low, high, count)).astype(int):
            drawn = decode(path, max_bytes=int(budget))
            if len(drawn.gaussians):
                yield drawn, file.facts


def _first_drawn(path: Path, file: ExgsFile) -> int:
    """The length in bytes of the shortest prefix that ends with a chunk and shows a Gaussian."""
    ends = sorted(chunk.offset + chunk.packed_bytes for chunk in file.table.values())
    return next(end for end in ends if len(decode(path, max_bytes=end).gaussians))
