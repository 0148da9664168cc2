"""An .exgs file as a source of Gaussians: its leaves, cell by cell."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from exgs.codec.decoding.cell_reader import CellReader
from exgs.codec.format.container import open_table
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene


class ExgsSource:
    """The leaves of a whole file with all their chunks, in order of cells.

    Names and methods are those of `exgs.scene.sources.source`.
    """

    at_once = 1

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read the index. Raises FormatError, OSError."""
        self.name = str(path)
        self._file = Path(path)
        head, table = open_table(self._read)
        facts = head.root.facts
        self._cells = CellReader(self._read, facts, table, head.header.file_bytes)
        listed = self._cells.leaf_cells()
        self._order = [cell for cell, _ in listed]
        self._ends = np.cumsum([count for _, count in listed], dtype=np.int64)
        self.count = int(self._ends[-1]) if len(listed) else 0
        empty = Gaussians.empty(facts.sh_degree)
        self.facts = Scene(empty, facts.antialiased, facts.origin, facts.crs)
        self._kept: tuple[int, Gaussians] = (-1, empty)

    def rows(self, start: int, stop: int) -> Gaussians:
        """See GaussianSource. Raises FormatError, OSError."""
        parts = [self.facts.gaussians]
        stop = min(stop, self.count)
        number = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            if self._kept[0] != number:
                self._kept = number, self._cells.leaves(self._order[number])
            leaves = self._kept[1]
            before = int(self._ends[number]) - len(leaves)
            end = min(stop, int(self._ends[number]))
            parts.append(leaves.select(slice(start - before, end - before)))
            start, number = end, number + 1
        return Gaussians.concatenate(parts)

    def finish(self) -> None:
        """See GaussianSource. Nothing of a sound file is repaired."""

    def _read(self, offset: int, length: int) -> bytes:
        with self._file.open("rb") as file:
            file.seek(offset)
            return file.read(length)
