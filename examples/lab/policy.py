"""A user-defined policy: the nearest items first, among equally near ones by gain per byte.

[[policy]]
name = "nearest first"
use = "policy.py:NearestFirst"
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.lab.policies.policy import Look


class NearestFirst:
    """Sends items by the distance of their boxes, those in view before the others."""

    def __init__(self, ring: float = 0.5) -> None:
        self.ring = ring  # world units: within a ring, gain per byte decides

    def scores(self, look: Look) -> npt.NDArray[np.float64]:
        """A score for each item; the highest is sent first."""
        asset, eye = look.asset, look.camera.position
        gap = np.linalg.norm(np.clip(eye, asset.low, asset.high) - eye, axis=1)
        rings = np.floor(gap / self.ring)
        density = asset.gain / np.maximum(look.missing_bytes, 1)
        hidden = look.weights(0.0).coverage == 0
        scores: npt.NDArray[np.float64] = density / (density.max() + 1e-12) - rings - 1e3 * hidden
        return scores
