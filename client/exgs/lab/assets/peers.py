"""Scenes in other formats, from real files: .spz, .splat, streamed SOG with its levels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from exgs.lab.assets.asset import Asset, Drawing, DrawingSource, Longs, unlocks_of
from exgs.lab.errors import LabError
from exgs.scene.formats import read_scene
from exgs.scene.formats.sog import read_sog
from exgs.scene.formats.sog_lod import SogNode, read_sog_nodes
from exgs.scene.formats.splat import ROW
from exgs.scene.gaussians import Gaussians

_BLOCK_BYTES = 1 << 16  # of a .splat, drawn when all of its bytes have arrived


def whole_file_asset(path: Path) -> Asset:
    """A file that is drawn only when it is complete, as viewers of .spz, .ply and .sog do."""
    source = _Whole(path)
    return one_file_asset(path, source, np.array([path.stat().st_size], np.int64))


def splat_asset(path: Path) -> Asset:
    """A .splat, drawn block by block in file order: largest volume times opacity first."""
    size = path.stat().st_size
    ends = np.append(np.arange(_BLOCK_BYTES, size, _BLOCK_BYTES), size)
    source = _Rows(path)
    return one_file_asset(path, source, np.diff(ends, prepend=0).astype(np.int64))


def sog_asset(path: Path) -> Asset:
    """A streamed SOG by its lod-meta.json: an item is a folder with some regions at one level.

    A region is drawn at its finest level that has arrived. Raises SceneError, OSError.
    """
    folders, nodes = read_sog_nodes(path)
    files = [_files(folder) for folder in folders]
    levels = np.array(
        [
            min((level for node in nodes for level, rows in node.levels.items() if rows.file == f))
            for f in range(len(folders))
        ],
        np.int64,
    )
    coarsest = int(levels.max())
    boxes = [
        [n for n in nodes if any(r.file == f for r in n.levels.values())]
        for f in range(len(folders))
    ]
    order = sorted(range(len(folders)), key=lambda f: (-levels[f], f))
    place = {folder: item for item, folder in enumerate(order)}
    made = np.zeros((len(folders), len(nodes)), np.float32)
    for tile, node in enumerate(nodes):
        for level, rows in node.levels.items():
            made[place[rows.file], tile] = coarsest + 1 - level
    digest = hashlib.sha256(path.read_bytes())
    for group in files:
        for file in group:
            digest.update(file.read_bytes())
    count = len(folders)
    sizes = np.array([sum(f.stat().st_size for f in files[folder]) for folder in order], np.int64)
    return Asset(
        name=path.parent.name,
        key=digest.hexdigest()[:32],
        item_bytes=sizes,
        low=np.array([np.min([n.low for n in boxes[f]], axis=0) for f in order]),
        high=np.array([np.max([n.high for n in boxes[f]], axis=0) for f in order]),
        share=np.ones(count),
        gain=sizes.astype(np.float64),
        layer=coarsest - levels[order],
        needs=np.full(count, -1, np.int64),
        is_setup=np.zeros(count, bool),
        calls_for=np.full(count, -1, np.int64),
        lead=np.full(count, -1, np.int64),
        lead_bytes=np.zeros(0, np.int64),
        requests=np.array([len(files[folder]) for folder in order], np.int64),
        head_bytes=path.stat().st_size,
        progress_of=made,
        is_level=True,
        source=_Levels([folders[folder] for folder in order], nodes, place),
        unlocks=tuple(() for _ in range(count)),
    )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else [folder]


def one_file_asset(path: Path, source: DrawingSource, sizes: Longs) -> Asset:
    """A file that arrives from front to back in blocks of these sizes; the whole scene is one tile.
    For user-defined formats.
    """
    means = source.owners()[0].means.astype(np.float64)
    box = np.stack([means.min(axis=0), means.max(axis=0)])
    count = len(sizes)
    requests = np.zeros(count, np.int64)
    requests[0] = 1
    needs = np.arange(-1, count - 1, dtype=np.int64)
    return Asset(
        name=path.stem,
        key=hashlib.sha256(path.read_bytes()).hexdigest()[:32],
        item_bytes=sizes,
        low=np.repeat(box[:1], count, axis=0),
        high=np.repeat(box[1:], count, axis=0),
        share=np.ones(count),
        gain=sizes.astype(np.float64),
        layer=np.zeros(count, np.int64),
        needs=needs,
        is_setup=np.zeros(count, bool),
        calls_for=np.full(count, -1, np.int64),
        lead=np.full(count, -1, np.int64),
        lead_bytes=np.zeros(0, np.int64),
        requests=requests,
        head_bytes=0,
        progress_of=(sizes / sizes.sum()).astype(np.float32)[:, None],
        is_level=False,
        source=source,
        unlocks=unlocks_of(needs),
    )


class _Whole:
    def __init__(self, path: Path) -> None:
        self.antialiased = False
        self._path = path

    @cached_property
    def scene(self) -> Gaussians:
        return read_scene(self._path).gaussians

    def open(self) -> Drawing:
        return _WholeDrawing(self)

    def owners(self) -> tuple[Gaussians, Longs]:
        return self.scene, np.zeros(len(self.scene), np.int64)


class _WholeDrawing:
    def __init__(self, source: _Whole) -> None:
        self._source = source
        self._is_here = False

    def add(self, item: int) -> None:
        self._is_here = True

    def gaussians(self) -> Gaussians:
        return self._source.scene if self._is_here else Gaussians.empty()


class _Rows(_Whole):
    def open(self) -> Drawing:
        return _RowsDrawing(self)


class _RowsDrawing:
    def __init__(self, source: _Rows) -> None:
        self._source = source
        self._blocks = 0

    def add(self, item: int) -> None:
        self._blocks = max(self._blocks, item + 1)

    def gaussians(self) -> Gaussians:
        return self._source.scene.select(slice(0, self._blocks * _BLOCK_BYTES // ROW.itemsize))


class _Levels:
    def __init__(self, folders: list[Path], nodes: list[SogNode], place: dict[int, int]) -> None:
        self.antialiased = False
        self.nodes = nodes
        self.place = place  # number of a folder in lod-meta.json -> item
        self._folders = folders
        self._loaded: dict[int, Gaussians] = {}

    def load(self, item: int) -> Gaussians:
        if item not in self._loaded:
            self._loaded[item] = read_sog(self._folders[item]).gaussians
        return self._loaded[item]

    def open(self) -> Drawing:
        return _LevelsDrawing(self)

    def owners(self) -> tuple[Gaussians, Longs]:
        drawing = _LevelsDrawing(self)
        for item in self.place.values():
            drawing.add(item)
        parts = [(tile, part) for tile, part in drawing.parts()]
        tiles = np.concatenate([np.full(len(part), tile, np.int64) for tile, part in parts])
        return Gaussians.concatenate([part for _, part in parts]), tiles


class _LevelsDrawing:
    def __init__(self, source: _Levels) -> None:
        self._source = source
        self._items: set[int] = set()

    def add(self, item: int) -> None:
        self._items.add(item)

    def gaussians(self) -> Gaussians:
        parts = [part for _, part in self.parts()]
        return Gaussians.concatenate(parts) if parts else Gaussians.empty()

    def parts(self) -> Iterator[tuple[int, Gaussians]]:
        """The parts of each region, with its number."""
        source = self._source
        degree = max((source.load(item).sh_degree for item in self._items), default=0)
        for tile, node in enumerate(source.nodes):
            for _, rows in sorted(node.levels.items()):
                item = source.place[rows.file]
                if item in self._items:
                    scene = source.load(item)
                    if rows.start + rows.count > len(scene):
                        raise LabError(
                            "a streamed SOG refers to rows that its folder does not have"
                        )
                    part = scene.select(slice(rows.start, rows.start + rows.count))
                    yield tile, part if part.sh_degree == degree else _padded(part, degree)
                    break


def _padded(part: Gaussians, degree: int) -> Gaussians:
    shN = np.zeros((len(part), (degree + 1) ** 2 - 1, 3), np.float32)
    shN[:, : part.shN.shape[1]] = part.shN
    return Gaussians(part.means, part.quats, part.scales, part.opacities, part.sh0, shN)
