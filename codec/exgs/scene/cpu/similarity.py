"""The sliding-window sums behind SSIM, one picture row at a time.

Channels stay interleaved: a row has W * C numbers, and the taps of the window are C apart, so that
inner loops read contiguous memory.
"""

from __future__ import annotations

import numpy as np

from exgs.scene.cpu.layout import Doubles, Floats
from exgs.scene.kernel import kernel


@kernel(allocates=True)
def mean_ssim(a: Floats, b: Floats, window: Doubles, channels: int, c1: float, c2: float) -> float:
    """Mean SSIM of two pictures [H, W * channels] over all windows inside them.

    `window` [S] is one side of the separable window and sums to 1.
    """
    taps = window.shape[0]
    height, run = a.shape
    inner = run - (taps - 1) * channels
    # Moments down the window's columns (index 0: a, b, a^2 + b^2, a * b), then over the window
    column, full = np.empty((4, run)), np.empty((4, inner))
    total = 0.0
    for y in range(height - taps + 1):
        column[:] = 0
        for tap in range(taps):
            w = window[tap]
            for x in range(run):
                p, q = np.float64(a[y + tap, x]), np.float64(b[y + tap, x])
                column[0, x] += w * p
                column[1, x] += w * q
                column[2, x] += w * (p * p + q * q)
                column[3, x] += w * (p * q)
        full[:] = 0
        for tap in range(taps):
            w, shift = window[tap], tap * channels
            for x in range(inner):
                full[0, x] += w * column[0, x + shift]
                full[1, x] += w * column[1, x + shift]
                full[2, x] += w * column[2, x + shift]
                full[3, x] += w * column[3, x + shift]
        for x in range(inner):
            mean_a, mean_b = full[0, x], full[1, x]
            product, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
            variances, covariance = full[2, x] - squares, full[3, x] - product
            total += ((2 * product + c1) * (2 * covariance + c2)) / (
                (squares + c1) * (variances + c2)
            )
    return float(total / (inner * (height - taps + 1)))
