"""Numbers for the cells of a file, as indices of arrays."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.codec.format.facts import SceneFacts

Ints = npt.NDArray[np.integer[Any]]


class CellNumbers:
    """Numbers for the cells of a file: layer by layer, in order of tiles."""

    def __init__(self, facts: SceneFacts) -> None:
        self.levels = [layer.tile_level for layer in facts.layers]
        self.starts = [0]  # number of the first cell of each layer, then the number of cells
        for level in self.levels:
            self.starts.append(self.starts[-1] + (1 << level))
        self._starts = np.array(self.starts, np.int64)
        self._shifts = np.array([0, *np.diff(self.levels)], np.int64)  # from the layer above

    @property
    def count(self) -> int:
        """The number of cells."""
        return self.starts[-1]

    def of(self, layer: Ints, tile: Ints) -> npt.NDArray[np.int64]:
        """The numbers of these cells."""
        cells: npt.NDArray[np.int64] = self._starts[layer] + tile
        return cells

    def place(self, cell: int) -> tuple[int, int]:
        """The layer and tile of a cell."""
        layer = bisect_right(self.starts, cell) - 1
        return layer, cell - self.starts[layer]

    def parents(self, layer: Ints, tile: Ints) -> npt.NDArray[np.int64]:
        """The numbers of the parents of cells of layers from 1 on."""
        parents: npt.NDArray[np.int64]
        parents = self._starts[layer - 1] + (tile.astype(np.int64) >> self._shifts[layer])
        return parents

    def parent(self, layer: int, tile: int) -> int:
        """The number of the parent of a cell of a layer from 1 on."""
        return self.starts[layer - 1] + (tile >> (self.levels[layer] - self.levels[layer - 1]))

    def children(self, layer: int, tile: int) -> range:
        """The numbers of the cells below a cell; none in the last layer."""
        if layer + 1 == len(self.levels):
            return range(0)
        shift = self.levels[layer + 1] - self.levels[layer]
        start = self.starts[layer + 1]
        return range(start + (tile << shift), start + ((tile + 1) << shift))
