"""User-defined policies, predictors and formats: FILE.py:NAME in an experiment."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from exgs.lab.errors import LabError


def is_plugin(text: str) -> bool:
    """Whether a name has the form FILE.py:NAME."""
    return ".py:" in text


def load_plugin(text: str, folder: Path) -> Any:
    """Load FILE.py:NAME; FILE is relative to the experiment's folder. Raises LabError."""
    file, _, name = text.partition(":")
    return getattr_of(_module(folder / file), name, text)


def getattr_of(module: Any, name: str, text: str) -> Any:
    """An attribute of a module. Raises LabError if it does not exist."""
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise LabError(f"{text}: the file has no {name!r}") from error


def plugin_digest(text: str, folder: Path) -> str:
    """A hash of the file of a plug-in."""
    return hashlib.sha256((folder / text.partition(":")[0]).read_bytes()).hexdigest()[:16]


@functools.cache
def _module(path: Path) -> Any:
    if not path.is_file():
        raise LabError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"exgs_lab_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise LabError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise LabError(f"{path}: {type(error).__name__}: {error}") from error
    return module
