"""Coding the view dependence of proxies: a KLT of each cell's own, cut to what pays.

A component has to save more squared error than its row and its coefficients would save if their
bits went into the others instead.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from exgs.codec.encoding.klt import fit_transform, quantize
from exgs.codec.encoding.quantization import sh_step
from exgs.codec.payload.proxy_sh import ProxySh
from exgs.scene.gaussians import FloatArray

_RATIO = 3.5  # distortion that a coefficient may add, against one of a proxy's other scalars
_VALUE_BITS = 3.0  # of a coefficient that is not zero, about, besides the bit that says so


def code_proxy_sh(
    vectors: FloatArray,
    energy: npt.NDArray[np.floating],
    seen: npt.NDArray[np.floating],
    distortion: float,
) -> ProxySh | None:
    """The view dependence of a cell's proxies; None where none of it pays.

    Args:
        vectors: [N, D] residual vectors.
        energy: [N] > 0, sum of w^2 per pixel of the views.
        seen: [1 + K, 1 + K] mean of Y Y^T over the directions of view.
        distortion: squared error per pixel that each of a proxy's scalars may add.
    """
    if not vectors.any():
        return None
    one_region = np.zeros(len(vectors), np.int64)
    transform = fit_transform(vectors, energy, one_region, seen[None])
    distortion *= _RATIO
    step = sh_step(energy, distortion)
    levels = quantize(vectors, transform, 0, step)
    wanted = transform.coefficients(vectors, 0)
    saved = energy @ (np.square(wanted) - np.square(wanted - step * levels)) / (4 * math.pi)
    shares = np.clip((levels != 0).mean(axis=0), 1e-3, 1 - 1e-3)
    flag_bits = -shares * np.log2(shares) - (1 - shares) * np.log2(1 - shares)
    bits = 16 * vectors.shape[1] + len(vectors) * (flag_bits + _VALUE_BITS * shares)
    net = np.cumsum(saved - 2 * math.log(2) * distortion * bits)
    best = int(net.argmax())
    if net[best] <= 0:
        return None
    return ProxySh(transform.basis.rows[0, : best + 1], levels[:, : best + 1], step)
