"""A recipe: all that a training run depends on, read from a TOML file.

    seed = 0
    sources = ["room:1", "photo:0-190/5", "cutout:3-7", "playbot.ply"]
    [pairs] ...   [vae] ...   [unet] ...   [loss] ...   [steps] ...

A source with numbers from A to B, every Sth, is written KIND:A-B/S or KIND:A-B. Each table gives
the fields of one dataclass (or of one `diffusers` configuration); what is left out has its default.
The sources of `validation` are not trained on: they tell how training goes.
With start = "shipped", or a model folder, a run goes on from weights of that layout. A recipe with
a table [spread] is one for the network that spreads leaves, and has nothing of what that one lacks.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from exgs.painter.training.losses import SSIM_WINDOW, LossWeights
from exgs.painter.training.pairs import PairOptions
from exgs.painter.training.scenes import RecipeError
from exgs.painter.training.schedule import Steps
from exgs.painter.training.training_views import SpreadOptions
from exgs.painter.vae import LATENT_STRIDE

Table = TypeVar("Table")

_RANGE = re.compile(r"(?P<kind>.+):(?P<first>\d+)-(?P<last>\d+)(?:/(?P<step>\d+))?")
_MOST_SOURCES = 10_000
_TABLES = "steps", "loss"
_NOT_TO_SPREAD = {"unet", "vae", "pairs", "start", "[steps] crop", "[steps] half", "[loss] latent"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One run, from scenes to weights."""

    sources: tuple[str, ...]
    unet: Mapping[str, Any]
    vae: Mapping[str, Any] = field(default_factory=dict)
    pairs: PairOptions = field(default_factory=PairOptions)
    loss: LossWeights = field(default_factory=LossWeights)
    steps: Steps = field(default_factory=Steps)
    seed: int = 0
    validation: tuple[str, ...] = ()
    start: str = ""  # "shipped", or a model folder; else untrained weights
    spread: SpreadOptions | None = None  # the network that spreads leaves, instead of the others


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; raises RecipeError, OSError."""
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not a TOML file: {error}") from error
    unknown = set(data) - {f.name for f in fields(Recipe)}
    if unknown:
        raise RecipeError(f"{path}: a recipe has no {min(unknown)!r}")
    unet, seed, start = data.get("unet"), data.get("seed", 0), data.get("start", "")
    sources = _names(path, "sources", data)
    if not sources:
        raise RecipeError(f"{path}: sources names none")
    spread = _spread(path, data)
    unet = {} if spread is not None else unet
    if not isinstance(unet, dict) or not isinstance(data.get("vae", {}), dict):
        raise RecipeError(f"{path}: [unet] and [vae] must be tables; [unet] can't be left out")
    if not isinstance(seed, int) or seed < 0:
        raise RecipeError(f"{path}: seed is not a whole number from 0")
    if not isinstance(start, str):
        raise RecipeError(f"{path}: start is not the name of a model folder")
    recipe = Recipe(
        sources,
        unet,
        data.get("vae", {}),
        _table(path, "pairs", PairOptions, data),
        _table(path, "loss", LossWeights, data),
        _table(path, "steps", Steps, data),
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
    """The table of a recipe for the network that spreads leaves, and nothing of another's."""
    if "spread" not in data:
        return None
    tables = {name: data.get(name) for name in _TABLES}
    kept = {name: table for name, table in tables.items() if isinstance(table, dict)}
    given = {*data, *(f"[{name}] {key}" for name, table in kept.items() for key in table)}
    for name in sorted(given & _NOT_TO_SPREAD):
        raise RecipeError(f"{path}: {name} has no place in a recipe with [spread]")
    return _table(path, "spread", SpreadOptions, data)


def _conditions(recipe: Recipe) -> Iterator[tuple[bool, str]]:
    """What must hold, and what is said where it does not."""
    pairs, spread, steps = recipe.pairs, recipe.spread, recipe.steps
    for name, table, keys in (
        ("pairs", pairs, ("crop", "prefixes", "views", "encode_views")),
        ("spread", spread, ("hidden", "prefixes", "views", "encode_views")),
        ("steps", steps, ("count", "batch", "crop", "checkpoint")),
    ):
        for key in keys if table is not None else ():
            yield getattr(table, key) >= 1, f"[{name}] {key} must be 1 or more"
    kept, heights = ("pairs", pairs.heights) if spread is None else ("spread", spread.heights)
    yield bool(heights), f"[{kept}] heights names none"
    yield all(type(height) is int for height in heights), f"[{kept}] heights: whole numbers"
    if spread is None:
        yield min(heights) >= pairs.crop, "[pairs] crop is larger than the least of heights"
        yield steps.crop <= pairs.crop, "[steps] crop is larger than that of [pairs]"
        levels = recipe.unet.get("block_out_channels", ())
        yield isinstance(levels, list | tuple), "[unet] block_out_channels is not a list"
        multiple = LATENT_STRIDE << max(len(levels) - 1, 0)
        yield not steps.crop % multiple, f"[steps] crop must be a multiple of {multiple}"
    else:
        least = f"[spread] heights must be {SSIM_WINDOW} or more"
        yield min(heights) >= SSIM_WINDOW, least
    yield steps.seed >= 0, "[steps] seed is negative"
    both = set(recipe.sources) & set(recipe.validation)
    yield not both, f"{min(both, default='')!r} is trained on and validates"


def _names(path: Path, key: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    names = data.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecipeError(f"{path}: {key} is not a list of names")
    return tuple(source for name in names for source in _numbered(path, name))


def _numbered(path: Path, name: str) -> list[str]:
    """The sources that a name stands for: itself, or one for each of its numbers."""
    found = _RANGE.fullmatch(name)
    if found is None:
        return [name]
    first, last, step = int(found["first"]), int(found["last"]), int(found["step"] or 1)
    if step < 1 or not first <= last < first + _MOST_SOURCES * step:
        raise RecipeError(f"{path}: {name!r} names no source, or more than {_MOST_SOURCES}")
    return [f"{found['kind']}:{number}" for number in range(first, last + 1, step)]


def _table(path: Path, name: str, kind: type[Table], data: Mapping[str, Any]) -> Table:
    """The dataclass `kind` from a table of plain numbers."""
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
            raise RecipeError(f"{path}: [{name}] {key} = {value!r} is unknown or of another kind")
        values[key] = value
    return kind(**values)
