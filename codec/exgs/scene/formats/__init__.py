"""Scene files of every known format, by their extension.

The frame is that of a PLY (RDF) whatever the format stores; a reader for another format is one
more module here and a line in the tables below.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from exgs.scene.errors import SceneError
from exgs.scene.formats.compressed_ply import is_compressed_ply, read_compressed_ply
from exgs.scene.formats.ply import read_ply, write_ply
from exgs.scene.formats.sog import read_sog
from exgs.scene.formats.sog_lod import META_NAME, read_sog_level
from exgs.scene.formats.splat import read_splat, write_splat
from exgs.scene.formats.spz import read_spz, write_spz
from exgs.scene.gaussians import Gaussians

__all__ = [
    "READABLE",
    "WRITABLE",
    "read_scene",
    "write_scene",
    "write_splat",
    "write_spz",
]


def _read_any_ply(path: Path) -> Gaussians:
    return read_compressed_ply(path) if is_compressed_ply(path) else read_ply(path)


def _read_json(path: Path) -> Gaussians:
    return read_sog_level(path) if path.name == META_NAME else read_sog(path)


_READERS: dict[str, Callable[[Path], Gaussians]] = {
    ".ply": _read_any_ply,
    ".splat": read_splat,
    ".spz": read_spz,
    ".sog": read_sog,
    ".json": _read_json,
}
_WRITERS: dict[str, Callable[[Path, Gaussians], None]] = {
    ".ply": write_ply,
    ".splat": write_splat,
    ".spz": write_spz,
}

READABLE = tuple(_READERS)  # .json: the meta.json or lod-meta.json of a SOG in a folder
WRITABLE = tuple(_WRITERS)


def read_scene(path: str | os.PathLike[str]) -> Gaussians:
    """The scene of a file in any format of READABLE, or of a folder that holds a SOG.

    A streamed SOG is read at its finest level. Raises SceneError where the extension is none of
    these or the file can't be used, OSError; a SceneWarning counts what had to be mended.
    """
    path = Path(path)
    if path.is_dir():
        path = path / (META_NAME if (path / META_NAME).exists() else "meta.json")
        if not path.exists():
            raise SceneError(f"{path.parent}: a folder without meta.json; name a scene file")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise SceneError(f"{path}: expected a name that ends in {', '.join(READABLE)}")
    return reader(path)


def write_scene(path: str | os.PathLike[str], gaussians: Gaussians) -> None:
    """Write a scene in the format of WRITABLE that the extension names.

    .splat holds no SH, and .spz coarser ones; an existing file is replaced by a complete one only.
    Raises SceneError where the extension is another or the scene can't be stored so; OSError.
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise SceneError(f"{path}: expected a name that ends in {', '.join(WRITABLE)}")
    writer(path, gaussians)
