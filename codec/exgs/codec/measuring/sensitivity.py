"""Sensitivity of the pictures to errors of each Gaussian, which sets the quantization steps.

Cameras in another frame or unit than the scene would lead to a coarse quantization of everything.
Therefore, if the cameras of the photographs are not plausible, generated views set a lower bound
of the sensitivity: seen from these, the whole file is at most 1 dB worse than if the sensitivity
had been measured on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.codec.measuring.importance import Importance
from exgs.scene.gaussians import FloatArray

# Ratio of squared errors: 0.3 dB. The views are a sample, so this is well below the bound of 1 dB.
_ERROR_RATIO_MAX = 10**0.03
_BISECTIONS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivity:
    """Weights of the squared errors of N Gaussians; see `Importance` for the definitions."""

    energy: FloatArray  # [N] weight of errors of colours
    contrast: FloatArray  # [N] weight of errors of shapes
    pixel_size: FloatArray  # [N] world size of a pixel at the mean viewing distance
    sh_moments: FloatArray  # [R, 1 + K, 1 + K] mean of Y Y^T over the viewing directions, by region

    @staticmethod
    def of(importance: Importance) -> Sensitivity:
        """The sensitivity that was measured on one set of views."""
        return Sensitivity(
            importance.energy, importance.contrast, importance.pixel_size, importance.sh_moments
        )

    def bounded_below(self, other: Sensitivity) -> Sensitivity:
        """This sensitivity, raised until the views of `other` lose about 0.3 dB at most.

        The loss is relative to quantization steps that follow from `other`.
        """
        energy = other.energy * np.float32(_kept_share(self.energy, other.energy))
        share = np.float32(_kept_share(self.contrast, other.contrast))
        contrast = other.contrast * share
        tighter = contrast * self.pixel_size**2 > self.contrast * other.pixel_size**2
        return Sensitivity(
            np.maximum(self.energy, energy),
            np.maximum(self.contrast, contrast),
            np.where(tighter, np.minimum(self.pixel_size, other.pixel_size), self.pixel_size),
            _upper_bound(self.sh_moments, other.sh_moments / np.float32(_ERROR_RATIO_MAX)),
        )


def _kept_share(own: FloatArray, other: FloatArray) -> float:
    """The smallest share s for which max(own, s * other) [N] loses at most 0.3 dB for `other`.

    Squared quantization steps are inversely proportional to the sensitivity. So the squared error
    of each Gaussian, weighted by `other`, grows by the factor other / max(own, s * other); the
    mean of these factors is bounded.
    """
    positive = other > 0
    if not positive.any():
        return 0.0
    weights, given = (values[positive].astype(np.float64) for values in (other, own))
    ratio = weights / np.maximum(given, 1e-30)
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        share = (low + high) / 2
        if np.minimum(ratio, 1 / share).mean() > _ERROR_RATIO_MAX:
            low = share
        else:
            high = share
    return high


def _upper_bound(own: FloatArray, other: FloatArray) -> FloatArray:
    """Symmetric matrices A [R, T, T] for which A - own and A - other are positive semidefinite."""
    values, vectors = np.linalg.eigh((other - own).astype(np.float64))
    missing = (vectors * np.maximum(values, 0)[:, None, :]) @ vectors.swapaxes(1, 2)
    bound: FloatArray = (own + missing).astype(np.float32)
    return bound
