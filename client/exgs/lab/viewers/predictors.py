"""Predictors of the next views, for policies.

A predictor receives the poses that have arrived, with their times, and returns the pose some time
after the last of them. A user-defined predictor is a class with a method `predict`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from exgs.lab.viewers.path import Pose, ViewPath, conjugate, product, slerp

Doubles = npt.NDArray[np.float64]

Seen = Sequence[tuple[float, Pose]]  # times in seconds, ascending; the last is the newest

_LINEAR_S = 0.3  # interval over which the speed is measured


class Predictor(Protocol):
    """Predicts the pose of a viewer."""

    def predict(self, seen: Seen, ahead_s: float) -> Pose:
        """The pose `ahead_s` seconds after the newest of `seen` (one or more)."""
        ...


class Stays:
    """Constant pose."""

    def predict(self, seen: Seen, ahead_s: float) -> Pose:
        """The newest pose."""
        return seen[-1][1]


class Linear:
    """Constant velocity and angular velocity."""

    def predict(self, seen: Seen, ahead_s: float) -> Pose:
        """The newest pose, extrapolated with the velocity of the last 0.3 s."""
        now_s, now = seen[-1]
        before_s, before = next(
            ((at, pose) for at, pose in reversed(seen) if now_s - at >= _LINEAR_S), seen[0]
        )
        if now_s <= before_s:
            return now
        share = ahead_s / (now_s - before_s)
        return Pose(
            now.eye + share * (now.eye - before.eye), slerp(before.quat, now.quat, 1 + share)
        )


class Kalman:
    """A Kalman filter for each coordinate of the position and of the rotation vector.

    The model is constant velocity with white acceleration noise. The gain depends only on the
    ratio of acceleration noise to measurement noise.
    """

    def __init__(self, ratio: float = 30.0) -> None:
        self._ratio = ratio  # of the variance of acceleration to that of measured positions

    def predict(self, seen: Seen, ahead_s: float) -> Pose:
        """The filtered pose, extrapolated with the filtered velocity."""
        recent = seen[-20:]
        first = recent[0][1]
        rows = []
        for _, pose in recent:
            turn = product(pose.quat, conjugate(first.quat))
            rows.append(np.concatenate([pose.eye, _vector(turn)]))
        times = [at for at, _ in recent]
        values = self._run(times, np.array(rows), ahead_s)
        return Pose(values[:3], product(_turn(values[3:]), first.quat))

    def _run(self, times: Sequence[float], rows: Doubles, ahead_s: float) -> Doubles:
        state = np.stack([rows[0], np.zeros(rows.shape[1])])  # [2, 6] value and velocity
        spread = np.diag([1.0, self._ratio])
        for step_s, row in zip(np.diff(times).tolist(), rows[1:], strict=True):
            move = np.array([[1.0, step_s], [0.0, 1.0]])
            noise = np.array([[step_s**4 / 4, step_s**3 / 2], [step_s**3 / 2, step_s**2]])
            state = move @ state
            spread = move @ spread @ move.T + self._ratio * noise
            gain = spread[:, :1] / (spread[0, 0] + 1.0)
            state = state + gain * (row - state[0])
            spread = spread - gain @ spread[:1]
        ahead: Doubles = state[0] + ahead_s * state[1]
        return ahead


class Oracle:
    """Returns the true pose of the path."""

    def __init__(self, path: ViewPath) -> None:
        self._path = path

    def predict(self, seen: Seen, ahead_s: float) -> Pose:
        """The true pose."""
        return self._path.pose(seen[-1][0] + ahead_s)


def _vector(turn: Doubles) -> Doubles:
    """The rotation vector [3] of a unit quaternion: axis times angle."""
    turn = turn if turn[0] >= 0 else -turn
    size = float(np.linalg.norm(turn[1:]))
    if size < 1e-9:
        return np.array(2 * turn[1:])
    return np.array(turn[1:] * (2 * np.arctan2(size, turn[0]) / size))


def _turn(vector: Doubles) -> Doubles:
    """The unit quaternion of a rotation vector."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.array([1.0, 0.0, 0.0, 0.0])
    axis = vector / angle
    return np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis])


PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "stays": Stays,
    "linear": Linear,
    "kalman": Kalman,
}
