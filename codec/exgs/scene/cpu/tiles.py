"""Common parts of the loops over a tile's Gaussians: initialise a tile, and find its open rows.

A strip is a column of vector rows. Finished rows at the top and bottom of a strip are skipped, and
a loop ends when no row is open.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from exgs.scene.cpu.layout import LANES, STRIPS, TILE, Floats, Longs
from exgs.scene.cpu.rows import lane_max
from exgs.scene.kernel import kernel

AHEAD = 6  # entries between prefetching a record and drawing it
CHECK_EVERY = 16  # Gaussians between two checks for open rows

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)


class Frame(NamedTuple):
    """The place of a tile in pixels. The picture may cut the last tile of a row or column."""

    left: int
    top: int
    width: int
    height: int


@kernel()
def frame_of(tile: int, width: int, height: int) -> Frame:
    """The frame of tile number `tile` in a picture of this size."""
    columns = (width + TILE - 1) // TILE
    left, top = tile % columns * TILE, tile // columns * TILE
    return Frame(left, top, min(TILE, width - left), min(TILE, height - top))


@kernel()
def open_tile(planes: Floats, frame: Frame, first_row: Longs, end_row: Longs) -> None:
    """Set plane 0 (transmittance) to 1 inside the picture, else 0, and the other planes to 0."""
    planes[:] = ZERO
    for y in range(frame.height):
        for x in range(frame.width):
            planes[y * TILE + x] = ONE
    first_row[:] = 0
    end_row[:] = frame.height


@kernel()
def close_rows(planes: Floats, first_row: Longs, end_row: Longs) -> bool:
    """Reduce each strip to its open rows. Returns whether there are any."""
    left = 0
    for strip in range(STRIPS):
        first, end, column = first_row[strip], end_row[strip], strip * LANES
        while first < end and lane_max(planes, first * TILE + column) <= ZERO:
            first += 1
        while first < end and lane_max(planes, (end - 1) * TILE + column) <= ZERO:
            end -= 1
        first_row[strip], end_row[strip] = first, end
        left += end - first
    return left > 0
