"""The files that a training run leaves: its state, to go on from, and arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from exgs.painter.training.scenes import RecipeError
from exgs.scene.files import atomic_write

if TYPE_CHECKING:  # a recipe holds the options of what is kept here
    from exgs.painter.training.recipe import Recipe


def write_checkpoint(path: Path, recipe: Recipe, state: Mapping[str, Any]) -> None:
    """Write the state of a run by `recipe`, all or nothing."""
    with atomic_write(path) as file:
        torch.save({"recipe": _identity(recipe), **state}, file)


def read_checkpoint(path: Path, recipe: Recipe, device: torch.device) -> dict[str, Any] | None:
    """The state to go on from, None without a file; raises RecipeError where it is another's."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if state.get("recipe") != _identity(recipe):
        raise RecipeError(f"{path}: from another recipe; use another folder")
    return state


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an .npz file, all or nothing."""
    with atomic_write(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # to mypy a name may be allow_pickle


def _identity(recipe: Recipe) -> str:
    """What a checkpoint must share with the recipe that goes on from it."""
    free = replace(recipe.steps, count=0, checkpoint=0)
    return repr(replace(recipe, steps=free))
