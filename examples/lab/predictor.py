"""A user-defined predictor: the viewer continues to move, at a speed that decays.

[[policy]]
predictor = "predictor.py:Damped"
"""

from __future__ import annotations

import math

from exgs.lab.viewers.path import Pose, slerp
from exgs.lab.viewers.predictors import Seen

FADE_S = 0.4  # after this time the speed is 37%


class Damped:
    """Extrapolates position and rotation with a decaying speed."""

    def predict(self, seen: Seen, ahead_s: float) -> Pose:
        """The pose `ahead_s` seconds after the newest one."""
        now_s, now = seen[-1]
        before_s, before = seen[max(0, len(seen) - 3)]
        if now_s <= before_s:
            return now
        share = FADE_S * (1 - math.exp(-ahead_s / FADE_S)) / (now_s - before_s)
        eye = now.eye + share * (now.eye - before.eye)
        return Pose(eye, slerp(before.quat, now.quat, 1 + share))
