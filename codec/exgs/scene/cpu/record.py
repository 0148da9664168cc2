"""The shapes that all kernels share: tiles, storage blocks, and the projected record.

A record is one cache line of 16 float32 for each visible Gaussian. Its ellipse is kept in
Cholesky form, alpha = 2^(LOG2_OPACITY + RIDGE dy^2 + ACROSS (dx - LEAN_X dy)^2) with (dx, dy)
from the mean to the pixel centre, which cannot go positive and needs two products a pixel.
"""

from __future__ import annotations

import numpy as np

TILE = 16  # pixels along the side of a tile
LANES = 8  # pixels of one vector row: 8 float32 fill 256 bits
STRIPS = TILE // LANES  # columns of vector rows in a tile
BLOCKS = 32  # storage-order blocks that projection and binning hand to the threads

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
LEAN_Y = 13  # the same two the other way round, for the chord along y at a given dx
CHORD_Y = 14

ALPHA_MIN = np.float32(1 / 255)  # what is fainter is not drawn
LOG2_ALPHA_MIN = float(np.log2(1 / 255))
LOG2_ALPHA_MAX = float(np.log2(0.999))
TRANSMITTANCE_MIN = 1e-4  # a pixel is finished before its transmittance would fall to this

FASTMATH = {"contract", "nsz"}  # fused multiply-add is welcome; infinities and NaN keep meaning
