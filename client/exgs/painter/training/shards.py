"""Prepares the training data of a recipe's sources once and keeps it in files (shards)."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from exgs.codec.encoding.stages import Progress
from exgs.painter.training.pairs import PairOptions
from exgs.painter.training.recipe import Recipe
from exgs.painter.training.scenes import TrainingScene, check_source, load_source
from exgs.painter.training.spread_examples import SpreadOptions

_VIEW_SIZE = (320, 180)  # of the views for the encoder; training views are resized


def shard_paths(
    recipe: Recipe, options: PairOptions | SpreadOptions, folder: Path, ending: str
) -> dict[str, Path]:
    """The shard of each source. The name contains a hash of the options and the seed."""
    made_by = hashlib.sha256(repr((recipe.seed, options)).encode()).hexdigest()[:8]
    return {
        source: folder / f"{source.replace(':', '-').replace('/', '-')}-{made_by}{ending}"
        for source in recipe.sources + recipe.validation
    }


def make_missing(
    paths: Mapping[str, Path],
    recipe: Recipe,
    options: PairOptions | SpreadOptions,
    data: Path,
    make: Callable[[Path, TrainingScene, np.random.Generator], None],
    progress: Progress,
) -> None:
    """Call `make` for each of `paths` that does not exist, with a random generator per source.

    Raises RecipeError, SceneError, OSError.
    """
    missing = {source: path for source, path in paths.items() if not path.exists()}
    for source in missing:
        check_source(source, data)
    for number, (source, path) in enumerate(missing.items()):
        progress(f"{path.parent.name} of {source}", number / len(missing))
        path.parent.mkdir(parents=True, exist_ok=True)
        scene = load_source(source, data, options.views + options.encode_views, _VIEW_SIZE)
        make(path, scene, np.random.default_rng([recipe.seed, zlib.crc32(source.encode())]))
