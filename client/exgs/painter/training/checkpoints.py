"""Reads and writes the state of a training run, and named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from exgs.painter.training.scenes import RecipeError
from exgs.scene.files import atomic_write


def write_checkpoint(path: Path, recipe: str, state: Mapping[str, Any]) -> None:
    """Write the state of a run atomically. `recipe` is the identity of its recipe."""
    with atomic_write(path) as file:
        torch.save({"recipe": recipe, **state}, file)


def read_checkpoint(path: Path, recipe: str, device: torch.device) -> dict[str, Any] | None:
    """Read the state to continue from; None if there is no file.

    Raises RecipeError if a run of another recipe wrote the file.
    """
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if state.get("recipe") != recipe:
        raise RecipeError(f"{path}: from another recipe; use another folder")
    return state


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an .npz file atomically."""
    with atomic_write(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # mypy takes a name for allow_pickle
