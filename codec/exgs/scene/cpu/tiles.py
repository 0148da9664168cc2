"""What every sweep over a tile's Gaussians does alike: open it, and find the rows still open.

A strip is a column of vector rows; the rows of a strip that are finished at its top and bottom
are left out from then on, and the sweep ends when nothing is open.
"""

from __future__ import annotations

import numpy as np
from exgs.scene.cpu.record import LANES, STRIPS, TILE
from numba import njit

CHECK_EVERY = 16  # Gaussians between two looks at what is still open; a power of two

ONE, ZERO = np.float32(1), np.float32(0)


@njit(cache=True)
def open_tile(planes, first_row, end_row, width, height):  # type: ignore[no-untyped-def]
    """Full transmittance in the `width` x `height` pixels inside the picture, none outside."""
    for y in range(TILE):
        for x in range(TILE):
            planes[y * TILE + x] = ONE if x < width and y < height else ZERO
    for strip in range(STRIPS):
        first_row[strip] = 0
        end_row[strip] = height


@njit(cache=True)
def close_rows(planes, first_row, end_row):  # type: ignore[no-untyped-def]
    """Narrow each strip to its open rows; whether any is left."""
    any_open = False
    for strip in range(STRIPS):
        first, end = first_row[strip], end_row[strip]
        while first < end and not _row_open(planes, first, strip):
            first += 1
        while first < end and not _row_open(planes, end - 1, strip):
            end -= 1
        first_row[strip], end_row[strip] = first, end
        any_open = any_open or first < end
    return any_open


@njit(cache=True)
def _row_open(planes, row, strip):  # type: ignore[no-untyped-def]
    most = ZERO
    for lane in range(LANES):
        most = max(most, planes[row * TILE + strip * LANES + lane])
    return most > ZERO
