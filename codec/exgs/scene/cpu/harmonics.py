"""Colours from spherical harmonics to degree 3.

The real basis with the signs of Kerbl et al. 2023 (and gsplat). Coefficients have the layout of a
scene, sh0 [N, 3] and shN [N, K, 3], so that no arrays are concatenated for drawing.
"""

from __future__ import annotations

import math

import numpy as np

from exgs.scene.cpu.layout import RED, Floats
from exgs.scene.kernel import kernel

F = np.float32
C0 = F(0.28209479177387814)
C1 = F(0.4886025119029199)
C20, C21, C22 = F(1.0925484305920792), F(0.31539156525252005), F(0.5462742152960396)
C30, C31, C32 = F(0.5900435899266435), F(2.890611442640554), F(0.4570457994644658)
C33, C34 = F(0.3731763325901154), F(1.445305721320277)
TWO, THREE, FOUR = F(2), F(3), F(4)
HALF, ZERO = F(0.5), F(0)


@kernel(inlined=True)
def write_sh_color(
    sh0: Floats, shN: Floats, i: int, dx: float, dy: float, dz: float, record: Floats
) -> None:
    """Write max(0, 0.5 + SH) of Gaussian i, seen along (dx, dy, dz) of any length."""
    scale = 1 / math.sqrt(dx * dx + dy * dy + dz * dz)
    x, y, z = np.float32(dx * scale), np.float32(dy * scale), np.float32(dz * scale)
    k = shN.shape[1]
    for c in range(3):
        record[RED + c] = HALF + C0 * sh0[i, c]
    if k >= 3:
        b0, b1, b2 = -C1 * y, C1 * z, -C1 * x
        for c in range(3):
            record[RED + c] += b0 * shN[i, 0, c] + b1 * shN[i, 1, c] + b2 * shN[i, 2, c]
    if k >= 8:
        xx, yy, zz = x * x, y * y, z * z
        b3, b4, b5 = C20 * x * y, -C20 * y * z, C21 * (TWO * zz - xx - yy)
        b6, b7 = -C20 * x * z, C22 * (xx - yy)
        for c in range(3):
            record[RED + c] += (
                b3 * shN[i, 3, c]
                + b4 * shN[i, 4, c]
                + b5 * shN[i, 5, c]
                + b6 * shN[i, 6, c]
                + b7 * shN[i, 7, c]
            )
        if k >= 15:
            b8, b9 = -C30 * y * (THREE * xx - yy), C31 * x * y * z
            b10, b12 = -C32 * y * (FOUR * zz - xx - yy), -C32 * x * (FOUR * zz - xx - yy)
            b11 = C33 * z * (TWO * zz - THREE * xx - THREE * yy)
            b13, b14 = C34 * z * (xx - yy), -C30 * x * (xx - THREE * yy)
            for c in range(3):
                record[RED + c] += (
                    b8 * shN[i, 8, c]
                    + b9 * shN[i, 9, c]
                    + b10 * shN[i, 10, c]
                    + b11 * shN[i, 11, c]
                    + b12 * shN[i, 12, c]
                    + b13 * shN[i, 13, c]
                    + b14 * shN[i, 14, c]
                )
    for c in range(3):
        record[RED + c] = max(record[RED + c], ZERO)
