"""Streamed SOG (PlayCanvas): a tree of regions, each with levels of detail in SOG folders.

lod-meta.json names the folders and says which rows of which of them a region shows at a level:
https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/streamed-sog/
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from exgs.scene.errors import SceneError
from exgs.scene.formats.sog import read_sog
from exgs.scene.formats.sog_files import Meta, inner_name, open_folder, read_meta
from exgs.scene.gaussians import Gaussians

META_NAME = "lod-meta.json"


def read_sog_level(path: str | os.PathLike[str], level: int = 0) -> Gaussians:
    """A streamed SOG with every region at `level` (0: the finest), by its lod-meta.json.

    A region without that level shows the nearest coarser one that it has, else the nearest finer;
    the surroundings, where there are any, are always part of it. Raises SceneError where the
    scene is none, or parts are missing; OSError.
    """
    path = Path(path)
    meta = _read_meta(path)
    folders = _folders(meta, path)
    loaded: dict[int, Gaussians] = {}
    parts = [read_sog(_environment(meta, path))] if "environment" in meta else []
    count = 0
    for file, start, rows in _rows(meta, level):
        if file >= len(folders):
            raise SceneError(f"{path}: region in folder {file} of {len(folders)}; export it again")
        if file not in loaded:
            loaded[file] = read_sog(folders[file])
        scene = loaded[file]
        count += rows
        if start + rows > len(scene) or count > sum(map(len, loaded.values())):
            raise SceneError(
                f"{path}: region of {rows} rows from row {start} of {folders[file].name}, which has"
                f" {len(scene)}; the scene is damaged: fetch or export it again"
            )
        parts.append(scene.select(slice(start, start + rows)))
    return Gaussians.concatenate(parts) if parts else Gaussians.empty()


def sog_level_folders(path: str | os.PathLike[str], level: int = 0) -> list[Path]:
    """The folders that `read_sog_level` would read, each once; raises SceneError, OSError."""
    path = Path(path)
    meta = _read_meta(path)
    folders = _folders(meta, path)
    used = dict.fromkeys(folders[file] for file, _, _ in _rows(meta, level) if file < len(folders))
    return [*([_environment(meta, path)] if "environment" in meta else []), *used]


def sog_levels(path: str | os.PathLike[str]) -> int:
    """How many levels of detail a streamed SOG has; raises SceneError, OSError."""
    return _read_meta(Path(path))["lodLevels"].integer(least=1)


def _read_meta(path: Path) -> Meta:
    return read_meta(open_folder(path), path.name)


def _folders(meta: Meta, path: Path) -> list[Path]:
    names = (name.text() for name in meta["filenames"].items())
    return [(path.parent / inner_name(name, str(path))).parent for name in names]


def _environment(meta: Meta, path: Path) -> Path:
    return (path.parent / inner_name(meta["environment"].text(), str(path))).parent


def _rows(meta: Meta, level: int) -> Iterator[tuple[int, int, int]]:
    """Folder, first row and count of every region at a level, in the order of the tree."""
    waiting = [meta["tree"]]
    while waiting:
        node = waiting.pop()
        if "children" in node:
            waiting.extend(reversed(list(node["children"].items())))
        elif "lods" in node:
            lods = node["lods"]
            levels = sorted(int(key) for key in lods.names() if key.isdecimal())
            if not levels:
                raise lods.wrong("an object with levels")
            nearest = next((found for found in levels if found >= level), levels[-1])
            rows = lods[str(nearest)]
            yield rows["file"].integer(), rows["offset"].integer(), rows["count"].integer()
