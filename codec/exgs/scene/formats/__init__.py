"""Scene files of every known format, by the ending of their names.

The frame is that of a PLY (RDF) whatever the format stores; a reader for another format is one
more module here and a line in the tables below.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from exgs.scene.errors import SceneError
from exgs.scene.formats.compressed_ply import (
    is_compressed_ply,
    read_compressed_ply,
    write_compressed_ply,
)
from exgs.scene.formats.glb import read_glb, write_glb
from exgs.scene.formats.ksplat import read_ksplat
from exgs.scene.formats.ply import read_ply, write_ply
from exgs.scene.formats.sog import read_sog
from exgs.scene.formats.sog_lod import META_NAME, read_sog_level
from exgs.scene.formats.sog_writing import write_sog
from exgs.scene.formats.splat import read_splat, write_splat
from exgs.scene.formats.spz import read_spz, write_spz
from exgs.scene.frames import LUF, RDF, to_rdf
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.transform import transformed

__all__ = [
    "READABLE",
    "WRITABLE",
    "read_scene",
    "write_scene",
    "write_splat",
    "write_spz",
]


def _read_any_ply(path: Path) -> Scene:
    return read_compressed_ply(path) if is_compressed_ply(path) else read_ply(path)


def _read_json(path: Path) -> Scene:
    return read_sog_level(path) if path.name == META_NAME else read_sog(path)


_READERS: dict[str, Callable[[Path], Scene]] = {
    ".ply": _read_any_ply,
    ".splat": read_splat,
    ".ksplat": read_ksplat,
    ".spz": read_spz,
    ".sog": read_sog,
    ".glb": read_glb,
    ".json": _read_json,
}
_WRITERS: dict[str, Callable[[Path, Scene], None]] = {
    ".ply": write_ply,
    ".splat": write_splat,
    ".spz": write_spz,
    ".sog": write_sog,
    ".glb": write_glb,
    ".compressed.ply": write_compressed_ply,
}

READABLE = tuple(_READERS)  # .json: the meta.json or lod-meta.json of a SOG in a folder
WRITABLE = tuple(_WRITERS)


def read_scene(path: str | os.PathLike[str], *, frame: str | None = None) -> Scene:
    """The scene of a file in any format of READABLE, or of a folder that holds a SOG.

    `frame`, one of `exgs.scene.frames.FRAMES`, is the one that the file's values stand in, where
    its format or the file itself says another. A streamed SOG is read at its finest level. Raises
    SceneError where the ending is none of these or the file can't be used, OSError; a SceneWarning
    counts what had to be mended.
    """
    path = Path(path)
    if path.is_dir():
        path = path / (META_NAME if (path / META_NAME).exists() else "meta.json")
        if not path.exists():
            raise SceneError(f"{path.parent}: a folder without meta.json; name a scene file")
    ending = path.suffix.lower()
    reader = _READERS.get(ending)
    if reader is None:
        raise SceneError(f"{path}: expected a name that ends in {', '.join(READABLE)}")
    if frame is None:
        return reader(path)
    if ending == ".spz":
        return read_spz(path, frame)
    usual = LUF if ending == ".glb" else RDF
    return transformed(reader(path), rotation=to_rdf(frame) @ to_rdf(usual).T)


def write_scene(path: str | os.PathLike[str], scene: Scene | Gaussians) -> None:
    """Write a scene in the format of WRITABLE that the ending names.

    .splat holds no SH, .spz and .sog coarser ones; an existing file is replaced by a complete one
    only. Raises SceneError where the ending is another or the scene can't be stored so; OSError. A
    SceneWarning tells what the format can't hold.
    """
    path = Path(path)
    endings = [ending for ending in _WRITERS if path.name.lower().endswith(ending)]
    if not endings:
        raise SceneError(f"{path}: expected a name that ends in {', '.join(WRITABLE)}")
    _WRITERS[max(endings, key=len)](path, Scene.of(scene))
