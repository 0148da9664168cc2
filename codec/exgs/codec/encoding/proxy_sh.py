"""Codes the SH of proxies: each cell has its own KLT, truncated by rate-distortion optimisation.

A component is kept if it reduces the squared error by more than the bits of its row and
coefficients would if they were spent on the other values.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from exgs.codec.encoding.klt import fit_transform, quantize
from exgs.codec.encoding.quantization import sh_step
from exgs.codec.payload.proxy_sh import ProxySh
from exgs.scene.gaussians import FloatArray

_RATIO = 3.5  # distortion budget of an SH coefficient, relative to a proxy's other scalars
_ROW_BITS = 9.0  # of an element of a row, about
_VALUE_BITS = 3.0  # of a nonzero coefficient, about, without the flag that it is nonzero


def code_proxy_sh(
    vectors: FloatArray,
    energy: npt.NDArray[np.floating],
    sh_moments: npt.NDArray[np.floating],
    distortion: float,
) -> ProxySh | None:
    """The SH of a cell's proxies; None if no component is kept.

    Args:
        vectors: [N, D] residual vectors.
        energy: [N] > 0, sum of w^2 per pixel of the views.
        sh_moments: [1 + K, 1 + K] mean of Y Y^T over the viewing directions.
        distortion: squared error per pixel that each of a proxy's scalars may add.
    """
    if not vectors.any():
        return None
    one_region = np.zeros(len(vectors), np.int64)
    transform = fit_transform(vectors, energy, one_region, sh_moments[None])
    distortion *= _RATIO
    step = sh_step(energy, distortion)
    levels = quantize(vectors, transform, 0, step)
    exact = transform.coefficients(vectors, 0)
    saved = energy @ (np.square(exact) - np.square(exact - step * levels)) / (4 * math.pi)
    shares = np.clip((levels != 0).mean(axis=0), 1e-3, 1 - 1e-3)
    flag_bits = -shares * np.log2(shares) - (1 - shares) * np.log2(1 - shares)
    bits = _ROW_BITS * vectors.shape[1] + len(vectors) * (flag_bits + _VALUE_BITS * shares)
    net = np.cumsum(saved - 2 * math.log(2) * distortion * bits)
    best = int(net.argmax())
    if net[best] <= 0:
        return None
    return ProxySh(transform.basis.rows[0, : best + 1], levels[:, : best + 1], step)
