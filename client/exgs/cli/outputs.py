"""What a command writes: refused where it exists already, unless -w says otherwise."""

from __future__ import annotations

import argparse
from pathlib import Path

from exgs.codec.errors import ExgsError


class OutputError(ExgsError):
    """An output that must not or can't be written."""


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """The option -w."""
    parser.add_argument(
        "-w", "--overwrite", action="store_true", help="replace what is there already"
    )


def check_output(path: Path, arguments: argparse.Namespace) -> None:
    """Raises OutputError where `path` exists without -w, or has no folder to be written to."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    if path.exists() and not arguments.overwrite:
        raise OutputError(f"{path}: exists already; overwrite it with -w")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")


def check_folder(folder: Path, arguments: argparse.Namespace, results: tuple[str, ...]) -> None:
    """Raises OutputError where `folder` holds files that match `results` (globs), without -w."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is not a folder")
    old = [path for pattern in results for path in folder.glob(pattern)]
    if old and not arguments.overwrite:
        raise OutputError(f"{folder}: holds results already ({old[0].name}); replace them with -w")
