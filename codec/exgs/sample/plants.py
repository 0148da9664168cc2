"""Potted plants. Leaves are ribbons along curves that are bent away from the walls."""

from __future__ import annotations

import numpy as np

from exgs.sample import prints, textures
from exgs.sample.builder import Builder, Stand
from exgs.sample.noise import Array
from exgs.sample.surfaces import Material, lathes, ribbons, tubes


def potted_plant(room: Builder, stand: Stand, size: float, blades: int) -> None:
    """A pot with `blades` long thin leaves that arch outwards."""
    rng = room.rng
    pot = [
        (0.001, 0.0),
        (0.14, 0.0),
        (0.17, 0.10),
        (0.20, 0.30),
        (0.215, 0.33),
        (0.215, 0.36),
        (0.19, 0.36),
        (0.18, 0.31),
    ]
    clay = Material(
        prints.majolica(np.stack([room.palette.glaze[1], room.palette.glaze[0]]), room.seed + 81),
        gloss=0.10,
        sharpness=10,
    )
    room.add(lathes(np.array(pot) * size, stand.origin), clay, facets=(24, 14), edges=(False, True))
    soil = Material(textures.plain(np.array([0.07, 0.045, 0.03]), 0.4, 0.02))
    rim = 0.32 * size
    room.add(
        lathes([(0.18 * size, rim), (0.1 * size, rim + 0.01), (0.001, rim + 0.015)], stand.origin),
        soil,
        facets=(10, 3),
    )
    room.solids.capsule(stand.at(0, 0.13 * size, 0), stand.at(0, 0.24 * size, 0), 0.155 * size)

    heading = np.arange(blades) * 2.39996 + rng.normal(0, 0.25, blades)
    rise = rng.beta(1.6, 1.4, blades)  # 1: straight up, 0: hanging over
    length = size * (0.75 + 0.55 * rng.random(blades)) * (0.8 + 0.35 * rise)
    out = np.stack([np.cos(heading), np.zeros(blades), np.sin(heading)], 1)
    root = stand.at(0, rim, 0) + out * (0.02 + 0.07 * rng.random((blades, 1))) * size
    up = np.array([0.0, 1.0, 0.0])
    lean = (0.12 + 0.75 * (1 - rise))[:, None]
    reach, tall = length[:, None], length[:, None]
    curve = np.stack(
        [
            root,
            root + 0.40 * tall * up + 0.10 * reach * lean * out,
            root + tall * (0.55 + 0.40 * rise[:, None]) * up + 0.48 * reach * lean * out,
            root + tall * (1.05 * rise[:, None] - 0.05) * up + 0.95 * reach * lean * out,
        ],
        1,
    )
    _keep_inside(room, curve)
    leaf = Material(
        prints.leaves(room.palette.leaf, room.seed + 82), gloss=0.035, sharpness=5, through=0.45
    )
    width = size * rng.uniform(0.026, 0.044, blades)
    room.add(ribbons(curve, width, widest=0.45), leaf, facets=(2, 9), importance=1.1)
    for line in curve[::2]:
        for k in range(3):
            room.solids.capsule(line[k], line[k + 1], 0.006)


def broad_plant(room: Builder, stand: Stand, size: float, count: int) -> None:
    """A rubber plant with `count` broad leaves on stalks."""
    pot = [
        (0.001, 0.0),
        (0.15, 0.0),
        (0.16, 0.05),
        (0.18, 0.28),
        (0.18, 0.30),
        (0.16, 0.30),
        (0.15, 0.26),
    ]
    clay = Material(textures.plain(room.palette.accent * 1.1, 0.25, 0.05), gloss=0.02)
    room.add(lathes(np.array(pot) * size, stand.origin), clay, facets=(24, 12), edges=(False, True))
    soil = Material(textures.plain(np.array([0.07, 0.045, 0.03]), 0.4, 0.02))
    room.add(
        lathes([(0.155 * size, 0.27 * size), (0.001, 0.28 * size)], stand.origin),
        soil,
        facets=(10, 3),
    )
    room.solids.capsule(stand.at(0, 0.13 * size, 0), stand.at(0, 0.2 * size, 0), 0.13 * size)
    _broad_leaves(room, stand, size, count)


def _broad_leaves(room: Builder, stand: Stand, size: float, count: int) -> None:
    t = (np.arange(count) + 0.5) / count
    heading = np.arange(count) * 2.39996
    out = np.stack([np.cos(heading), 0 * t, np.sin(heading)], 1)
    stem = (
        stand.origin
        + np.stack([0.03 * np.sin(5 * t), (0.3 + 1.15 * t), 0.03 * np.cos(4 * t)], 1) * size
    )
    reach = size * (0.50 - 0.26 * t + 0.05 * room.rng.random(count))[:, None]
    up = np.array([0.0, 1.0, 0.0])
    curve = np.stack(
        [
            stem + 0.15 * reach * out + 0.05 * size * up,
            stem + 0.45 * reach * out + (0.12 + 0.15 * t[:, None]) * size * up,
            stem + 0.80 * reach * out + (0.12 + 0.22 * t[:, None]) * size * up,
            stem + 1.10 * reach * out + (0.02 + 0.30 * t[:, None]) * size * up,
        ],
        1,
    )
    _keep_inside(room, curve)
    leaf = Material(
        prints.leaves(room.palette.leaf * 0.8, room.seed + 84),
        gloss=0.07,
        sharpness=6,
        through=0.35,
    )
    room.add(
        ribbons(curve, 0.15 * size * (1.1 - 0.5 * t), widest=0.45, fold=0.2),
        leaf,
        facets=(6, 10),
        importance=1.2,
    )
    bark = Material(textures.plain(np.array([0.20, 0.14, 0.08]), 0.3, 0.03))
    stalks = np.stack(
        [
            stem,
            stem + 0.05 * reach * out + 0.02 * size * up,
            stem + 0.1 * reach * out + 0.04 * size * up,
            curve[:, 0],
        ],
        1,
    )
    room.add(tubes(stalks, (0.008 * size, 0.005 * size)), bark, facets=(3, 3), edges=(False, False))
    trunk = np.stack([stand.at(0, 0.2 * size, 0), stem[count // 3], stem[2 * count // 3], stem[-1]])
    room.add(tubes(trunk, (0.022 * size, 0.010 * size)), bark, facets=(6, 20), edges=(False, False))
    for line in curve:
        room.solids.capsule(line[0], line[2], 0.02 * size)
        room.solids.capsule(line[1] * 0.5 + line[2] * 0.5, line[2], 0.04 * size)


def _keep_inside(room: Builder, curve: Array) -> None:
    """Move points of `curve` that lie beyond a wall back into the room, in place."""
    for axis, limit in ((0, room.half_width - 0.06), (2, room.half_depth - 0.06)):
        over = np.abs(curve[..., axis]) - limit
        curve[..., axis] -= np.sign(curve[..., axis]) * np.maximum(over, 0) * 0.92
