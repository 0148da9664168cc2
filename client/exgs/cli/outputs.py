"""What a command writes: refused where it exists already, unless -w says otherwise."""

from __future__ import annotations

import argparse
import tempfile
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
    """Raises OutputError where `path` exists without -w, or can't be written to where it is."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    if path.exists() and not arguments.overwrite:
        raise OutputError(f"{path}: exists already; overwrite it with -w")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is not a regular file; name another")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    _check_writable(path.resolve().parent, path)


def check_folder(folder: Path, arguments: argparse.Namespace, results: tuple[str, ...]) -> None:
    """Raises OutputError where `folder` holds files that match `results` (globs), without -w.

    Also where it exists and can't be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is not a folder")
    old = [path for pattern in results for path in folder.glob(pattern)]
    if old and not arguments.overwrite:
        raise OutputError(f"{folder}: holds results already ({old[0].name}); replace them with -w")
    if folder.exists():
        _check_writable(folder, folder)


def _check_writable(folder: Path, path: Path) -> None:
    """Raises OutputError, which names `path`, where no file can be made in `folder`.

    Only trying tells: permissions say nothing of a file system that is read-only or no real one.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror or error}") from error
