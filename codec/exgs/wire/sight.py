"""The weights of cells in one view: coverage of their boxes, corrected by a sketch if there is one.

The sketch tells how much of the view each screen tile fills. Screen tiles are those of the finest
layer of at most 64 tiles. Cells below one share its correction; a coarser cell has the mean of the
screen tiles in it (spec/protocol.md, section 10.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.format.cells import CellNumbers
from exgs.scene.camera import Camera
from exgs.wire.scores import share_of_coverage
from exgs.wire.sketch import Sketch
from exgs.wire.visibility import BoxSet, Doubles, Numbers, box_weights

Places = Numbers | npt.NDArray[np.uint8]

_FINEST_LEVEL = 6  # of screen tiles
_LEAST = 0.02  # of the coverage of a box: what the sketch hides may show nevertheless


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A view, and what the sketch tells of it by place (see `Screen.places`)."""

    camera: Camera
    factors: Doubles | None = None  # on the coverage of boxes; None: there is no sketch
    means: Doubles | None = None  # of the weights of the screen tiles in a coarser tile, else 0

    def weights(self, places: Places, coverage: Doubles, share: Doubles) -> Doubles:
        """The weights of cells with these coverages and shares of it; 0 only out of view."""
        weights: Doubles = coverage * share
        if self.factors is None or self.means is None:
            return weights
        seen = np.flatnonzero(coverage)
        places = places[seen]
        weights[seen] = np.maximum(weights[seen] * self.factors[places], self.means[places])
        return weights


class Screen:
    """The screen tiles of a file, and who owns the points of its sketch."""

    def __init__(self, cells: CellNumbers, boxes: BoxSet) -> None:
        self.sketch: Sketch | None = None
        levels = [level for level in cells.levels if level <= _FINEST_LEVEL]
        self._level = max(levels, default=cells.levels[0])
        start = cells.starts[cells.levels.index(self._level)]
        self.cells = np.arange(start, start + (1 << self._level))
        places = [self.places(level, np.arange(1 << level)) for level in cells.levels]
        self.cell_places = np.append(np.concatenate(places), 0).astype(np.uint8)  # 0: the BASIS
        self._share = share_of_coverage(cells.levels[-1] - self._level)
        self._boxes = boxes
        self._owners: tuple[int, Sketch, Numbers] | None = None  # for so many known tiles

    def places(self, level: int | Numbers, tile: int | Numbers) -> Numbers:
        """Where these tiles stand in the arrays of `Sight`: a tree with the root at 1."""
        above = np.maximum(np.asarray(level) - self._level, 0)
        places: Numbers = (1 << np.minimum(level, self._level)) + (np.asarray(tile) >> above)
        return places

    def sight(self, camera: Camera, is_known: npt.NDArray[np.bool_]) -> Sight:
        """What a view shows. `is_known` tells of which screen tiles the box is known."""
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
        """From the screen tiles up to the root: sums of both halves, then means."""
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
