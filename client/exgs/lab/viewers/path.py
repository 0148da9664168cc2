"""A camera path: poses over time, with interpolation between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.lab.errors import LabError
from exgs.scene.camera import Camera, Matrix

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """The position and orientation of a camera."""

    eye: Doubles  # [3] world units
    quat: Doubles  # [4] unit quaternion wxyz: camera to world, in OpenCV axes


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """The intrinsics and picture size of a path."""

    K: Matrix  # [3, 3] pixels
    width: int
    height: int

    def camera(self, pose: Pose) -> Camera:
        """The camera at a pose."""
        viewmat = np.eye(4)
        viewmat[:3, :3] = rotation(pose.quat).T
        viewmat[:3, 3] = -viewmat[:3, :3] @ pose.eye
        return Camera(viewmat, self.K, self.width, self.height)


@dataclass(frozen=True, slots=True, eq=False)
class ViewPath:
    """Poses at increasing times; constant before the first and after the last."""

    name: str
    times_s: Doubles  # [N], the first 0
    eyes: Doubles  # [N, 3]
    quats: Doubles  # [N, 4]
    lens: Lens
    jumps: frozenset[int] = frozenset()  # numbers of poses without interpolation before them

    @property
    def length_s(self) -> float:
        """The time of the last pose."""
        return float(self.times_s[-1])

    def pose(self, time_s: float) -> Pose:
        """The pose at a time."""
        after = int(np.searchsorted(self.times_s, time_s, "right"))
        if after == 0:
            return Pose(self.eyes[0], self.quats[0])
        if after == len(self.times_s):
            return Pose(self.eyes[-1], self.quats[-1])
        before = after - 1
        if after in self.jumps:
            return Pose(self.eyes[before], self.quats[before])
        span_s = self.times_s[after] - self.times_s[before]
        share = float((time_s - self.times_s[before]) / span_s)
        eye = (1 - share) * self.eyes[before] + share * self.eyes[after]
        return Pose(eye, slerp(self.quats[before], self.quats[after], share))

    def camera(self, time_s: float) -> Camera:
        """The camera at a time."""
        return self.lens.camera(self.pose(time_s))


def path_of(
    name: str,
    times_s: Sequence[float],
    poses: Sequence[Pose],
    lens: Lens,
    jumps: frozenset[int] = frozenset(),
) -> ViewPath:
    """A path of poses. Raises LabError if there are none, or if the times don't increase."""
    times = np.asarray(times_s, np.float64)
    if not len(times) or len(times) != len(poses) or (np.diff(times) <= 0).any():
        raise LabError(f"viewer {name}: it needs poses at increasing times")
    return ViewPath(
        name,
        times - times[0],
        np.array([pose.eye for pose in poses]),
        np.array([pose.quat for pose in poses]),
        lens,
        jumps,
    )


def pose_of(camera: Camera) -> Pose:
    """The pose of a camera."""
    return Pose(camera.position, quaternion(camera.viewmat[:3, :3].T))


def rotation(quat: Doubles) -> Matrix:
    """The rotation matrix [3, 3] of a unit quaternion wxyz."""
    w, x, y, z = quat.tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion(matrix: Matrix) -> Doubles:
    """The unit quaternion wxyz of a rotation matrix, w >= 0 (Shepperd 1978)."""
    m = matrix
    choices = np.array(
        [
            m[0, 0] + m[1, 1] + m[2, 2],
            m[0, 0] - m[1, 1] - m[2, 2],
            m[1, 1] - m[0, 0] - m[2, 2],
            m[2, 2] - m[0, 0] - m[1, 1],
        ]
    )
    largest = int(choices.argmax())
    root = math.sqrt(max(1 + float(choices[largest]), 0.0))
    a, b, c = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    d, e, f = m[1, 0] + m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2]
    rows = [(root**2, a, b, c), (a, root**2, d, e), (b, d, root**2, f), (c, e, f, root**2)]
    quat: Doubles = np.array(rows[largest], np.float64)
    quat /= np.linalg.norm(quat)
    return quat if quat[0] >= 0 else -quat


def product(a: Doubles, b: Doubles) -> Doubles:
    """The quaternion of the rotation `b` followed by `a`."""
    w, x, y, z = a.tolist()
    s, t, u, v = b.tolist()
    return np.array(
        [
            w * s - x * t - y * u - z * v,
            w * t + x * s + y * v - z * u,
            w * u - x * v + y * s + z * t,
            w * v + x * u - y * t + z * s,
        ]
    )


def conjugate(quat: Doubles) -> Doubles:
    """The inverse of a unit quaternion."""
    inverse: Doubles = quat * np.array([1.0, -1.0, -1.0, -1.0])
    return inverse


def slerp(a: Doubles, b: Doubles, share: float) -> Doubles:
    """The rotation at the share `share` of the way from `a` to `b`, which may exceed 1."""
    cosine = float(a @ b)
    if cosine < 0:
        b, cosine = -b, -cosine
    angle = math.acos(min(cosine, 1.0))
    if angle < 1e-6:
        mixed = (1 - share) * a + share * b
    else:
        mixed = (math.sin((1 - share) * angle) * a + math.sin(share * angle) * b) / math.sin(angle)
    unit: Doubles = mixed / np.linalg.norm(mixed)
    return unit


def angle_between(a: Doubles, b: Doubles) -> float:
    """The angle of the rotation from `a` to `b`, radians."""
    return 2 * math.acos(min(abs(float(a @ b)), 1.0))
