"""The extent of a projected Gaussian: exact chords of its cutoff ellipse (alpha = 1/255).

Chords along x give the columns of a tile row when lists are filled; chords along y give the rows of
a strip when a tile is drawn.
"""

from __future__ import annotations

import numpy as np

from exgs.scene.cpu.layout import (
    CHORD_X,
    CHORD_Y,
    EXTENT_X,
    EXTENT_Y,
    LANES,
    LEAN_X,
    LEAN_Y,
    MEAN_X,
    MEAN_Y,
    TILE,
    Floats,
    Ints,
)
from exgs.scene.kernel import kernel

Scalar = np.float32

HALF = np.float32(0.5)
ZERO = np.float32(0)


@kernel(inlined=True)
def columns_of_row(record: Floats, rect: Ints, row: int, width: int) -> tuple[int, int]:
    """Tile columns [first, end) in which a Gaussian reaches a pixel centre of a tile row.

    `rect` is its rectangle of tiles and `row` one of its rows.
    """
    if rect[1] - rect[0] == 1 or rect[3] - rect[2] == 1:
        return int(rect[0]), int(rect[1])
    extent = record[EXTENT_Y]
    top = np.float32(row * TILE) + HALF - record[MEAN_Y]
    low = max(top, -extent)
    high = min(top + np.float32(TILE - 1), extent)
    peak = record[LEAN_Y] * record[EXTENT_X]
    least, greatest = _chord(low, high, extent, peak, record[LEAN_X], record[CHORD_X])
    first = int(np.ceil(max(record[MEAN_X] + least - HALF, ZERO)))
    last = int(np.floor(min(record[MEAN_X] + greatest - HALF, np.float32(width - 1))))
    if last < first:
        return 0, 0
    return first // TILE, last // TILE + 1


@kernel(inlined=True)
def strip_rows(record: Floats, mean_x: Scalar, mean_y: Scalar, strip: int) -> tuple[int, int]:
    """Rows [first, end) of a tile in which a Gaussian reaches a pixel of a strip of LANES columns.

    The mean is given from the tile's corner; `end` may lie below the tile.
    """
    extent = record[EXTENT_X]
    left = np.float32(strip * LANES) + HALF - mean_x
    low = max(left, -extent)
    high = min(left + np.float32(LANES - 1), extent)
    if low > high:
        return 0, 0
    peak = record[LEAN_X] * record[EXTENT_Y]
    least, greatest = _chord(low, high, extent, peak, record[LEAN_Y], record[CHORD_Y])
    first = np.ceil(max(mean_y + least - HALF, ZERO))
    last = np.floor(min(mean_y + greatest - HALF, np.float32(TILE)))
    return int(first), int(last) + 1


@kernel(inlined=True)
def _chord(
    low: Scalar, high: Scalar, extent: Scalar, peak: Scalar, lean: Scalar, chord: Scalar
) -> tuple[Scalar, Scalar]:
    """Minimum and maximum offset of the ellipse within the slab low..high.

    The maximum of the whole ellipse is at `peak` and the minimum at -`peak`. If the slab does
    not contain these places, its nearer side is used instead.
    """
    at = min(max(peak, low), high)
    greatest = lean * at + chord * np.sqrt(max((extent - at) * (extent + at), ZERO))
    at = min(max(-peak, low), high)
    least = lean * at - chord * np.sqrt(max((extent - at) * (extent + at), ZERO))
    return least, greatest
