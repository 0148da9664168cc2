"""Fitting the SH basis: a KLT of what the base colours lack, and quantization in it.

The eigenvectors of the weighted second moments concentrate the energy in few components
(Karhunen-Loève transform); SH are orthonormal, so equal steps mean equal error in colour.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.codec.sh import ShBasis
from exgs.scene.gaussians import FloatArray, Gaussians

# Below 0.5: a dead zone that saves more bits than it adds error, the wider around zero.
_ROUNDING = 0.44
_ZERO_ROUNDING = 0.36


def residual_vectors(scene: Gaussians, base: FloatArray) -> FloatArray:
    """What `base` [N, 3] lacks of `scene`: [N, 3 + 3K], degree 0 first, channel innermost."""
    rest = scene.shN.reshape(len(scene), 3 * scene.shN.shape[1])  # also of no Gaussians
    return np.concatenate([scene.sh0 - base, rest], axis=1)


def fit_basis(vectors: FloatArray, weights: npt.NDArray[np.floating]) -> ShBasis:
    """The KLT of `vectors` [N, D] under `weights` [N], rounded as the file stores it."""
    v = vectors.astype(np.float64)
    moments = (v * weights[:, None].astype(np.float64)).T @ v
    _, columns = np.linalg.eigh(moments)
    rows = columns.T[::-1]
    rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])[:, None]
    return ShBasis(rows.astype(np.float16).astype(np.float32))


def quantize(vectors: FloatArray, basis: ShBasis, step: float) -> npt.NDArray[np.int64]:
    """Coefficients [N, C] of `vectors` [N, D] in steps, with a dead zone around zero."""
    scaled = vectors.astype(np.float64) @ basis.rows.T.astype(np.float64) / step
    levels = np.floor(np.abs(scaled) + _ROUNDING)
    levels[np.abs(scaled) < 1 - _ZERO_ROUNDING] = 0
    return (np.sign(scaled) * levels).astype(np.int64)
