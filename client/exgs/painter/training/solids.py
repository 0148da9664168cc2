"""Solids with sharp patterns of spots, stripes and checks in front of empty background.

They teach that a dark spot on a bright surface is not a gap, and that the space between two objects
may be empty.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exgs.painter.training.photographs import COVER, THICKNESS, Array, without_sh
from exgs.scene.gaussians import Gaussians
from exgs.scene.rotations import quats_from_matrices

_SOLIDS = (8, 20)
_SIZES = (0.08, 0.4)  # half extents, in a world of radius 1
_SPREAD = np.array([1.0, 0.6, 1.0])
_PATTERN_SIZES = (0.04, 0.25)
_FLOOR = np.array([1.2, 0.02, 1.2])
_FLOOR_Y = 0.55  # y points down
_EDGE_WEIGHTS = (1.0, 5.0)  # density of Gaussians at the edges of a pattern, relative to elsewhere
_CANDIDATES = 3  # candidate positions per Gaussian
_LOOSE_COVERS = (0.36, 0.56)  # replaces COVER in loose solids
_OPACITIES = (0.6, 0.99)
_AMBIENT = (0.3, 0.8)

Pattern = Callable[[Array], Array]  # positions [n, 3] -> colours [n, 3]


def solids_scene(count: int, seed: int, *, loose: bool = False) -> Gaussians:
    """About `count` Gaussians without SH: boxes, ellipsoids and tubes around the origin.

    Each solid has a random rotation and pattern. Scenes with an odd seed have a floor. `loose`
    Gaussians are too small to cover their surfaces, so the whole scene has holes that must remain.
    """
    rng = np.random.default_rng([seed, 0x501])
    number = int(rng.integers(*_SOLIDS))
    edge_weight = rng.uniform(*_EDGE_WEIGHTS)
    light = rng.normal(size=3)
    light[1] = -abs(light[1])
    light /= np.linalg.norm(light)
    ambient = rng.uniform(*_AMBIENT)
    cover = rng.uniform(*_LOOSE_COVERS) if loose else COVER
    shapes = [rng.uniform(*_SIZES, 3) for _ in range(number)]
    floor = bool(seed % 2)
    areas = np.array([_area(half) for half in [*shapes, _FLOOR][: number + floor]])
    parts = []
    for index, share in enumerate(np.maximum(count * areas / areas.sum(), 60).astype(int)):
        if index == number:
            half, turn, place, surface = _FLOOR, np.eye(3), np.array([0, _FLOOR_Y, 0.0]), _box
        else:
            half, turn, surface = shapes[index], _rotation(rng), _SURFACES[rng.integers(3)]
            place = rng.normal(size=3)
            place *= _SPREAD * np.cbrt(rng.uniform(0, 1)) / np.linalg.norm(place)
        local, normals = surface(half, _CANDIDATES * share, rng)
        pattern = _pattern(rng)
        weights = np.where(_on_edge(pattern, local, rng), edge_weight, 1.0)
        chosen = rng.choice(len(local), share, replace=False, p=weights / weights.sum())
        local, normals = local[chosen], normals[chosen] @ turn.T
        sizes = cover * np.sqrt(_area(half) / share * weights.mean() / weights[chosen])
        shade = ambient + (1 - ambient) * np.clip(normals @ light, 0, 1)
        colors = np.clip(pattern(local) * shade[:, None] + rng.normal(0, 0.01, (share, 3)), 0, 1)
        parts.append(_flat(place + local @ turn.T, normals, sizes, colors, rng))
    return Gaussians.concatenate(parts)


def _flat(
    means: Array, normals: Array, sizes: Array, colors: Array, rng: np.random.Generator
) -> Gaussians:
    """Flat Gaussians of `sizes` [n] that face along `normals` [n, 3]."""
    along = np.cross(normals, rng.normal(size=normals.shape))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    frames = np.stack([along, np.cross(normals, along), normals], axis=2)
    stretch = rng.uniform(0.8, 1.4, len(sizes))
    scales = sizes[:, None] * np.stack([stretch, 1 / stretch, np.full(len(sizes), THICKNESS)], 1)
    opacities = rng.uniform(*_OPACITIES, len(sizes))
    return without_sh(means, quats_from_matrices(frames), scales, opacities, colors)


def _area(half: Array) -> float:
    x, y, z = half
    return float(8 * (x * y + y * z + z * x))


def _box(half: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random points [n, 3] on a box and their normals [n, 3]."""
    faces = np.array([half[1] * half[2], half[0] * half[2], half[0] * half[1]])
    axis = rng.choice(3, count, p=faces / faces.sum())
    normals = np.zeros((count, 3))
    normals[np.arange(count), axis] = rng.choice([-1.0, 1.0], count)
    return np.where(normals != 0, normals, rng.uniform(-1, 1, (count, 3))) * half, normals


def _ellipsoid(half: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Like `_box` for an ellipsoid. Points are denser at its narrow ends."""
    unit = rng.normal(size=(count, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    normals = unit / half
    return unit * half, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _tube(half: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Like `_box` for a tube that is open at both ends."""
    turn, along = rng.uniform(0, 2 * np.pi, count), rng.uniform(-1, 1, count)
    ring = np.stack([np.cos(turn), np.zeros(count), np.sin(turn)], axis=1)
    places = ring * half[0]
    places[:, 1] = along * half[1]
    return places, ring


_SURFACES = _box, _ellipsoid, _tube


def _pattern(rng: np.random.Generator) -> Pattern:
    """A random pattern of two colours, or of one colour per cube of a grid."""
    size = np.exp(rng.uniform(*np.log(_PATTERN_SIZES)))
    first, second = rng.uniform(0, 1, 3), rng.uniform(0, 1, 3)
    match rng.integers(4):
        case 0:  # dark on light
            first, second = rng.uniform(0, 0.3, 3), rng.uniform(0.4, 1, 3)
        case 1:  # light on dark
            first, second = rng.uniform(0.5, 1, 3), rng.uniform(0, 0.4, 3)
    turn, offset = _rotation(rng), rng.uniform(0, 1, 3)
    share = rng.uniform(0.25, 0.6)
    kind = rng.integers(4)

    def pattern(places: Array) -> Array:
        x = places @ turn.T / size + offset
        cell = np.floor(x)
        if kind == 0:  # stripes
            inside = x[:, 0] - cell[:, 0] < share
        elif kind == 1:  # spots
            inside = np.linalg.norm(x - cell - 0.5, axis=1) < 0.35 + 0.3 * share
        elif kind == 2:  # checks
            inside = cell.sum(axis=1) % 2 < 1
        else:  # one colour per cube
            tone = np.sin(cell @ [12.9898, 78.233, 37.719])[:, None] * 43758.5453 % 1
            return np.asarray(first + (second - first) * tone)
        return np.where(inside[:, None], first, second)

    return pattern


def _on_edge(pattern: Pattern, places: Array, rng: np.random.Generator) -> Array:
    """Whether the colour changes near each position, [n]."""
    aside = places + rng.normal(0, 0.1 * _PATTERN_SIZES[0], places.shape)
    return np.asarray(np.abs(pattern(places) - pattern(aside)).max(axis=1) > 0.1)


def _rotation(rng: np.random.Generator) -> Array:
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn[:, 0] *= np.linalg.det(turn)
    return np.asarray(turn)
