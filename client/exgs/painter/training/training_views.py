"""What the network that spreads leaves learns from: prefixes of a source, and the whole's looks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from exgs.painter.spread import Surroundings, look_around
from exgs.painter.training.checkpoints import write_arrays
from exgs.painter.training.prefixes import judged_cameras, random_prefixes
from exgs.painter.training.scenes import RecipeError, TrainingScene
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.scene.pictures import Pixels, to_pixels
from exgs.scene.rasterizer import Rasterizer

_FEWEST = 50  # leaves that teach something
_FIELDS = tuple(field.name for field in fields(Gaussians))


@dataclass(frozen=True, slots=True)
class SpreadOptions:
    """The network's size, and what it learns from."""

    hidden: int = 64
    prefixes: int = 3
    views: int = 6
    encode_views: int = 16
    heights: tuple[int, ...] = (135, 180)  # of the pictures


@dataclass(frozen=True, eq=False)
class Prefix:
    """Leaves that have come."""

    leaves: Gaussians
    missing: float  # share of the scene's

    @cached_property
    def seen(self) -> Surroundings:
        """What the network knows of them, worked out when it is first asked for."""
        return look_around(self.leaves, self.missing)


@dataclass(frozen=True, slots=True, eq=False)
class SpreadLesson:
    """One source: what some prefixes of it hold, and how all of it looks."""

    prefixes: tuple[Prefix, ...]
    cameras: tuple[Camera, ...]
    pictures: tuple[Pixels, ...]  # [H, W, 4] each, RGB over black and alpha


def make_lesson(
    scene: TrainingScene, rasterizer: Rasterizer, options: SpreadOptions, rng: np.random.Generator
) -> SpreadLesson:
    """Encode `scene`, cut it at random prefixes, draw the whole; raises as `encode`."""
    cameras = judged_cameras(scene.cameras[: options.views], options.heights, rng)
    pictures = []
    for camera in cameras:
        render = rasterizer.render(scene.gaussians, camera)
        whole = np.concatenate([render.rgb, render.alpha[..., None]], axis=2)
        pictures.append(to_pixels(whole))
    others = scene.cameras[options.views :]  # the encoder never sees the judged views
    prefixes = tuple(
        Prefix(drawn.gaussians, 1 - len(drawn.gaussians) / facts.leaf_count)
        for drawn, facts in random_prefixes(
            scene.gaussians, others, options.prefixes, rasterizer, rng
        )
        if len(drawn.gaussians) >= _FEWEST
    )
    return SpreadLesson(prefixes, tuple(cameras), tuple(pictures))


def write_lesson(path: Path, lesson: SpreadLesson) -> None:
    """Write what can't be worked out again quickly, all or nothing."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, (camera, picture) in enumerate(zip(lesson.cameras, lesson.pictures, strict=True)):
        arrays[f"view{number}"] = np.concatenate([camera.viewmat[:3].ravel(), camera.K.ravel()])
        arrays[f"picture{number}"] = picture
    for number, prefix in enumerate(lesson.prefixes):
        arrays[f"missing{number}"] = np.array(prefix.missing)
        arrays |= {f"{name}{number}": getattr(prefix.leaves, name) for name in _FIELDS}
    write_arrays(path, arrays)


def read_lesson(path: Path) -> SpreadLesson:
    """Read what `write_lesson` wrote; raises RecipeError where it is something else."""
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
        raise RecipeError(f"{path}: no lesson; delete it") from error
    if not cameras:
        raise RecipeError(f"{path}: no lesson; delete it")
    return SpreadLesson(tuple(prefixes), tuple(cameras), tuple(pictures))
