"""Where a projected Gaussian reaches: exact chords of its cutoff ellipse.

The same chord serves both axes: tile rows ask for columns when tiles are filled, and strips of
a tile ask for rows when it is drawn. What is skipped here would not have passed alpha >= 1/255.
"""

from __future__ import annotations

import math

import numpy as np
from exgs.scene.cpu.record import (
    CHORD_X,
    CHORD_Y,
    EXTENT_X,
    EXTENT_Y,
    FASTMATH,
    LANES,
    LEAN_X,
    LEAN_Y,
    MEAN_X,
    MEAN_Y,
    TILE,
)
from numba import njit

HALF = np.float32(0.5)
ZERO = np.float32(0)


@njit(cache=True, fastmath=FASTMATH, inline="always")
def _chord(low, high, extent, peak, lean, chord):  # type: ignore[no-untyped-def]
    """Least and greatest offset across a slab low..high; the ellipse is widest at +-peak."""
    d = min(max(peak, low), high)
    greatest = lean * d + chord * math.sqrt(max((extent - d) * (extent + d), ZERO))
    d = min(max(-peak, low), high)
    least = lean * d - chord * math.sqrt(max((extent - d) * (extent + d), ZERO))
    return least, greatest


@njit(cache=True, fastmath=FASTMATH)
def tile_columns(record, tile_row, width):  # type: ignore[no-untyped-def]
    """Tile columns [first, end) of a tile row in which the ellipse reaches a pixel centre."""
    extent = record[EXTENT_Y]
    top = np.float32(tile_row * TILE) + HALF - record[MEAN_Y]
    low = max(top, -extent)
    high = min(top + np.float32(TILE - 1), extent)
    peak = record[LEAN_Y] * record[EXTENT_X]
    least, greatest = _chord(low, high, extent, peak, record[LEAN_X], record[CHORD_X])
    first = math.ceil(max(record[MEAN_X] + least - HALF, ZERO))
    last = math.floor(min(record[MEAN_X] + greatest - HALF, np.float32(width - 1)))
    if last < first:
        return 0, 0
    return int(first) // TILE, int(last) // TILE + 1


@njit(cache=True, fastmath=FASTMATH, inline="always")
def strip_rows(record, mean_x, mean_y, strip):  # type: ignore[no-untyped-def]
    """Rows [first, end) of a tile that the ellipse reaches in a strip of LANES columns.

    The mean is given from the tile's corner; rows outside the tile are not cut off below.
    """
    extent = record[EXTENT_X]
    left = np.float32(strip * LANES) + HALF - mean_x
    low = max(left, -extent)
    high = min(left + np.float32(LANES - 1), extent)
    if low > high:
        return 0, 0
    peak = record[LEAN_X] * record[EXTENT_Y]
    least, greatest = _chord(low, high, extent, peak, record[LEAN_Y], record[CHORD_Y])
    first = math.ceil(max(mean_y + least - HALF, ZERO))
    last = math.floor(min(mean_y + greatest - HALF, np.float32(TILE)))
    return int(first), int(last) + 1
