"""Training pairs of the network that `--painter sharpen` uses: pictures of default files.

Each source is encoded with the default options, without cameras, and cut at random prefixes. A
shard of a source is a folder of arrays: the pictures, their maps, and pictures of the whole scene.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.codec.decoding.decode import decode, read_facts
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.errors import TruncatedError
from exgs.painter.confidence import look_at_scene
from exgs.painter.detail import cell_maps
from exgs.painter.sharpen import sharpen_gate
from exgs.painter.training.scenes import load_source
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.scene.pictures import to_pixels
from exgs.scene.views.made_up import synthesise_views

_SIZE = 640, 360
_VIEWS_SEED = 6_000_011  # of the views of scene files
_MOST_SHARE = 0.6  # largest prefix, relative to the file
ARRAYS = "picture", "maps", "gate", "target"


@dataclass(frozen=True, slots=True)
class PairOptions:
    """The pairs of a source."""

    prefixes: int = 8
    file_prefixes: int = 28  # of a scene file; such scenes are real ones
    views: int = 5  # of each prefix
    pool: int = 20  # views of a scene, from which those of a prefix are drawn
    file_pool: int = 48
    least_bytes: int = 14_000
    most_bytes: int = 400_000
    file_most_bytes: int = 5_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """The pairs of a source: n pictures of H by W pixels, or h by w cells."""

    picture: npt.NDArray[np.float16]  # [n, H, W, 3]
    maps: npt.NDArray[np.float16]  # [n, h, w, 6]
    gate: npt.NDArray[np.uint8]  # [n, H, W]
    target: npt.NDArray[np.uint8]  # [n, H, W, 3]

    @classmethod
    def read(cls, folder: Path) -> Shard:
        """Map a shard into memory. Raises OSError, ValueError."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS))


def folder_of(source: str, folder: Path) -> Path:
    """The folder of the shard of a source."""
    return folder / "pairs" / source.replace(":", "-")


def make_shard(source: str, data: Path, folder: Path, options: PairOptions) -> bool:
    """Write the shard of `source`, unless it is there; returns whether it was written.

    Files are kept in `folder`/files. Raises the errors of `load_source` and `encode`.
    """
    target = folder_of(source, folder)
    if target.is_dir():
        return False
    rng = np.random.default_rng([0, zlib.crc32(source.encode())])
    path = folder / "files" / f"{target.name}.exgs"
    path.parent.mkdir(parents=True, exist_ok=True)
    scene = load_source(source, data, options.pool, _SIZE)
    if not path.is_file():
        encode(scene.gaussians, path, EncodeOptions())
    cameras = scene.cameras
    if ":" not in source:
        options = replace(
            options, prefixes=options.file_prefixes, most_bytes=options.file_most_bytes
        )
        width, height = _SIZE
        cameras = synthesise_views(
            scene.gaussians, options.file_pool, width=width, height=height, seed=_VIEWS_SEED
        )
    rows = list(_pairs(path, scene.gaussians, cameras, options, rng))
    unfinished = target.with_suffix(".unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(ARRAYS):
        np.save(unfinished / f"{name}.npy", np.stack([row[number] for row in rows]))
    unfinished.rename(target)
    return True


def _pairs(
    path: Path,
    scene: Gaussians,
    cameras: tuple[Camera, ...],
    options: PairOptions,
    rng: np.random.Generator,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Pairs of random prefixes, whose logarithms are uniform, in random views."""
    rasterizer, facts = default_rasterizer(), read_facts(path)
    most = max(options.least_bytes, min(options.most_bytes, _MOST_SHARE * path.stat().st_size))
    low, high = math.log(options.least_bytes), math.log(most)
    targets: dict[int, np.ndarray] = {}
    for budget in np.exp(rng.uniform(low, high, options.prefixes)).astype(int):
        try:
            drawn = decode(path, max_bytes=int(budget))
        except TruncatedError:  # the file's head alone is longer
            continue
        for number in rng.choice(len(cameras), options.views, replace=False).tolist():
            render, confidence = look_at_scene(rasterizer, drawn, facts, cameras[number])
            gate = sharpen_gate(confidence)
            if not gate.any():
                continue
            if number not in targets:
                targets[number] = to_pixels(rasterizer.render(scene, cameras[number]).rgb)
            maps = cell_maps(render, confidence).astype(np.float16)
            picture = render.rgb.astype(np.float16)
            yield picture, maps, to_pixels(gate), targets[number]
