"""Surfaces: families of patches that map (u, v) in the unit square to points of the room.

All patches of a family share one shape and one material; an id selects the patch. Points are in
the frame of the room: metres, x to the right, y up from the floor, z away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.sample.noise import Array

Ids = npt.NDArray[np.int64]
Place = Callable[[Ids, Array, Array], Array]  # ids [n], u [n], v [n] -> points [n, 3]


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """n points on one family of patches where a texture computes its colour."""

    ids: Ids  # [n] the patches
    u: Array  # [n] metres from the edge of the patch
    v: Array  # [n]
    size: Array  # [n, 2] of the whole patch, in metres
    points: Array  # [n, 3] in the room


Paint = Callable[[Spot], Array]  # -> linear RGB [n, 3]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The appearance of a surface, without lighting."""

    paint: Paint
    gloss: float = 0.0  # reflectance of the mirror lobe at normal incidence
    sharpness: float = 6.0  # of that lobe: exp(sharpness * (cos - 1))
    glow: float = 0.0  # share of the colour that is emitted
    through: float = 0.0  # share of light that is transmitted from behind, for leaves and cloth


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A family of patches."""

    place: Place
    size: Array  # [m, 2] metres along u and v
    material: Material
    facets: tuple[int, int] = (1, 1)  # least number of facets along u and v
    importance: float = 1.0  # weight of its detail when facets are cut
    edges: tuple[bool, bool] = (True, True)  # whether the borders in u and in v are outlines
    backed: bool = False  # whether large Gaussians lie behind it, so that it is opaque


def vectors(values: npt.ArrayLike) -> Array:
    """`values` as float64 rows of three."""
    return np.atleast_2d(np.asarray(values, np.float64))


def quads(origins: npt.ArrayLike, us: npt.ArrayLike, vs: npt.ArrayLike) -> tuple[Place, Array]:
    """m flat parallelograms from corners and sides [m, 3]. The front faces along u x v."""
    o, a, b = np.broadcast_arrays(vectors(origins), vectors(us), vectors(vs))

    def place(ids: Ids, u: Array, v: Array) -> Array:
        return np.asarray(o[ids] + u[:, None] * a[ids] + v[:, None] * b[ids])

    return place, np.stack([np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)], 1)


# The six sides of a box: axis and sign of the normal, then the axes of u and v. u x v is the
# normal.
_SIDES = {
    "left": (0, -1, 2, 1),
    "right": (0, 1, 1, 2),
    "bottom": (1, -1, 0, 2),
    "top": (1, 1, 2, 0),
    "front": (2, -1, 1, 0),
    "back": (2, 1, 0, 1),
}


def boxes(
    centers: npt.ArrayLike,
    halves: npt.ArrayLike,
    sides: str = "left right top front back",
    yaws: npt.ArrayLike = 0.0,
) -> tuple[Place, Array]:
    """The named sides of m boxes, turned by `yaws` about the vertical. Ids run box by box."""
    c, h = np.broadcast_arrays(vectors(centers), vectors(halves))
    yaw = np.broadcast_to(np.asarray(yaws, np.float64), (len(c),))
    axes = np.zeros((len(c), 3, 3))  # rows: the box's own axes
    axes[:, 0, 0] = axes[:, 2, 2] = np.cos(yaw)
    axes[:, 0, 2], axes[:, 2, 0] = np.sin(yaw), -np.sin(yaw)
    axes[:, 1, 1] = 1
    corners, us, vs = [], [], []
    for side in sides.split():
        normal, sign, u, v = _SIDES[side]
        n_vec = axes[:, normal] * (sign * h[:, normal, None])
        u_vec, v_vec = axes[:, u] * h[:, u, None], axes[:, v] * h[:, v, None]
        corners.append(c + n_vec - u_vec - v_vec)
        us.append(2 * u_vec)
        vs.append(2 * v_vec)
    return quads(*(np.stack(parts, 1).reshape(-1, 3) for parts in (corners, us, vs)))


def lathes(
    profile: npt.ArrayLike, positions: npt.ArrayLike, sizes: npt.ArrayLike = 1.0
) -> tuple[Place, Array]:
    """m bodies of revolution. Corners of `profile` [k, 2] (radius, height) are rounded first.

    u goes around the axis, v along the profile.
    """
    radius, height, length = _rounded(np.asarray(profile, np.float64))
    p = vectors(positions)
    s = np.broadcast_to(np.asarray(sizes, np.float64), (len(p),))
    way = np.linspace(0, 1, len(radius))

    def place(ids: Ids, u: Array, v: Array) -> Array:
        r, y = np.interp(v, way, radius), np.interp(v, way, height)
        angle = 2 * np.pi * u
        local = np.stack([r * np.cos(angle), y, -r * np.sin(angle)], 1)
        return np.asarray(p[ids] + s[ids, None] * local)

    return place, s[:, None] * np.array([2 * np.pi * radius.mean(), length])


def _rounded(profile: Array) -> tuple[Array, Array, float]:
    """Radius and height of the polyline after two rounds of corner cutting, and its length.

    The result is resampled evenly by arc length.
    """
    for _ in range(2):
        inner = np.stack(
            [0.75 * profile[:-1] + 0.25 * profile[1:], 0.25 * profile[:-1] + 0.75 * profile[1:]], 1
        ).reshape(-1, 2)
        profile = np.concatenate([profile[:1], inner, profile[-1:]])
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    even = np.linspace(0, arc[-1], 65)
    radius, height = np.interp(even, arc, profile[:, 0]), np.interp(even, arc, profile[:, 1])
    return np.asarray(radius), np.asarray(height), float(arc[-1])


def tubes(controls: npt.ArrayLike, radii: npt.ArrayLike) -> tuple[Place, Array]:
    """m round tubes along cubic Bezier curves [m, 4, 3], with radii [m, 2] at their ends."""
    curve = np.asarray(controls, np.float64).reshape(-1, 4, 3)
    ends = np.broadcast_to(np.asarray(radii, np.float64), (len(curve), 2))
    length = np.linalg.norm(np.diff(curve, axis=1), axis=2).sum(1)

    def place(ids: Ids, u: Array, v: Array) -> Array:
        center, along = bezier(curve[ids], v)
        side = np.cross(along, np.array([0.31, 0.17, 0.93]))
        side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-12
        other = np.cross(along, side)
        r = (ends[ids, 0] * (1 - v) + ends[ids, 1] * v)[:, None]
        angle = (2 * np.pi * u)[:, None]
        return np.asarray(center + r * (np.cos(angle) * side + np.sin(angle) * other))

    return place, np.stack([2 * np.pi * ends.mean(1), length], 1)


def bezier(controls: Array, t: Array) -> tuple[Array, Array]:
    """Points and unit tangents [n, 3] of cubic curves [n, 4, 3] at `t` [n]."""
    s, w = (1 - t)[:, None], t[:, None]
    a, b, c, d = (controls[:, k] for k in range(4))
    points = s**3 * a + 3 * s * s * w * b + 3 * s * w * w * c + w**3 * d
    along = s * s * (b - a) + 2 * s * w * (c - b) + w * w * (d - c)
    return points, along / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-12)


def ribbons(
    controls: npt.ArrayLike,
    widths: npt.ArrayLike,
    *,
    widest: float = 0.4,
    fold: float = 0.25,
) -> tuple[Place, Array]:
    """m leaves: ribbons along cubic Bezier curves [m, 4, 3] that end in a point.

    A leaf has its full width `widths` [m] at `widest` (0 to 1). `fold` is the depth of the fold
    along its midrib, relative to the width.
    """
    curve = np.asarray(controls, np.float64).reshape(-1, 4, 3)
    w = np.broadcast_to(np.asarray(widths, np.float64), (len(curve),))
    bend = np.log(0.5) / np.log(widest)

    def place(ids: Ids, u: Array, v: Array) -> Array:
        center, along = bezier(curve[ids], v)
        side = np.cross(along, np.array([0.0, 1.0, 0.0]))
        side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-6
        up = np.cross(side, along)
        width = (w[ids] * (0.12 + 0.88 * np.sin(np.pi * np.clip(v, 0, 1) ** bend)))[:, None]
        across = (u - 0.5)[:, None]
        return np.asarray(center + width * (across * side + fold * np.abs(across) * up))

    length = np.linalg.norm(np.diff(curve, axis=1), axis=2).sum(1)
    return place, np.stack([w, length], 1)


def pillows(
    centers: npt.ArrayLike,
    halves: npt.ArrayLike,
    yaws: npt.ArrayLike = 0.0,
    pitches: npt.ArrayLike = 0.0,
    square: float = 0.35,
) -> tuple[Place, Array]:
    """m superellipsoids, from boxes (`square` near 0) to ellipsoids (1). u goes around, v up."""
    c, h = np.broadcast_arrays(vectors(centers), vectors(halves))
    yaw = np.broadcast_to(np.asarray(yaws, np.float64), (len(c),))
    pitch = np.broadcast_to(np.asarray(pitches, np.float64), (len(c),))

    def power(x: Array) -> Array:
        return np.asarray(np.sign(x) * np.abs(x) ** square)

    def place(ids: Ids, u: Array, v: Array) -> Array:
        around, up = 2 * np.pi * u, np.pi * (v - 0.5)
        ring = power(np.cos(up))
        x, y, z = (
            h[ids]
            * np.stack(
                [ring * power(np.cos(around)), power(np.sin(up)), -ring * power(np.sin(around))], 1
            )
        ).T
        y, z = (
            np.cos(pitch[ids]) * y - np.sin(pitch[ids]) * z,
            np.sin(pitch[ids]) * y + np.cos(pitch[ids]) * z,
        )
        x, z = (
            np.cos(yaw[ids]) * x - np.sin(yaw[ids]) * z,
            np.sin(yaw[ids]) * x + np.cos(yaw[ids]) * z,
        )
        return np.asarray(c[ids] + np.stack([x, y, z], 1))

    return place, np.stack([4 * (h[:, 0] + h[:, 2]), 2 * (h[:, 1] + h[:, [0, 2]].mean(1))], 1)


def displaced(
    place: Place, push: Callable[[Ids, Array, Array], Array], direction: npt.ArrayLike
) -> Place:
    """`place` with each point moved along `direction` by `push` metres, for folds of cloth."""
    d = np.asarray(direction, np.float64)

    def moved(ids: Ids, u: Array, v: Array) -> Array:
        return np.asarray(place(ids, u, v) + push(ids, u, v)[:, None] * d)

    return moved
