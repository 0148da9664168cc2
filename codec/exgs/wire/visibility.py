"""The coverage of a view by boxes, which weights their cells (spec/protocol.md, section 10).

The coverage of a box is the area of the bounding rectangle of its projection inside the picture.
Boxes that intersect the near plane are clipped first. Boxes outside the picture use their solid
angle instead. Formulas use float64 in the order of the specification, so that all implementations
choose alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera

Doubles = npt.NDArray[np.float64]

_NEAR = 1e-2  # depth of the near plane, relative to the diagonal of the box
_PADDING = 0.05  # relative to the diagonal; Gaussians extend beyond the box of their means
_MARGIN_PX = 1.0
_SLACK = 1e-9
_CORNERS = [(i & 1, i >> 1 & 1, i >> 2 & 1) for i in range(8)]
_EDGES = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]


@dataclass(frozen=True, slots=True, eq=False)
class BoxWeights:
    """The weights of N boxes in a view."""

    coverage: Doubles  # [N] share of the picture that the box covers; 0 out of view
    around: Doubles  # [N] share of the sphere around the camera that it covers, at most 1


def box_weights(low: Doubles, high: Doubles, camera: Camera) -> BoxWeights:
    """Compute the weights of boxes with these corners [N, 3] for one view."""
    size = high - low
    diagonal = np.sqrt(size[:, 0] ** 2 + size[:, 1] ** 2 + size[:, 2] ** 2)
    padding = (_PADDING * diagonal)[:, None]
    low, high = low - padding, high + padding
    coverage = np.zeros(len(low))
    candidates = np.flatnonzero(_may_be_seen(low, high, camera))
    eye = _eye(camera)
    coverage[candidates] = _coverage(
        low[candidates], high[candidates], diagonal[candidates], camera, eye
    )
    return BoxWeights(coverage, _around(low, high, eye))


def _eye(camera: Camera) -> Doubles:
    """The position of the camera [3], summed in the specified order, unlike a matrix product."""
    r, t = camera.viewmat[:3, :3].tolist(), camera.viewmat[:3, 3].tolist()
    return np.array([-(r[0][i] * t[0] + r[1][i] * t[1] + r[2][i] * t[2]) for i in range(3)])


def _may_be_seen(low: Doubles, high: Doubles, camera: Camera) -> npt.NDArray[np.bool_]:
    """Whether the bounding sphere of each box touches the frustum; if not, its coverage is 0."""
    centre, radius = (low + high) / 2, np.linalg.norm(high - low, axis=1) / 2
    x, y, z = (centre @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]).T
    # A margin larger than rounding errors, so that no barely visible box is left out.
    terms = np.abs(centre).sum(axis=1) + np.abs(camera.viewmat[:3, 3]).sum()
    radius = radius * (1 + _SLACK) + _SLACK * terms
    seen: npt.NDArray[np.bool_] = z >= -radius
    for axis, (value, size) in enumerate(((x, camera.width), (y, camera.height))):
        focal, middle = camera.K[axis, axis], camera.K[axis, 2]
        low_tangent = (-_MARGIN_PX - middle) / focal
        high_tangent = (size + _MARGIN_PX - middle) / focal
        seen &= (value - low_tangent * z) >= -radius * np.hypot(1, low_tangent)
        seen &= (high_tangent * z - value) >= -radius * np.hypot(1, high_tangent)
    return seen


def _coverage(
    low: Doubles, high: Doubles, diagonal: Doubles, camera: Camera, eye: Doubles
) -> Doubles:
    near = np.maximum(_NEAR * diagonal, 1e-9)
    rows = [[float(v) for v in row] for row in camera.viewmat[:3]]
    points = []
    for corner in _CORNERS:
        x, y, z = ((high if bit else low)[:, axis] for axis, bit in enumerate(corner))
        points.append([a * x + b * y + c * z + d for a, b, c, d in rows])
    candidates = [(point[0], point[1], point[2], point[2] >= near) for point in points]
    for start, end in _EDGES:
        one, other = points[start], points[end]
        depth = other[2] - one[2]
        crosses = (one[2] < near) != (other[2] < near)
        along = np.where(crosses, (near - one[2]) / np.where(crosses, depth, 1.0), 0.0)
        cut = [a + along * (b - a) for a, b in zip(one, other, strict=True)]
        candidates.append((cut[0], cut[1], cut[2], crosses))
    area: Doubles = np.ones(len(low))
    for axis, size in enumerate((camera.width, camera.height)):
        focal, middle = float(camera.K[axis, axis]), float(camera.K[axis, 2])
        first, last = np.full(len(low), np.inf), np.full(len(low), -np.inf)
        for candidate in candidates:
            depth, usable = candidate[2], candidate[3]
            pixel = candidate[axis] / np.where(usable, depth, 1.0) * focal + middle
            first = np.where(usable, np.minimum(first, pixel), first)
            last = np.where(usable, np.maximum(last, pixel), last)
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
