"""The weights of cells in one view: coverage of their boxes, corrected by a sketch if there is one.

The sketch gives the share of the view that each screen tile fills. Screen tiles are the tiles of
the finest layer of at most 64 tiles. All cells inside a screen tile have its correction; a coarser
cell has the mean of the screen tiles in it (spec/protocol.md, section 10.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.format.cell_numbers import CellNumbers
from exgs.scene.camera import Camera
from exgs.wire.scores import share_of_coverage
from exgs.wire.sketch import Sketch
from exgs.wire.visibility import BoxSet, Doubles, Numbers, box_weights

Places = Numbers | npt.NDArray[np.uint8]

_FINEST_LEVEL = 6  # level of screen tiles
_LEAST = 0.02  # minimum share of the coverage of a box, since the sketch may hide visible cells


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A view, with its corrections by the sketch, by place (see `Screen.places`)."""

    camera: Camera
    factors: Doubles | None = None  # factors on the coverage of boxes; None without a sketch
    means: Doubles | None = None  # mean weights of the screen tiles in a coarser tile, else 0

    def weights(self, places: Places, coverage: Doubles, share: Doubles) -> Doubles:
        """The weights of cells, from their coverages and shares; 0 only out of view."""
        weights: Doubles = coverage * share
        if self.factors is None or self.means is None:
            return weights
        seen = np.flatnonzero(coverage)
        places = places[seen]
        weights[seen] = np.maximum(weights[seen] * self.factors[places], self.means[places])
        return weights


class Screen:
    """The screen tiles of a file, and the screen tile of each point of its sketch."""

    def __init__(self, cells: CellNumbers, boxes: BoxSet) -> None:
        self.sketch: Sketch | None = None
        levels = [level for level in cells.levels if level <= _FINEST_LEVEL]
        self._level = max(levels, default=cells.levels[0])
        start = cells.starts[cells.levels.index(self._level)]
        self.cells = np.arange(start, start + (1 << self._level))
        places = [self.places(level, np.arange(1 << level)) for level in cells.levels]
        # 0 is the place of the BASIS.
        self.cell_places = np.append(np.concatenate(places), 0).astype(np.uint8)
        self._share = share_of_coverage(cells.levels[-1] - self._level)
        self._boxes = boxes
        # Valid for this number of known tiles.
        self._owners: tuple[int, Sketch, Numbers] | None = None

    def places(self, level: int | Numbers, tile: int | Numbers) -> Numbers:
        """The places of these tiles in the arrays of `Sight`: a tree with the root at 1."""
        above = np.maximum(np.asarray(level) - self._level, 0)
        places: Numbers = (1 << np.minimum(level, self._level)) + (np.asarray(tile) >> above)
        return places

    def sight(self, camera: Camera, is_known: npt.NDArray[np.bool_]) -> Sight:
        """The corrections for a view.

        `is_known` tells for each screen tile whether its box is known.
        """
        known = np.flatnonzero(is_known)
        if self.sketch is None or not len(known):
            return Sight(camera)
        low, high = self._boxes.corners(self.cells[known])
        if self._owners is None or self._owners[:2] != (len(known), self.sketch):
            self._owners = len(known), self.sketch, self.sketch.owners(low, high)
        coverage = box_weights(low, high, camera).coverage
        shares = self.sketch.shares(self._owners[2], len(known), camera)
        filled = shares / np.where(coverage > 0, coverage, 1.0)
        factors = np.where(coverage > 0, np.minimum(np.maximum(filled, _LEAST), 1.0), _LEAST)
        return self._spread(camera, known, factors, factors * coverage)

    def _spread(self, camera: Camera, known: Numbers, factors: Doubles, weights: Doubles) -> Sight:
        """Means for all coarser tiles, from the screen tiles up to the root."""
        count = 1 << self._level
        sums, counts = np.zeros(2 * count), np.zeros(2 * count)
        sums[count + known], counts[count + known] = weights, 1.0
        for level in range(self._level - 1, -1, -1):
            places = np.arange(1 << level, 2 << level)
            for values in (sums, counts):
                values[places] = values[2 * places] + values[2 * places + 1]
        means = sums / np.maximum(counts, 1.0) * self._share
        means[count:] = 0.0
        all_factors = np.where(counts > 0, _LEAST, 1.0)
        all_factors[count + known] = factors
        return Sight(camera, all_factors, means)
