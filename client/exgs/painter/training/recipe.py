"""A recipe: everything that a training run depends on, read from a TOML file.

    seed = 0
    sources = ["room:1", "photo:0-190/5", "cutout:3-7", "playbot.ply"]
    [pairs] ...   [vae] ...   [unet] ...   [loss] ...   [optimiser] ...

KIND:A-B stands for the sources with numbers A to B, KIND:A-B/S for every Sth of them. Each table
holds the fields of one dataclass or of one `diffusers` configuration; missing fields have defaults.
The sources of `validation` are not used for training. `start` is "shipped" or a model folder with
weights to continue from. A recipe with a table [spread] trains the network that spreads leaves; it
must not have fields that only the other networks use.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from exgs.painter.training.losses import SSIM_WINDOW, LossWeights
from exgs.painter.training.pairs import PairOptions
from exgs.painter.training.scenes import RecipeError
from exgs.painter.training.schedule import OptimiserOptions
from exgs.painter.training.spread_examples import SpreadOptions
from exgs.painter.vae import LATENT_STRIDE

Table = TypeVar("Table")

_RANGE = re.compile(r"(?P<kind>.+):(?P<first>\d+)-(?P<last>\d+)(?:/(?P<step>\d+))?")
_MOST_SOURCES = 10_000
_SHARED_TABLES = "optimiser", "loss"
_NOT_TO_SPREAD = {
    "unet",
    "vae",
    "pairs",
    "start",
    "[optimiser] crop",
    "[optimiser] bfloat16",
    "[loss] latent",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """All options of a training run."""

    sources: tuple[str, ...]
    unet: Mapping[str, Any]
    vae: Mapping[str, Any] = field(default_factory=dict)
    pairs: PairOptions = field(default_factory=PairOptions)
    loss: LossWeights = field(default_factory=LossWeights)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    seed: int = 0
    validation: tuple[str, ...] = ()
    start: str = ""  # "shipped" or a model folder; untrained weights if empty
    spread: SpreadOptions | None = None  # set: train the network that spreads leaves

    @property
    def identity(self) -> str:
        """A text that must be equal for a run to continue from a checkpoint of another run.

        The number of steps and the interval between checkpoints may differ.
        """
        free = replace(self.optimiser, steps=0, checkpoint=0)
        return repr(replace(self, optimiser=free))


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises RecipeError, OSError."""
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not a TOML file: {error}") from error
    unknown = set(data) - {f.name for f in fields(Recipe)}
    if unknown:
        raise RecipeError(f"{path}: unknown key {min(unknown)!r}")
    unet, seed, start = data.get("unet"), data.get("seed", 0), data.get("start", "")
    sources = _names(path, "sources", data)
    if not sources:
        raise RecipeError(f"{path}: sources is empty")
    spread = _spread(path, data)
    unet = {} if spread is not None else unet
    if not isinstance(unet, dict) or not isinstance(data.get("vae", {}), dict):
        raise RecipeError(f"{path}: [unet] and [vae] must be tables; [unet] is required")
    if not isinstance(seed, int) or seed < 0:
        raise RecipeError(f"{path}: seed must be a whole number of 0 or more")
    if not isinstance(start, str):
        raise RecipeError(f"{path}: start is not the name of a model folder")
    recipe = Recipe(
        sources,
        unet,
        data.get("vae", {}),
        _table(path, "pairs", PairOptions, data),
        _table(path, "loss", LossWeights, data),
        _table(path, "optimiser", OptimiserOptions, data),
        seed,
        _names(path, "validation", data),
        start,
        spread,
    )
    for holds, fault in _conditions(recipe):
        if not holds:
            raise RecipeError(f"{path}: {fault}")
    return recipe


def _spread(path: Path, data: Mapping[str, Any]) -> SpreadOptions | None:
    """Read the table [spread], if there is one; refuse fields that only other networks use."""
    if "spread" not in data:
        return None
    tables = {name: data.get(name) for name in _SHARED_TABLES}
    kept = {name: table for name, table in tables.items() if isinstance(table, dict)}
    given = {*data, *(f"[{name}] {key}" for name, table in kept.items() for key in table)}
    for name in sorted(given & _NOT_TO_SPREAD):
        raise RecipeError(f"{path}: a recipe with [spread] must not have {name}")
    return _table(path, "spread", SpreadOptions, data)


def _conditions(recipe: Recipe) -> Iterator[tuple[bool, str]]:
    """Conditions that a recipe must meet, each with the message if it does not."""
    pairs, spread, optimiser = recipe.pairs, recipe.spread, recipe.optimiser
    for name, table, keys in (
        ("pairs", pairs, ("crop", "prefixes", "views", "encode_views")),
        ("spread", spread, ("hidden", "prefixes", "views", "encode_views")),
        ("optimiser", optimiser, ("steps", "batch", "crop", "checkpoint")),
    ):
        for key in keys if table is not None else ():
            yield getattr(table, key) >= 1, f"[{name}] {key} must be 1 or more"
    kept, heights = ("pairs", pairs.heights) if spread is None else ("spread", spread.heights)
    yield bool(heights), f"[{kept}] heights is empty"
    yield all(type(height) is int for height in heights), f"[{kept}] heights must be whole numbers"
    if spread is None:
        yield min(heights) >= pairs.crop, "[pairs] crop is larger than the smallest of heights"
        yield optimiser.crop <= pairs.crop, "[optimiser] crop is larger than that of [pairs]"
        levels = recipe.unet.get("block_out_channels", ())
        yield isinstance(levels, list | tuple), "[unet] block_out_channels is not a list"
        multiple = LATENT_STRIDE << max(len(levels) - 1, 0)
        yield not optimiser.crop % multiple, f"[optimiser] crop must be a multiple of {multiple}"
    else:
        least = f"[spread] heights must be {SSIM_WINDOW} or more"
        yield min(heights) >= SSIM_WINDOW, least
    yield optimiser.seed >= 0, "[optimiser] seed is negative"
    both = set(recipe.sources) & set(recipe.validation)
    yield not both, f"{min(both, default='')!r} is in both sources and validation"


def _names(path: Path, key: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    names = data.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecipeError(f"{path}: {key} is not a list of names")
    return tuple(source for name in names for source in _numbered(path, name))


def _numbered(path: Path, name: str) -> list[str]:
    """The sources that `name` stands for: itself, or one for each number of its range."""
    found = _RANGE.fullmatch(name)
    if found is None:
        return [name]
    first, last, step = int(found["first"]), int(found["last"]), int(found["step"] or 1)
    if step < 1 or not first <= last < first + _MOST_SOURCES * step:
        raise RecipeError(
            f"{path}: {name!r} stands for no source, or for more than {_MOST_SOURCES}"
        )
    return [f"{found['kind']}:{number}" for number in range(first, last + 1, step)]


def _table(path: Path, name: str, kind: type[Table], data: Mapping[str, Any]) -> Table:
    """Read the dataclass `kind` from a table."""
    default = kind()
    given = data.get(name, {})
    if not isinstance(given, dict):
        raise RecipeError(f"{path}: [{name}] is not a table")
    values = {}
    for key, value in given.items():
        expected = getattr(default, key, None)
        if isinstance(expected, tuple) and isinstance(value, list):
            value = tuple(value)
        if isinstance(expected, float) and isinstance(value, int):
            value = float(value)
        if expected is None or type(value) is not type(expected):
            raise RecipeError(
                f"{path}: [{name}] {key} = {value!r} is unknown or has the wrong type"
            )
        values[key] = value
    return kind(**values)
