"""Sensitivity: what an error in a Gaussian's values costs; it decides how finely they are coded.

Cameras that stand in another frame or unit than the scene would have all of it coded coarsely. So
where something speaks against photographs' cameras they are held against views that are made up:
from those, the whole file may look at most 1 dB worse than if it had been made from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.codec.measuring.importance import Importance
from exgs.scene.gaussians import FloatArray

_WORSE = 10**0.03  # times the squared error: 0.3 dB, for the views are a sample
_STEPS = 60  # of a bisection


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivity:
    """Weights of squared errors of N Gaussians, as in `Importance`."""

    energy: FloatArray  # [N] of colours
    contrast: FloatArray  # [N] of shapes
    pixel_size: FloatArray  # [N] world size of a pixel at the usual viewing distance
    seen: FloatArray  # [R, 1 + K, 1 + K] mean of Y Y^T over the directions seen, by region

    @staticmethod
    def of(importance: Importance) -> Sensitivity:
        """What one set of views asks for."""
        return Sensitivity(
            importance.energy, importance.contrast, importance.pixel_size, importance.seen
        )

    def floored(self, other: Sensitivity) -> Sensitivity:
        """At least so much of what `other` asks for that its views lose about 0.3 dB at most."""
        energy = other.energy * np.float32(_share(self.energy, other.energy))
        share = np.float32(_share(self.contrast, other.contrast))
        contrast = other.contrast * share
        tighter = contrast * self.pixel_size**2 > self.contrast * other.pixel_size**2
        return Sensitivity(
            np.maximum(self.energy, energy),
            np.maximum(self.contrast, contrast),
            np.where(tighter, np.minimum(self.pixel_size, other.pixel_size), self.pixel_size),
            _at_least(self.seen, other.seen / np.float32(_WORSE)),
        )


def _share(own: FloatArray, other: FloatArray) -> float:
    """The least share of `other` [N] that has to be kept beside `own` [N].

    Steps follow what is asked for, so the squared error that `other` counts grows by
    other / max(own, share * other) for each Gaussian; on average that is at most 0.3 dB.
    """
    counted = other > 0
    if not counted.any():
        return 0.0
    wanted, given = (values[counted].astype(np.float64) for values in (other, own))
    ratio = wanted / np.maximum(given, 1e-30)
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        share = (low + high) / 2
        if np.minimum(ratio, 1 / share).mean() > _WORSE:
            low = share
        else:
            high = share
    return high


def _at_least(own: FloatArray, other: FloatArray) -> FloatArray:
    """Symmetric matrices [R, T, T] that exceed `own`, and `other`, in every direction."""
    values, vectors = np.linalg.eigh((other - own).astype(np.float64))
    lacking = (vectors * np.maximum(values, 0)[:, None, :]) @ vectors.swapaxes(1, 2)
    raised: FloatArray = (own + lacking).astype(np.float32)
    return raised
