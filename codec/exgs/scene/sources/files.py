"""Opens scene files as sources. The extension of the name determines the format.

Binary PLY and streamed SOG are read range by range; gzipped .spz is unpacked to a temporary file.
All of them may be in a store.
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections import Counter

import numpy as np

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats import read_scene
from exgs.scene.formats.compressed_ply import is_compressed_ply
from exgs.scene.formats.ply import PlyReader
from exgs.scene.formats.sog import read_sog
from exgs.scene.formats.sog_lod import META_NAME, read_sog_ranges
from exgs.scene.formats.spz import HEADER_BYTES, read_header
from exgs.scene.frames import RDF
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.sources.source import GaussianSource, MemorySource, empty_scene
from exgs.scene.sources.spz import SpzSource, is_gzipped
from exgs.scene.stores import AnyPath, Place, StorePath, place

_REQUESTS = 16  # to a store at the same time
_SOG_KEPT = 2  # folders of a streamed SOG in memory at once


def open_source(path: AnyPath, *, frame: str | None = None) -> GaussianSource:
    """Open a scene file or folder as `read_scene` does, with the same arguments and errors."""
    path = _named(path)
    if path.suffix.lower() == ".spz" and is_gzipped(path):
        return SpzSource(path, frame)
    if frame in (None, RDF):
        if path.suffix.lower() == ".ply" and not is_compressed_ply(path):
            reader = PlyReader(path)
            if not reader.is_text:
                return PlySource(reader)
        elif path.name == META_NAME:
            return SogSource(path)
    return MemorySource(str(path), read_scene(path, frame=frame))


class PlySource:
    """The vertices of a binary PLY."""

    def __init__(self, reader: PlyReader) -> None:
        self.name = reader.name
        self.count = reader.count
        self.facts = reader.facts
        self.at_once = _REQUESTS if reader.is_remote else 1
        self._reader = reader
        self._faults: Counter[str] = Counter()

    def rows(self, start: int, stop: int) -> Gaussians:
        """See GaussianSource."""
        gaussians, faults = self._reader.read(start, min(stop, self.count))
        if start == 0:  # a new pass, after a sample for example
            self._faults.clear()
        self._faults.update(faults)
        return gaussians

    def finish(self) -> None:
        """See GaussianSource."""
        if self._faults:
            text = "; ".join(f"{count} Gaussians {fault}" for fault, count in self._faults.items())
            warnings.warn(f"{self.name}: {text}", SceneWarning, stacklevel=2)


class SogSource:
    """A streamed SOG at its finest level, folder by folder."""

    at_once = 1

    def __init__(self, path: Place) -> None:
        self.name = str(path)
        self._ranges = read_sog_ranges(path)
        ends = np.cumsum([rows.count for rows in self._ranges], dtype=np.int64)
        self._ends = ends
        self.count = int(ends[-1]) if len(ends) else 0
        self._kept: dict[Place, Scene] = {}
        self.facts = Scene(Gaussians.empty())
        if self._ranges:
            first = empty_scene(self._folder(self._ranges[0].folder))
            degree = max(self._degree(folder) for folder in {r.folder for r in self._ranges})
            self.facts = Scene(Gaussians.empty(degree), first.antialiased, first.origin, first.crs)

    def rows(self, start: int, stop: int) -> Gaussians:
        """See GaussianSource."""
        parts = [self.facts.gaussians]
        stop = min(stop, self.count)
        number = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            rows = self._ranges[number]
            before = int(self._ends[number]) - rows.count
            end = min(stop, int(self._ends[number]))
            scene = self._folder(rows.folder)
            if rows.start + rows.count > len(scene):
                raise SceneError(
                    f"{self.name}: region of {rows.count} rows from row {rows.start} of"
                    f" {rows.folder.name}, which has {len(scene)}; the scene is damaged: fetch or"
                    " export it again"
                )
            shift = rows.start - before
            part = scene.gaussians.select(slice(start + shift, end + shift))
            offset = np.array(scene.origin) - np.array(self.facts.origin)
            means = (part.means + offset).astype(np.float32)
            parts.append(
                Gaussians(means, part.quats, part.scales, part.opacities, part.sh0, part.shN)
            )
            start, number = end, number + 1
        return Gaussians.concatenate(parts)

    def finish(self) -> None:
        """See GaussianSource. The reader of a folder warns by itself."""

    def _degree(self, folder: Place) -> int:
        return self._folder(folder).gaussians.sh_degree

    def _folder(self, folder: Place) -> Scene:
        if folder not in self._kept:
            while len(self._kept) >= _SOG_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[folder] = read_sog(folder)
        return self._kept[folder]


def count_rows(path: AnyPath, *, frame: str | None = None) -> int:
    """The number of rows of a file that `open_source` reads range by range, else 0.

    Reads headers only. Raises SceneError, OSError, StoreError.
    """
    path = _named(path)
    if path.suffix.lower() == ".spz" and is_gzipped(path):
        try:
            with path.open("rb") as file, gzip.GzipFile(fileobj=file) as packed:
                head = packed.read(HEADER_BYTES)
        except (zlib.error, EOFError, gzip.BadGzipFile):
            return 0  # its reader reports the fault
        return read_header(head, path.stat().st_size, (1, 2, 3), str(path)).layout.count
    if frame not in (None, RDF):
        return 0
    if path.suffix.lower() == ".ply" and not is_compressed_ply(path):
        reader = PlyReader(path)
        return 0 if reader.is_text else reader.count
    if path.name == META_NAME:
        return sum(rows.count for rows in read_sog_ranges(path))
    return 0


def _named(path: AnyPath) -> Place:
    """The path, or the lod-meta.json in it."""
    found = place(path)
    if isinstance(found, StorePath) and found.suffix:
        return found  # not asked for
    return found / META_NAME if (found / META_NAME).exists() else found
