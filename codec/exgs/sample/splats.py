"""Converts facets to flat Gaussians with baked lighting.

Each Gaussian covers its facet and part of the neighbouring ones, so that no gaps remain. Larger
Gaussians lie behind walls and other surfaces that must be opaque.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from exgs.sample.facets import Cutter, Facets
from exgs.sample.lighting import Lighting, lobe_harmonics
from exgs.sample.noise import Array
from exgs.sample.room import Room, room_of
from exgs.sample.surfaces import Ids, Surface
from exgs.scene.gaussians import SH_C0, Gaussians

_REACH = 0.62  # standard deviation, relative to the side of a facet
_OUTLINE_REACH = 0.42  # the same for facets at an outline, across the outline
_OUTLINE_SHIFT = 0.05  # shift of such facets inwards, relative to the side
_THICKNESS = 0.04  # relative to the smaller of the other two scales
_THINNEST, _THICKEST = 3e-4, 4e-3  # metres
_OPACITY = 0.985
_EXPOSURE = 1.0
_FULL_DETAIL = 80_000  # smaller scenes start from coarser grids

_BACK_FACET = 0.13  # metres
_BACK_DEPTH = 0.10  # metres; with less, backs would show in front of the surface at grazing angles
_BACK_OPACITY = 0.97


def sample_scene(count: int = 150_000, seed: int = 0) -> Gaussians:
    """A furnished room of `count` Gaussians with SH of degree 3, in metres, in the RDF frame.

    Equal arguments give equal scenes. Each seed gives another room. Every object needs a few
    Gaussians, so a scene has at least about 2,000 even if `count` is smaller. Raises ValueError.
    """
    if count < 1:
        raise ValueError(f"a scene of {count} Gaussians can't be made")
    room = room_of(seed)
    lighting = Lighting(room)
    detail = min(1.0, math.sqrt(count / _FULL_DETAIL))
    backs = _backs(room, lighting, detail)
    cutter = Cutter(room.surfaces, room.covers, lighting.sun)
    facets = cutter.cut(cutter.even(detail), count - len(backs))
    return Gaussians.concatenate([_splats(room, lighting, facets), backs])


def _backs(room: Room, lighting: Lighting, detail: float) -> Gaussians:
    coarse = []
    for surface in room.surfaces:
        if surface.backed:
            nu, nv = np.maximum(np.ceil(surface.size.max(0) / _BACK_FACET), 2).astype(int)
            coarse.append(replace(surface, facets=(int(nu), int(nv)), edges=(False, False)))
    facets = Cutter(tuple(coarse), (), lighting.sun).even(detail)
    return _splats(room.with_surfaces(tuple(coarse)), lighting, facets, _BACK_DEPTH, _BACK_OPACITY)


def _splats(
    room: Room,
    lighting: Lighting,
    facets: Facets,
    depth: float = 0.0,
    opacity: float = _OPACITY,
) -> Gaussians:
    """One Gaussian per facet, `depth` metres behind its surface."""
    center, du, dv = _frames(room.surfaces, facets)
    normal = _unit(np.cross(du, dv))
    color, shine = _colors(room, lighting, facets, center, normal)
    axes, scales = _axes(du, dv, normal)
    turn = room.to_scene
    f32 = np.float32
    return Gaussians(
        means=((center - depth * normal) * turn).astype(f32),
        quats=_quats(axes * turn[:, None]).astype(f32),
        scales=scales.astype(f32),
        opacities=np.full(len(facets), opacity, f32),
        sh0=((color - 0.5) / SH_C0 + shine[:, 0]).astype(f32),
        shN=shine[:, 1:].astype(f32),
    )


def _frames(surfaces: tuple[Surface, ...], facets: Facets) -> tuple[Array, Array, Array]:
    """Centres [n, 3] and, along u and v, vectors [n, 3] as long as one standard deviation."""
    n = len(facets)
    low, high = facets.low, facets.high
    side = high - low
    shift, reach = np.zeros((n, 2)), np.full((n, 2), _REACH)
    outlined = np.array([surface.edges for surface in surfaces])[facets.owner]
    for at_edge, inwards in ((low < 1e-9, 1), (high > 1 - 1e-9, -1)):
        at = at_edge & outlined
        shift += np.where(at, inwards * _OUTLINE_SHIFT * side, 0)
        reach = np.where(at, _OUTLINE_REACH, reach)
    middle = (low + high) / 2 + shift
    centers, us, vs = np.empty((n, 3)), np.empty((n, 3)), np.empty((n, 3))
    bounds = np.searchsorted(facets.owner, np.arange(len(surfaces) + 1))
    for k, surface in enumerate(surfaces):
        own = slice(bounds[k], bounds[k + 1])
        if bounds[k] == bounds[k + 1]:
            continue
        ids: Ids = facets.patch[own]
        u, v = middle[own].T
        (u0, v0), (u1, v1) = low[own].T, high[own].T
        centers[own] = surface.place(ids, u, v)
        us[own] = surface.place(ids, u1, v) - surface.place(ids, u0, v)
        vs[own] = surface.place(ids, u, v1) - surface.place(ids, u, v0)
    return centers, us * reach[:, :1], vs * reach[:, 1:]


def _axes(du: Array, dv: Array, normal: Array) -> tuple[Array, Array]:
    """Axes [n, 3, 3] (as columns) and scales [n, 3] of facets that `du` and `dv` span."""
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
    room: Room, lighting: Lighting, facets: Facets, points: Array, normals: Array
) -> tuple[Array, Array]:
    """Displayed colours [n, 3] and the SH [n, 16, 3] of mirrored lights."""
    materials = [surface.material for surface in room.surfaces]

    def of_material(name: str) -> Array:
        return np.array([getattr(material, name) for material in materials])[facets.owner]

    light = lighting.incident(points, normals, facets.sun)
    irradiance = light.irradiance
    through = of_material("through")
    thin = np.flatnonzero(through > 0)
    behind = lighting.incident(
        points[thin], -normals[thin], lighting.sun(points[thin], -normals[thin])
    )
    share = through[thin, None]
    irradiance[thin] = (1 - share) * irradiance[thin] + share * behind.irradiance
    glow = of_material("glow")[:, None]
    linear = facets.color * (irradiance * (1 - glow) + glow)
    color, derivative = _tone(_EXPOSURE * linear)

    shine = np.zeros((len(facets), 16, 3))
    gloss = of_material("gloss")
    glossy = np.flatnonzero(gloss > 0)
    n, sharpness = normals[glossy], of_material("sharpness")[glossy]
    turn = room.to_scene
    for toward, strength in light.mirrored:
        d = toward[glossy]
        # A viewer in the mirrored direction sees the light.
        facing = (d * n).sum(1, keepdims=True)
        lobe = lobe_harmonics((d - 2 * facing * n) * turn, sharpness)
        weight = (
            _EXPOSURE * gloss[glossy, None] * strength[glossy] * derivative[glossy] * (facing > 0)
        )
        shine[glossy] += lobe[:, :, None] * weight[:, None, :]
    return color, shine


def _tone(linear: Array) -> tuple[Array, Array]:
    """Tone-mapped sRGB of linear light, and its derivative.

    The curve is Reinhard's extended operator, applied to each channel.
    """
    white = 9.0
    x = np.maximum(linear, 1e-4)
    curved = x * (1 + x / white) / (1 + x)
    encoded = np.clip(1.055 * curved ** (1 / 2.4) - 0.055, 0, 1)
    derivative = 1.055 / 2.4 * curved ** (1 / 2.4 - 1) / (1 + x) ** 2
    return encoded, np.minimum(derivative, 1.5)


def _quats(axes: Array) -> Array:
    """Unit quaternions wxyz [n, 4] of axes [n, 3, 3] (as columns), made right-handed.

    Each is the row of 4 q q^T with the largest diagonal element (Shepperd 1978).
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
    # Round away noise that differs between processors.
    return np.asarray(_unit(outer[np.arange(len(m)), best]).round(9))


def _unit(rows: Array) -> Array:
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12))
