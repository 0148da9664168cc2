"""Checks the outputs of commands: existing files are overwritten only with -w."""

from __future__ import annotations

import argparse
import secrets
import tempfile
from pathlib import Path

from exgs.codec.errors import ExgsError
from exgs.scene.files import atomic_write
from exgs.scene.stores import Place, StoreError, StorePath


class OutputError(ExgsError):
    """An output must not or can't be written."""


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the option -w."""
    parser.add_argument("-w", "--overwrite", action="store_true", help="overwrite existing files")


def check_output(path: Place, arguments: argparse.Namespace) -> None:
    """Raise OutputError if `path` exists without -w, or can't be written."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    if path.exists() and not arguments.overwrite:
        raise OutputError(f"{path}: exists already; overwrite it with -w")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is not a regular file; name another")
    if isinstance(path, StorePath):
        _check_store(path)
        return
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    _check_writable(path.resolve().parent, path)


def _check_store(path: StorePath) -> None:
    """Raise OutputError if nothing can be written beside `path`: this writes and deletes a file."""
    probe = path.with_name(f".exgs-{secrets.token_hex(8)}.tmp")
    try:
        with atomic_write(probe):
            pass
        probe.parent.remove([probe.name])
    except (StoreError, OSError) as error:
        raise OutputError(str(error).replace(str(probe), str(path))) from error


def check_folder(folder: Path, arguments: argparse.Namespace, results: tuple[str, ...]) -> None:
    """Raise OutputError if `folder` has files that match `results` (globs) without -w.

    Also if it can't be written to, or can't be made.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is not a folder")
    old = [path for pattern in results for path in folder.glob(pattern)]
    if old and not arguments.overwrite:
        raise OutputError(f"{folder}: holds results already ({old[0].name}); replace them with -w")
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not existing.is_dir():
        raise OutputError(f"{folder}: {existing} is not a folder")
    _check_writable(existing, folder)


def _check_writable(folder: Path, path: Path) -> None:
    """Raise OutputError, which names `path`, if no file can be created in `folder`.

    This tries to create a file, since permissions do not show a read-only or special file system.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror or error}") from error
