"""The coverage of a view by boxes, which weights their cells (spec/protocol.md, section 10).

The coverage of a box is the area of the bounding rectangle of its projection inside the picture.
Boxes that intersect the near plane are clipped first. Boxes outside the picture use their solid
angle instead. Formulas use float64 in the order of the specification, so that all implementations
choose alike. `BoxSet` gives quick upper limits of coverage, so that few boxes need the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera

Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_NEAR = 1e-2  # depth of the near plane, relative to the diagonal of the box
_LEAST_NEAR = 1e-9
_PADDING = 0.05  # relative to the diagonal; Gaussians extend beyond the box of their means
_MARGIN_PX = 1.0
_SLACK = 1e-9  # of bounds: far more than rounding errors
_BITS = np.array([[i >> axis & 1 for axis in range(3)] for i in range(8)], bool)  # of corners
_EDGES = np.array([(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]).T


@dataclass(frozen=True, slots=True, eq=False)
class BoxWeights:
    """The weights of N boxes for a view."""

    coverage: Doubles  # [N] share of the picture that the box covers; 0 out of view
    around: Doubles  # [N] share of the sphere around the camera that it covers, at most 1


def box_weights(low: Doubles, high: Doubles, camera: Camera) -> BoxWeights:
    """Compute the weights of boxes with these corners [N, 3] for one view."""
    low, high, diagonal = _padded(low, high)
    return BoxWeights(
        _coverage(low, high, diagonal, camera, _eye(camera)), _around(low, high, _eye(camera))
    )


def solid_angles(low: Doubles, high: Doubles, camera: Camera) -> Doubles:
    """`BoxWeights.around` alone."""
    low, high, _ = _padded(low, high)
    return _around(low, high, _eye(camera))


class BoxSet:
    """The boxes of cells by number, with fast upper bounds of their coverage."""

    def __init__(self, count: int) -> None:
        self.low = np.zeros((count, 3), np.float32)
        self.high = np.zeros((count, 3), np.float32)
        self._middle = np.zeros((3, count))  # of the padded boxes
        self._half = np.zeros((3, count))  # half of their size, and some slack

    def enter(self, numbers: Numbers, low: npt.ArrayLike, high: npt.ArrayLike) -> None:
        """Set the boxes with these numbers [N] to these corners [N, 3]."""
        self.low[numbers], self.high[numbers] = low, high
        low, high, _ = _padded(*self.corners(numbers))
        middle = (low + high) / 2
        slack = _SLACK * np.abs(middle).sum(axis=1, keepdims=True)
        self._middle[:, numbers] = middle.T
        self._half[:, numbers] = ((high - low) * ((1 + _SLACK) / 2) + slack).T

    def corners(self, numbers: Numbers) -> tuple[Doubles, Doubles]:
        """Minima and maxima [N, 3] of these boxes."""
        low, high = (np.take(points, numbers, axis=0) for points in (self.low, self.high))
        return low.astype(np.float64), high.astype(np.float64)

    def coverage_limits(self, numbers: Numbers, camera: Camera) -> Doubles:
        """Upper bounds of the coverage of these boxes [N]; 0 only if the coverage is 0."""
        limits = np.zeros(len(numbers))
        sight = self._sight(numbers, camera)
        limits[sight.seen] = sight.area_limits(camera)
        return limits

    def in_view(self, numbers: Numbers, camera: Camera) -> Flags:
        """Whether each of these boxes [N] has a coverage above 0."""
        sight = self._sight(numbers, camera)
        result = np.zeros(len(numbers), bool)
        result[sight.seen] = True
        unsure = sight.seen[~sight.middle_is_seen(camera)]
        low, high = self.corners(numbers[unsure])
        result[unsure] = box_weights(low, high, camera).coverage > 0
        return result

    def _sight(self, numbers: Numbers, camera: Camera) -> _Sight:
        middle, half = (np.take(some, numbers, axis=1) for some in (self._middle, self._half))
        return _Sight(middle, half, camera)


class _Sight:
    """World-axis-aligned boxes, enclosed in boxes aligned with the axes of a camera."""

    def __init__(self, middle: Doubles, half: Doubles, camera: Camera) -> None:
        r, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
        normals, offsets = list(r), list(t)
        for axis, size in enumerate((camera.width, camera.height)):
            focal, centre = camera.K[axis, axis], camera.K[axis, 2]
            first = (-_MARGIN_PX - centre) / focal
            last = (size + _MARGIN_PX - centre) / focal
            normals += [r[axis] - first * r[2], last * r[2] - r[axis]]
            offsets += [t[axis] - first * t[2], last * t[2] - t[axis]]
        planes = np.array(normals)  # x, y and z of the camera, then the sides of its view
        reach = np.abs(planes) @ half
        reach += _SLACK * (np.abs(planes).sum(axis=1) * np.abs(t).sum())[:, None]
        place = planes @ middle + np.array(offsets)[:, None]
        # Boxes that may be in view: not behind the camera, nor beyond one of the sides.
        self.seen = np.flatnonzero((place[2:] + reach[2:] >= 0).all(axis=0))
        self._place = np.take(place[:3], self.seen, axis=1)
        self._reach = np.take(reach[:3], self.seen, axis=1)
        self._size = np.take(half, self.seen, axis=1)

    def area_limits(self, camera: Camera) -> Doubles:
        """Upper bounds of the coverage of the boxes that may be in view."""
        z, depth = self._place[2], self._reach[2]
        ahead = z - depth > _LEAST_NEAR
        near, far = 1 / np.where(ahead, z - depth, 1.0), 1 / np.where(ahead, z + depth, 1.0)
        area = np.ones(len(z))
        for axis, size in enumerate((camera.width, camera.height)):
            first, last = (self._place[axis] + sign * self._reach[axis] for sign in (-1, 1))
            focal, centre = camera.K[axis, axis], camera.K[axis, 2]
            start = np.minimum(first * near, first * far) * focal + (centre - _MARGIN_PX)
            end = np.maximum(last * near, last * far) * focal + (centre + _MARGIN_PX)
            area *= np.maximum(np.minimum(end, size) - np.maximum(start, 0.0), 0.0) / size
        return np.where(ahead, np.minimum(area * (1 + _SLACK) + _SLACK, 1.0), 1.0)

    def middle_is_seen(self, camera: Camera) -> Flags:
        """Whether the middle of a box is clearly in the picture, so that its coverage is not 0."""
        x, y, z = self._place
        result: Flags = z > _LEAST_NEAR + 4 * _NEAR * self._size.sum(axis=0)
        depth = np.where(result, z, 1.0)
        for value, axis in ((x, 0), (y, 1)):
            pixel = value / depth * camera.K[axis, axis] + camera.K[axis, 2]
            result &= (pixel > 0) & (pixel < (camera.width, camera.height)[axis])
        return result


def _padded(low: Doubles, high: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """The boxes with padding, and their diagonals without it."""
    size = high - low
    diagonal = np.sqrt(size[:, 0] ** 2 + size[:, 1] ** 2 + size[:, 2] ** 2)
    padding = (_PADDING * diagonal)[:, None]
    return low - padding, high + padding, diagonal


def _eye(camera: Camera) -> Doubles:
    """The position of the camera [3], summed in the specified order, unlike a matrix product."""
    r, t = camera.viewmat[:3, :3].tolist(), camera.viewmat[:3, 3].tolist()
    return np.array([-(r[0][i] * t[0] + r[1][i] * t[1] + r[2][i] * t[2]) for i in range(3)])


def _coverage(
    low: Doubles, high: Doubles, diagonal: Doubles, camera: Camera, eye: Doubles
) -> Doubles:
    if not len(low):
        return np.zeros(0)
    near = np.maximum(_NEAR * diagonal, _LEAST_NEAR)
    x, y, z = (  # of all corners [8, N]
        np.where(_BITS[:, axis, None], high[:, axis], low[:, axis]) for axis in range(3)
    )
    rows = camera.viewmat[:3].tolist()
    points = np.stack([a * x + b * y + c * z + d for a, b, c, d in rows])  # [3, 8, N]
    usable = points[2] >= near
    crosses = usable[_EDGES[0]] != usable[_EDGES[1]]
    if crosses.any():
        one, other = points[:, _EDGES[0]], points[:, _EDGES[1]]  # [3, 12, N]
        depth = np.where(crosses, other[2] - one[2], 1.0)
        along = np.where(crosses, (near - one[2]) / depth, 0.0)
        points = np.concatenate([points, one + along * (other - one)], axis=1)
        usable = np.concatenate([usable, crosses])
    depth = np.where(usable, points[2], 1.0)
    area: Doubles = np.ones(len(low))
    for axis, size in enumerate((camera.width, camera.height)):
        pixel = points[axis] / depth * float(camera.K[axis, axis]) + float(camera.K[axis, 2])
        first = np.where(usable, pixel, np.inf).min(axis=0)
        last = np.where(usable, pixel, -np.inf).max(axis=0)
        inside = np.minimum(last + _MARGIN_PX, size) - np.maximum(first - _MARGIN_PX, 0.0)
        area *= np.maximum(inside, 0.0) / size
    around = ((eye >= low) & (eye <= high)).all(axis=1)
    return np.where(around, 1.0, area)


def _around(low: Doubles, high: Doubles, eye: Doubles) -> Doubles:
    size, offset = high - low, eye - (low + high) / 2
    radius_squared = (size[:, 0] ** 2 + size[:, 1] ** 2 + size[:, 2] ** 2) / 4
    distance_squared = offset[:, 0] ** 2 + offset[:, 1] ** 2 + offset[:, 2] ** 2
    fraction: Doubles = radius_squared / np.maximum(4 * distance_squared, 1e-18)
    return np.minimum(fraction, 1.0)
