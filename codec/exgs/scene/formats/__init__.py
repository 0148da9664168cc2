"""Reads and writes scene files. The extension of the name determines the format.

Scenes always have the axes of a PLY (RDF), whatever the format stores. A new format is a module
here and a line in the tables below.
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
from exgs.scene.formats.lcc import LCC_FRAME, read_lcc
from exgs.scene.formats.ply import read_ply, write_ply
from exgs.scene.formats.sog import read_sog
from exgs.scene.formats.sog_lod import META_NAME, read_sog_level
from exgs.scene.formats.sog_writing import write_sog
from exgs.scene.formats.splat import read_splat, write_splat
from exgs.scene.formats.spz import read_spz, write_spz
from exgs.scene.frames import LUF, RDF, to_rdf
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.stores import AnyPath, local_copy, place
from exgs.scene.transform import transformed

__all__ = [
    "READABLE",
    "UNSUPPORTED",
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
    ".lcc": read_lcc,
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

_FRAMES = {".glb": LUF, ".lcc": LCC_FRAME}  # of formats with other axes than RDF

READABLE = tuple(_READERS)  # .json: the meta.json or lod-meta.json of a SOG in a folder
WRITABLE = tuple(_WRITERS)

# Extensions of scenes that can't be read, with what to do
UNSUPPORTED = {
    ".lcc2": "version 2 of LCC is not supported; export version 1 (.lcc) or a .ply",
    ".gltf": "a glTF of several files is not supported; pack it into one .glb",
    ".rad": ".rad is not supported; take the .ply or .spz that it was made from",
}


def read_scene(path: AnyPath, *, frame: str | None = None) -> Scene:
    """Read a scene file in a format of READABLE, or a folder with a SOG or a .lcc.

    `frame`, one of `exgs.scene.frames.FRAMES`, overrides the axes that the format or the file
    states. A streamed SOG is read at its finest level. Raises SceneError if the extension is
    unknown or the file can't be used, OSError. A SceneWarning counts repaired values. A scene in a
    store (s3://bucket/scene.ply) is copied to a temporary file first; StoreError.
    """
    with local_copy(place(path), with_folder=True) as here:
        return _read(here, frame)


def _read(path: Path, frame: str | None) -> Scene:
    if path.is_dir():
        path = _described(path)
    ending = path.suffix.lower()
    reader = _READERS.get(ending)
    if ending in UNSUPPORTED:
        raise SceneError(f"{path}: {UNSUPPORTED[ending]}")
    if reader is None:
        raise SceneError(f"{path}: expected a name that ends in {', '.join(READABLE)}")
    if frame is None:
        return reader(path)
    if ending == ".spz":
        return read_spz(path, frame)
    usual = to_rdf(_FRAMES.get(ending, RDF))
    return transformed(reader(path), rotation=to_rdf(frame) @ usual.T)


def _described(folder: Path) -> Path:
    """The file that describes the scene in a folder. Raises SceneError."""
    described = [folder / META_NAME, folder / "meta.json", *sorted(folder.glob("*.lcc"))]
    found = [path for path in described if path.exists()]
    for path in [] if found else sorted(folder.glob("*.lcc2")):
        raise SceneError(f"{path}: {UNSUPPORTED['.lcc2']}")
    if not found:
        raise SceneError(f"{folder}: a folder without {META_NAME}, meta.json or .lcc; name a file")
    return found[0]


def write_scene(path: str | os.PathLike[str], scene: Scene | Gaussians) -> None:
    """Write a scene in the format of WRITABLE that the extension names.

    .splat stores no SH, .spz and .sog store coarse SH. An existing file is replaced atomically.
    Raises SceneError if the extension is unknown or the format can't store the scene; OSError. A
    SceneWarning lists what the format can't store.
    """
    path = Path(path)
    endings = [ending for ending in _WRITERS if path.name.lower().endswith(ending)]
    if not endings:
        raise SceneError(f"{path}: expected a name that ends in {', '.join(WRITABLE)}")
    _WRITERS[max(endings, key=len)](path, Scene.of(scene))
