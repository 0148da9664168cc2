"""The top layer of each place of a scene, which decides what is drawn of the cells below it.

The proxies of a cell are drawn in children where its own layer is the top. Leaves are enlarged by
the amplification of the top layer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.codec.format.facts import SceneFacts
from exgs.scene.gaussians import FloatArray


class TopLayers:
    """The highest layer with an active cell, for each of the finest tiles; -1 without any."""

    def __init__(self, facts: SceneFacts) -> None:
        self._facts = facts
        self._layers = np.full(1 << facts.tile_level, -1, np.int8)
        self._factors = np.array([layer.amplification for layer in facts.layers], np.float32)

    @property
    def lowest(self) -> int:
        """The lowest of all: the highest layer whose cells are all active."""
        return int(self._layers.min())

    def within(self, layer: int, tile: int) -> npt.NDArray[np.int8]:
        """The top layer of each of the finest tiles in a cell, as a writable view."""
        span = 1 << (self._facts.tile_level - self._facts.layers[layer].tile_level)
        return self._layers[tile * span : (tile + 1) * span]

    def of_children(self, layer: int, tile: int) -> npt.NDArray[np.int8]:
        """The top layer of each child of a cell: the lowest within it."""
        own = self.within(layer, tile).reshape(self._facts.child_count(layer), -1)
        lowest: npt.NDArray[np.int8] = own.min(axis=1)
        return lowest

    def amplification(self, tops: npt.NDArray[np.int8]) -> FloatArray | None:
        """The factors on the scales of leaves where `tops` are on top; None if all are 1."""
        factors: FloatArray = self._factors[tops]
        return factors if (factors != 1).any() else None
