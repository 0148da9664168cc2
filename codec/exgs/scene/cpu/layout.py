"""Common definitions of the kernels: tiles, storage blocks, records, groups of arrays.

A record is one cache line of 16 float32 for each visible Gaussian. Its ellipse is stored in
Cholesky form, alpha = 2^(LOG2_OPACITY + RIDGE dy^2 + ACROSS (dx - LEAN_X dy)^2), with (dx, dy) from
the mean to the pixel centre. This form has its maximum at the mean despite rounding, and is fast to
evaluate along a row.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Entries = npt.NDArray[np.uint64]

TILE = 16  # pixels along the side of a tile
PIXELS = TILE * TILE
LANES = 8  # pixels of one vector row: 8 float32 fill 256 bits
STRIPS = TILE // LANES  # columns of vector rows in a tile
BLOCKS = 32  # parts of the scene, in storage order, that are distributed over the threads

RECORD = 16  # float32 per record

MEAN_X = 0  # centre in pixels
MEAN_Y = 1
ACROSS = 2  # exponent (base 2) per squared pixel along x, off the ridge
LEAN_X = 3  # shift of the ridge along x per pixel of dy
RIDGE = 4  # exponent (base 2) per squared pixel of dy along the ridge
LOG2_OPACITY = 5
RED = 6
GREEN = 7
BLUE = 8
DEPTH = 9
EXTENT_X = 10  # half sizes in pixels of the ellipse where alpha falls to 1/255
EXTENT_Y = 11
CHORD_X = 12  # half chord of that ellipse along x: CHORD_X * sqrt(EXTENT_Y^2 - dy^2)
LEAN_Y = 13  # the same with x and y exchanged, for the chord along y at a given dx
CHORD_Y = 14

ALPHA_MIN = np.float32(1 / 255)  # smaller values are not drawn
ALPHA_MAX = 0.999
LOG2_ALPHA_MIN = math.log2(1 / 255)
LOG2_ALPHA_MAX = math.log2(ALPHA_MAX)
TRANSMITTANCE_MIN = 1e-4  # a pixel is finished before its transmittance falls to this value

RECORD_BITS = np.uint64(0xFFFFFFFF)  # lower bits of an entry; the upper bits are those of the depth
DEPTH_SHIFT = np.uint64(32)


class Splats(NamedTuple):
    """The arrays of a scene, and the colours to draw it with."""

    means: Floats  # [N, 3]
    quats: Floats  # [N, 4]
    scales: Floats  # [N, 3]
    opacities: Floats  # [N]
    sh0: Floats  # [N, 3]
    shN: Floats  # [N, K, 3]
    colors: Floats  # [N, 3] where they are given, else anything


class View(NamedTuple):
    """A camera."""

    viewmat: Doubles  # [4, 4]
    K: Doubles  # [3, 3]
    width: int
    height: int
    screen_filter: float  # squared pixels added to the variance along both axes
    antialiased: bool  # opacities compensate for the enlargement by the screen filter


class Projected(NamedTuple):
    """The visible Gaussians. Block b has visible[b] records, starting at b * (M / BLOCKS)."""

    records: Floats  # [M, RECORD]; M is N rounded up to whole blocks
    rects: Ints  # [M, 4] tiles touched: first and end column, first and end row
    sources: Ints  # [M] index of the Gaussian
    visible: Longs  # [BLOCKS]
    counts: Longs  # [BLOCKS, tiles] Gaussians of each block that reach each tile


class Lists(NamedTuple):
    """The entries of each tile of a band: a contiguous range of tiles that starts at `first`."""

    entries: Entries  # [E] depth and record
    starts: Longs  # [tiles of the band + 1] where each list begins; the last is E
    spares: Entries  # [workers, longest list]
    first: int


class Picture(NamedTuple):
    """The drawn picture."""

    rgb: Floats  # [H, W, 3]
    alpha: Floats  # [H, W]
    depth: Floats  # [H, W]
