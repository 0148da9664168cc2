"""Scores of units and pages in a view (spec/protocol.md, section 10)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.wire.visibility import Doubles

_SMALLEST_GAIN = 1e-12  # so that units without gain come last
_LEAST_SCORE = 1e-300


def densities_of(gain: Doubles, missing_bytes: npt.NDArray[np.int64]) -> Doubles:
    """The gain per missing byte."""
    densities: Doubles = np.maximum(gain, _SMALLEST_GAIN) / np.maximum(missing_bytes, 1)
    return densities


def scores_of(density: Doubles, coverage: Doubles, around: Doubles) -> Doubles:
    """The first component of ranks. Units in view have negative values, other units positive."""
    in_view = -density * coverage
    out_of_view: Doubles = 1 / np.maximum(density * around, _LEAST_SCORE)
    return np.where(coverage > 0, in_view, out_of_view)


def share_of_coverage(levels: int) -> float:
    """The factor on the coverage of a tile that is `levels` above the finest tiles.

    A tile contains 2^levels finest tiles, next to and behind each other. Each of them covers about
    2^(-2 levels / 3) of the tile's coverage. The result is a power of two, so products are exact.
    """
    return 2.0 ** -(2 * levels // 3)
