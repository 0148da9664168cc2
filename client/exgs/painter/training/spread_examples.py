"""Training examples for the network that spreads leaves: prefixes of a source, training views."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from exgs.painter.spread import LeafInputs, leaf_inputs
from exgs.painter.training.checkpoints import write_arrays
from exgs.painter.training.prefixes import random_prefixes, resized_views
from exgs.painter.training.scenes import RecipeError, TrainingScene
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.scene.pictures import Pixels, to_pixels
from exgs.scene.rasterizer import Rasterizer

_FEWEST = 50  # leaves in a prefix that is used
_FIELDS = tuple(field.name for field in fields(Gaussians))


@dataclass(frozen=True, slots=True)
class SpreadOptions:
    """The size of the network, and the number and size of its training views."""

    hidden: int = 64  # width of the hidden layers
    prefixes: int = 3
    views: int = 6  # training views
    encode_views: int = 16  # views for the encoder
    heights: tuple[int, ...] = (135, 180)  # of the training views, in pixels


@dataclass(frozen=True, eq=False)
class Prefix:
    """The leaves of a prefix."""

    leaves: Gaussians
    missing: float  # share of the scene's leaves that are not in the prefix

    @cached_property
    def inputs(self) -> LeafInputs:
        """The network's input, computed at first use."""
        return leaf_inputs(self.leaves, self.missing)


@dataclass(frozen=True, slots=True, eq=False)
class SpreadExample:
    """One source: the leaves of some prefixes, and training views of the whole scene."""

    prefixes: tuple[Prefix, ...]
    cameras: tuple[Camera, ...]
    pictures: tuple[Pixels, ...]  # [H, W, 4] each: RGB over black, alpha


def make_example(
    scene: TrainingScene, rasterizer: Rasterizer, options: SpreadOptions, rng: np.random.Generator
) -> SpreadExample:
    """Encode `scene`, cut it at random prefixes and render its training views.

    Raises the errors of `encode`.
    """
    cameras = resized_views(scene.cameras[: options.views], options.heights, rng)
    pictures = []
    for camera in cameras:
        render = rasterizer.render(scene.gaussians, camera)
        whole = np.concatenate([render.rgb, render.alpha[..., None]], axis=2)
        pictures.append(to_pixels(whole))
    others = scene.cameras[options.views :]  # the encoder never sees the training views
    prefixes = tuple(
        Prefix(drawn.gaussians, 1 - len(drawn.gaussians) / facts.leaf_count)
        for drawn, facts in random_prefixes(
            scene.gaussians, others, options.prefixes, rasterizer, rng
        )
        if len(drawn.gaussians) >= _FEWEST
    )
    return SpreadExample(prefixes, tuple(cameras), tuple(pictures))


def write_example(path: Path, example: SpreadExample) -> None:
    """Write an example atomically. `Prefix.inputs` is not stored."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, (camera, picture) in enumerate(zip(example.cameras, example.pictures, strict=True)):
        arrays[f"view{number}"] = np.concatenate([camera.viewmat[:3].ravel(), camera.K.ravel()])
        arrays[f"picture{number}"] = picture
    for number, prefix in enumerate(example.prefixes):
        arrays[f"missing{number}"] = np.array(prefix.missing)
        arrays |= {f"{name}{number}": getattr(prefix.leaves, name) for name in _FIELDS}
    write_arrays(path, arrays)


def read_example(path: Path) -> SpreadExample:
    """Read a file of `write_example`. Raises RecipeError if it is not one."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            cameras, pictures, prefixes = [], [], []
            for number in range(sum(name.startswith("view") for name in arrays)):
                view, picture = arrays[f"view{number}"], arrays[f"picture{number}"]
                viewmat = np.vstack([view[:12].reshape(3, 4), [0, 0, 0, 1]])
                height, width = picture.shape[:2]
                cameras.append(Camera(viewmat, view[12:].reshape(3, 3), width, height))
                pictures.append(picture)
            for number in range(sum(name.startswith("missing") for name in arrays)):
                leaves = Gaussians(*(arrays[f"{name}{number}"] for name in _FIELDS))
                missing = float(arrays[f"missing{number}"])
                prefixes.append(Prefix(leaves, missing))
    except (ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
        raise RecipeError(f"{path}: not a training example; delete it") from error
    if not cameras:
        raise RecipeError(f"{path}: not a training example; delete it")
    return SpreadExample(tuple(prefixes), tuple(cameras), tuple(pictures))
