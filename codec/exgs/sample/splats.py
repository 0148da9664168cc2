"""Cells of surfaces become flat Gaussians with the light of the room baked into them.

A splat covers its cell and a part of its neighbours, so that none leaves a gap; behind walls and
other surfaces that nothing must shine through lie larger ones.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from exgs.sample.cells import Cells, Cutter
from exgs.sample.lighting import Lighting, lobe_harmonics
from exgs.sample.noise import Array
from exgs.sample.room import Room, room_of
from exgs.sample.surfaces import Ids, Surface
from exgs.scene.gaussians import SH_C0, Gaussians

_REACH = 0.62  # standard deviation in sides of a cell
_OUTLINE_REACH = 0.42  # of cells at an outline, across it
_OUTLINE_SHIFT = 0.05  # inwards, in sides of a cell
_THICKNESS = 0.04  # of the smaller extent
_THINNEST, _THICKEST = 3e-4, 4e-3  # metres
_OPACITY = 0.985
_EXPOSURE = 1.0
_FULL_DETAIL = 80_000  # Gaussians from which the grids that are cut are the full ones

_BACK_CELL = 0.13  # metres
_BACK_DEPTH = 0.10  # as much as a cell, or backs show before the surface at a slant
_BACK_OPACITY = 0.97


def sample_scene(count: int = 150_000, seed: int = 0) -> Gaussians:
    """A furnished room of `count` Gaussians with SH of degree 3, in metres; RDF.

    The same arguments give the same room; other seeds give other rooms. Every thing in it has its
    least number of splats, some 2,000 in all, below which no `count` goes. Raises ValueError.
    """
    if count < 1:
        raise ValueError(f"a scene of {count} Gaussians can't be made")
    room = room_of(seed)
    lighting = Lighting(room)
    detail = min(1.0, math.sqrt(count / _FULL_DETAIL))
    backs = _backs(room, lighting, detail)
    cutter = Cutter(room.surfaces, room.covers, lighting.sun)
    cells = cutter.cut(cutter.even(detail), count - len(backs))
    return Gaussians.concatenate([_splats(room, lighting, cells), backs])


def _backs(room: Room, lighting: Lighting, detail: float) -> Gaussians:
    coarse = []
    for surface in room.surfaces:
        if surface.backed:
            nu, nv = np.maximum(np.ceil(surface.size.max(0) / _BACK_CELL), 2).astype(int)
            coarse.append(replace(surface, cells=(int(nu), int(nv)), edges=(False, False)))
    cells = Cutter(tuple(coarse), (), lighting.sun).even(detail)
    return _splats(room.with_surfaces(tuple(coarse)), lighting, cells, _BACK_DEPTH, _BACK_OPACITY)


def _splats(
    room: Room,
    lighting: Lighting,
    cells: Cells,
    depth: float = 0.0,
    opacity: float = _OPACITY,
) -> Gaussians:
    """One Gaussian a cell, `depth` metres behind its surface."""
    center, du, dv = _frames(room.surfaces, cells)
    normal = _unit(np.cross(du, dv))
    color, shine = _colors(room, lighting, cells, center, normal)
    axes, scales = _axes(du, dv, normal)
    turn = room.to_scene
    f32 = np.float32
    return Gaussians(
        means=((center - depth * normal) * turn).astype(f32),
        quats=_quats(axes * turn[:, None]).astype(f32),
        scales=scales.astype(f32),
        opacities=np.full(len(cells), opacity, f32),
        sh0=((color - 0.5) / SH_C0 + shine[:, 0]).astype(f32),
        shN=shine[:, 1:].astype(f32),
    )


def _frames(surfaces: tuple[Surface, ...], cells: Cells) -> tuple[Array, Array, Array]:
    """Centres [n, 3] and vectors of a standard deviation's length along u and v."""
    n = len(cells)
    low, high = cells.low, cells.high
    side = high - low
    shift, reach = np.zeros((n, 2)), np.full((n, 2), _REACH)
    outlined = np.array([surface.edges for surface in surfaces])[cells.owner]
    for at_edge, inwards in ((low < 1e-9, 1), (high > 1 - 1e-9, -1)):
        at = at_edge & outlined
        shift += np.where(at, inwards * _OUTLINE_SHIFT * side, 0)
        reach = np.where(at, _OUTLINE_REACH, reach)
    middle = (low + high) / 2 + shift
    centers, us, vs = np.empty((n, 3)), np.empty((n, 3)), np.empty((n, 3))
    bounds = np.searchsorted(cells.owner, np.arange(len(surfaces) + 1))
    for k, surface in enumerate(surfaces):
        own = slice(bounds[k], bounds[k + 1])
        if bounds[k] == bounds[k + 1]:
            continue
        ids: Ids = cells.patch[own]
        u, v = middle[own].T
        (u0, v0), (u1, v1) = low[own].T, high[own].T
        centers[own] = surface.place(ids, u, v)
        us[own] = surface.place(ids, u1, v) - surface.place(ids, u0, v)
        vs[own] = surface.place(ids, u, v1) - surface.place(ids, u, v0)
    return centers, us * reach[:, :1], vs * reach[:, 1:]


def _axes(du: Array, dv: Array, normal: Array) -> tuple[Array, Array]:
    """Axes [n, 3, 3] (columns) and standard deviations [n, 3] of cells spanned by du and dv."""
    t1 = _unit(du)
    t2 = np.cross(normal, t1)
    a, b, c = np.linalg.norm(du, axis=1), (dv * t1).sum(1), (dv * t2).sum(1)
    xx, xy, yy = a * a + b * b, b * c, c * c
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    first, second = cos * t1 + sin * t2, cos * t2 - sin * t1
    mean, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    long, short = np.sqrt(mean + spread), np.sqrt(np.maximum(mean - spread, 0))
    short = np.maximum(short, _THINNEST)
    thin = np.clip(_THICKNESS * short, _THINNEST, _THICKEST)
    return np.stack([first, second, normal], 2), np.stack([np.maximum(long, short), short, thin], 1)


def _colors(
    room: Room, lighting: Lighting, cells: Cells, points: Array, normals: Array
) -> tuple[Array, Array]:
    """Displayed colours [n, 3] and the SH [n, 16, 3] of what they mirror."""
    materials = [surface.material for surface in room.surfaces]

    def of_material(name: str) -> Array:
        return np.array([getattr(material, name) for material in materials])[cells.owner]

    light = lighting.fall(points, normals, cells.sun)
    irradiance = light.irradiance
    through = of_material("through")
    thin = np.flatnonzero(through > 0)
    behind = lighting.fall(points[thin], -normals[thin], lighting.sun(points[thin], -normals[thin]))
    share = through[thin, None]
    irradiance[thin] = (1 - share) * irradiance[thin] + share * behind.irradiance
    glow = of_material("glow")[:, None]
    linear = cells.color * (irradiance * (1 - glow) + glow)
    color, slope = _tone(_EXPOSURE * linear)

    shine = np.zeros((len(cells), 16, 3))
    gloss = of_material("gloss")
    glossy = np.flatnonzero(gloss > 0)
    n, sharpness = normals[glossy], of_material("sharpness")[glossy]
    turn = room.to_scene
    for toward, strength in light.mirrored:
        d = toward[glossy]
        # Seen along the mirrored direction, the light itself is seen.
        facing = (d * n).sum(1, keepdims=True)
        lobe = lobe_harmonics((d - 2 * facing * n) * turn, sharpness)
        weight = _EXPOSURE * gloss[glossy, None] * strength[glossy] * slope[glossy] * (facing > 0)
        shine[glossy] += lobe[:, :, None] * weight[:, None, :]
    return color, shine


def _tone(linear: Array) -> tuple[Array, Array]:
    """sRGB of linear light under a curve that rolls off towards white, and its slope.

    The curve is Reinhard's extended operator on each channel.
    """
    white = 9.0
    x = np.maximum(linear, 1e-4)
    curved = x * (1 + x / white) / (1 + x)
    encoded = np.clip(1.055 * curved ** (1 / 2.4) - 0.055, 0, 1)
    slope = 1.055 / 2.4 * curved ** (1 / 2.4 - 1) / (1 + x) ** 2
    return encoded, np.minimum(slope, 1.5)


def _quats(axes: Array) -> Array:
    """Unit quaternions wxyz [n, 4] of frames [n, 3, 3] (columns), turned right-handed.

    Each is the row of 4 q q^T with the largest diagonal (Shepperd 1978).
    """
    m = axes.copy()
    m[:, :, 2] *= np.sign(np.linalg.det(axes))[:, None]
    x, y, z = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    outer = np.empty((len(m), 4, 4))
    for k, diagonal in enumerate((x + y + z, x - y - z, y - x - z, z - x - y)):
        outer[:, k, k] = 1 + diagonal
    for i, j in ((0, 1), (0, 2), (1, 2)):
        k = 3 - i - j
        outer[:, i + 1, j + 1] = outer[:, j + 1, i + 1] = m[:, i, j] + m[:, j, i]
        sign = 1 if (j - i) % 3 == 1 else -1
        outer[:, 0, k + 1] = outer[:, k + 1, 0] = sign * (m[:, j, i] - m[:, i, j])
    best = np.argmax(outer[:, range(4), range(4)], axis=1)
    # Components that are nothing but rounding would differ between processors.
    return np.asarray(_unit(outer[np.arange(len(m)), best]).round(9))


def _unit(rows: Array) -> Array:
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12))
