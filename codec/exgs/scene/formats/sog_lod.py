"""Streamed SOG (PlayCanvas): a tree of regions, each with levels of detail in SOG folders.

lod-meta.json names the folders. For each region and level it gives a folder and a range of rows:
https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/streamed-sog/
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from exgs.scene.errors import SceneError
from exgs.scene.formats.sog import read_sog
from exgs.scene.formats.sog_files import Meta, inner_name, open_folder, read_meta
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.stores import AnyPath, Place, place
from exgs.scene.transform import joined

META_NAME = "lod-meta.json"


def read_sog_level(path: str | os.PathLike[str], level: int = 0) -> Scene:
    """Read a streamed SOG with every region at `level` (0: the finest), from its lod-meta.json.

    A region without that level uses its nearest coarser level, else its nearest finer level. The
    environment is always included, if there is one. Raises SceneError if the file is not a streamed
    SOG or parts are missing; OSError.
    """
    path = Path(path)
    meta = _read_meta(path)
    folders = _units(meta, path)
    loaded: dict[int, Scene] = {}
    parts = [read_sog(path.parent / _environment(meta, path))] if "environment" in meta else []
    count = 0
    for file, start, rows in _rows(meta, level):
        if file >= len(folders):
            raise SceneError(f"{path}: region in folder {file} of {len(folders)}; export it again")
        if file not in loaded:
            loaded[file] = read_sog(path.parent / folders[file])
        scene = loaded[file]
        count += rows
        if start + rows > len(scene) or count > sum(map(len, loaded.values())):
            raise SceneError(
                f"{path}: region of {rows} rows from row {start} of {folders[file].name}, which has"
                f" {len(scene)}; the scene is damaged: fetch or export it again"
            )
        part = scene.gaussians.select(slice(start, start + rows))
        parts.append(replace(scene, gaussians=part))
    return joined(parts) if parts else Scene(Gaussians.empty())


@dataclass(frozen=True, slots=True)
class FolderRows:
    """A range of the rows of a SOG folder or bundle."""

    folder: Place
    start: int
    count: int


def read_sog_ranges(path: AnyPath, level: int = 0) -> list[FolderRows]:
    """The ranges of rows that `read_sog_level` reads, in its order, without reading them.

    Raises SceneError, OSError, StoreError.
    """
    path = place(path)
    meta = _read_meta(path)
    folders = _units(meta, path)
    ranges = []
    if "environment" in meta:
        environment = path.parent / _environment(meta, path)
        ranges.append(FolderRows(environment, 0, len(read_sog(environment))))
    for file, start, rows in _rows(meta, level):
        if file >= len(folders):
            raise SceneError(f"{path}: region in folder {file} of {len(folders)}; export it again")
        ranges.append(FolderRows(path.parent / folders[file], start, rows))
    return ranges


def sog_level_folders(path: str | os.PathLike[str], level: int = 0) -> list[Path]:
    """The folders (or .sog bundles) that `read_sog_level` reads, each once.

    Raises SceneError, OSError.
    """
    path = Path(path)
    meta = _read_meta(path)
    units = _units(meta, path)
    used = dict.fromkeys(units[file] for file, _, _ in _rows(meta, level) if file < len(units))
    named = [*([_environment(meta, path)] if "environment" in meta else []), *used]
    return [path.parent / unit for unit in named]


def sog_levels(path: str | os.PathLike[str]) -> int:
    """The number of levels of detail of a streamed SOG; raises SceneError, OSError."""
    return _read_meta(Path(path))["lodLevels"].integer(least=1)


def _read_meta(path: Place) -> Meta:
    return read_meta(open_folder(path), path.name)


def _units(meta: Meta, path: Place) -> list[PurePosixPath]:
    return [_unit(name.text(), path) for name in meta["filenames"].items()]


def _environment(meta: Meta, path: Place) -> PurePosixPath:
    return _unit(meta["environment"].text(), path)


def _unit(name: str, path: Place) -> PurePosixPath:
    """The folder of a meta.json or the bundle named `name`, relative to the folder of `path`."""
    file = inner_name(name, str(path))
    return file.parent if file.suffix == ".json" else file


def _rows(meta: Meta, level: int) -> Iterator[tuple[int, int, int]]:
    """Folder, first row and row count of every region at a level, in the order of the tree."""
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


@dataclass(frozen=True, slots=True)
class SogRows:
    """The rows of one folder that a region shows at one level."""

    file: int  # number of the folder
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class SogNode:
    """A region of a streamed SOG: its box, and its rows by level (0: the finest)."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    levels: dict[int, SogRows]


def read_sog_nodes(path: str | os.PathLike[str]) -> tuple[list[Path], list[SogNode]]:
    """The folders (or bundles) of a streamed SOG that exist here, and its regions.

    Levels with a missing folder are left out. Raises SceneError, OSError.
    """
    path = Path(path)
    meta = _read_meta(path)
    units = [path.parent / unit for unit in _units(meta, path)]
    kept = [number for number, unit in enumerate(units) if unit.exists()]
    place_of = {number: new for new, number in enumerate(kept)}
    nodes = []
    waiting = [meta["tree"]]
    while waiting:
        node = waiting.pop()
        if "children" in node:
            waiting.extend(reversed(list(node["children"].items())))
        elif "lods" in node:
            lods, bound = node["lods"], node["bound"]
            levels = {}
            for key in lods.names():
                rows = lods[key]
                if key.isdecimal() and (file := rows["file"].integer()) in place_of:
                    levels[int(key)] = SogRows(
                        place_of[file], rows["offset"].integer(), rows["count"].integer()
                    )
            if levels:
                low, high = (tuple(bound[name].numbers(3).tolist()) for name in ("min", "max"))
                nodes.append(SogNode(low, high, levels))
    return [units[number] for number in kept], nodes
