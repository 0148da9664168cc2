"""Chooses the views of a path to measure, and the measured view for each view of a session."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.lab.viewers.path import Pose, angle_between
from exgs.lab.viewers.path_views import PathViews

Longs = npt.NDArray[np.int64]

_ENOUGH = 0.06  # maximum distance of equal views: 3.4 degrees, or 6% of the reach


def spread_views(views: PathViews, count: int, reach: float, most: int) -> list[int]:
    """At most `most` of `count` views of a path that cover it, farthest first (Gonzalez 1985)."""
    step = max(1, round(0.5 / views.step_s))
    numbers = list(range(0, count, step))
    poses = [views.pose(number) for number in numbers]
    taken = [0]
    away = np.array([distance(poses[0], pose, reach) for pose in poses])
    while len(taken) < most and float(away.max()) > _ENOUGH:
        taken.append(int(away.argmax()))
        from_it = [distance(poses[taken[-1]], pose, reach) for pose in poses]
        away = np.minimum(away, from_it)
    return [numbers[place] for place in sorted(taken)]


def nearest_views(views: PathViews, count: int, taken: list[int], reach: float) -> Longs:
    """For each of `count` views, the place of the nearest one in `taken` (numbers of views)."""
    poses = [views.pose(number) for number in taken]
    rows = [
        [distance(pose, views.pose(number), reach) for pose in poses] for number in range(count)
    ]
    nearest: Longs = np.argmin(np.array(rows), axis=1).astype(np.int64)
    return nearest


def distance(a: Pose, b: Pose, reach: float) -> float:
    """The distance of two views: the angle in radians plus the translation over the reach."""
    return angle_between(a.quat, b.quat) + float(np.linalg.norm(a.eye - b.eye)) / reach
