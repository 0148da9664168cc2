"""Small things: vases, a teapot and cups, fruit in a bowl, pictures, books lying about."""

from __future__ import annotations

import numpy as np

from exgs.sample import prints, textures
from exgs.sample.builder import Builder, Stand
from exgs.sample.furniture import ALL_SIDES
from exgs.sample.surfaces import (
    Material,
    Paint,
    bezier,
    boxes,
    lathes,
    pillows,
    quads,
    ribbons,
    tubes,
)


def vase(room: Builder, stand: Stand, size: float, paint: Paint, stems: int = 0) -> None:
    """A turned vase with `stems` dry branches."""
    body = np.array(
        [
            (0.001, 0),
            (0.30, 0),
            (0.34, 0.04),
            (0.50, 0.30),
            (0.48, 0.50),
            (0.30, 0.72),
            (0.16, 0.86),
            (0.17, 0.94),
            (0.22, 1.0),
            (0.19, 1.0),
            (0.12, 0.9),
        ]
    )
    glaze = Material(paint, gloss=0.14, sharpness=12)
    room.add(
        lathes(body * size, stand.origin),
        glaze,
        facets=(26, 22),
        edges=(False, False),
        importance=1.2,
    )
    room.solids.ellipsoid(stand.at(0, 0.42 * size, 0), np.array([0.44, 0.5, 0.44]) * size)
    if stems:
        _dry_branches(room, stand, size, stems)


def _dry_branches(room: Builder, stand: Stand, size: float, stems: int) -> None:
    rng = room.rng
    heading = np.arange(stems) * 2.39996
    out = np.stack([np.cos(heading), 0 * heading, np.sin(heading)], 1) * (
        0.25 + 0.35 * rng.random((stems, 1))
    )
    up = np.array([0.0, 1.0, 0.0])
    root = stand.at(0, 0.85 * size, 0) + 0.04 * size * out
    tall = size * (0.9 + 0.8 * rng.random((stems, 1)))
    curve = np.stack(
        [
            root,
            root + 0.4 * tall * up,
            root + tall * (0.75 * up + 0.35 * out),
            root + tall * (up + 0.75 * out),
        ],
        1,
    )
    twig = Material(textures.plain(np.array([0.34, 0.24, 0.13]), 0.2, 0.02))
    room.add(tubes(curve, (0.004, 0.0015)), twig, facets=(3, 14), edges=(False, False))
    # Seed heads and small flowers along the upper half of each stem.
    per = 16
    t = rng.uniform(0.45, 1.0, (stems, per))
    points, _ = bezier(np.repeat(curve, per, 0), t.ravel())
    points = points + rng.normal(0, 0.014, points.shape)
    tip = points + rng.normal(0, 1, points.shape) * 0.02 + [0, 0.014, 0]
    petals = np.stack(
        [
            points,
            points * 0.7 + tip * 0.3 + [0, 0.004, 0],
            points * 0.3 + tip * 0.7 + [0, 0.004, 0],
            tip,
        ],
        1,
    )
    hue = np.array([0.86, 0.50, 0.24]) if room.seed % 2 == 0 else np.array([0.80, 0.74, 0.62])
    flower = Material(prints.leaves(hue * 0.75, room.seed + 88), through=0.3)
    room.add(
        ribbons(petals, rng.uniform(0.012, 0.022, stems * per), widest=0.55),
        flower,
        facets=(1, 2),
        importance=1.2,
    )


def teapot(room: Builder, stand: Stand, size: float) -> None:
    """A teapot: turned body and lid, a spout and a handle."""
    glaze = Material(
        textures.plain(room.palette.glaze[2], 0.16, 0.04, room.seed), gloss=0.20, sharpness=14
    )
    body = np.array(
        [
            (0.001, 0),
            (0.36, 0),
            (0.40, 0.03),
            (0.62, 0.28),
            (0.62, 0.46),
            (0.48, 0.66),
            (0.34, 0.72),
            (0.33, 0.74),
            (0.30, 0.78),
            (0.16, 0.85),
            (0.05, 0.88),
            (0.05, 0.92),
            (0.09, 0.97),
            (0.06, 1.02),
            (0.001, 1.03),
        ]
    )
    room.add(
        lathes(body * size, stand.origin),
        glaze,
        facets=(28, 26),
        edges=(False, False),
        importance=1.2,
    )
    s = size
    spout = stand.at(
        np.array([0.55, 0.85, 0.78, 1.08]) * s, np.array([0.28, 0.32, 0.62, 0.76]) * s, 0
    )
    room.add(
        tubes(spout[None], [[0.13 * s, 0.05 * s]]), glaze, facets=(10, 10), edges=(False, True)
    )
    handle = stand.at(
        np.array([-0.48, -1.15, -1.05, -0.54]) * s, np.array([0.62, 0.80, 0.16, 0.26]) * s, 0
    )
    room.add(
        tubes(handle[None], [[0.05 * s, 0.045 * s]]), glaze, facets=(8, 18), edges=(False, False)
    )
    room.solids.ellipsoid(stand.at(0, 0.4 * s, 0), np.array([0.55, 0.42, 0.55]) * s)
    room.solids.capsule(spout[0], spout[3], 0.05 * s)


def cups(room: Builder, stands: list[Stand], size: float) -> None:
    """Cups on saucers."""
    cup = np.array(
        [
            (0.30, 0.06),
            (0.32, 0.08),
            (0.48, 0.35),
            (0.52, 0.72),
            (0.49, 0.72),
            (0.44, 0.36),
            (0.28, 0.12),
            (0.001, 0.11),
        ]
    )
    saucer = np.array(
        [(0.30, 0.0), (0.55, 0.02), (0.85, 0.11), (0.84, 0.13), (0.5, 0.06), (0.001, 0.05)]
    )
    paint = textures.plain(room.palette.glaze[1], 0.08, 0.03)
    glaze = Material(paint, gloss=0.16, sharpness=12)
    origins = np.stack([s.origin for s in stands])
    room.add(
        lathes(cup * size, origins), glaze, facets=(16, 8), edges=(False, False), importance=1.2
    )
    room.add(lathes(saucer * size, origins), glaze, facets=(20, 5), edges=(False, False))
    tea = Material(textures.plain(np.array([0.16, 0.06, 0.02]), 0.05), gloss=0.06, sharpness=16)
    room.add(
        lathes(np.array([(0.47, 0.58), (0.2, 0.581), (0.001, 0.582)]) * size, origins),
        tea,
        facets=(8, 2),
    )
    for s in stands:
        room.solids.capsule(s.at(0, 0.3 * size, 0), s.at(0, 0.45 * size, 0), 0.40 * size)
        room.solids.capsule(s.origin, s.at(0, 0.03 * size, 0), 0.06 * size)


def fruit_bowl(room: Builder, stand: Stand, size: float) -> None:
    """Fruit heaped in a bowl."""
    bowl = np.array(
        [
            (0.30, 0.0),
            (0.32, 0.05),
            (0.55, 0.14),
            (0.85, 0.36),
            (1.0, 0.60),
            (0.97, 0.61),
            (0.80, 0.38),
            (0.4, 0.15),
            (0.001, 0.12),
        ]
    )
    glaze = Material(
        prints.majolica(np.stack([room.palette.glaze[1], room.palette.glaze[0]]), room.seed + 91),
        gloss=0.16,
        sharpness=12,
    )
    room.add(
        lathes(bowl * size, stand.origin),
        glaze,
        facets=(34, 16),
        edges=(False, False),
        importance=1.2,
    )
    r = 0.30 * size
    ring = np.arange(6) * np.pi / 3 + 0.3
    x = np.concatenate([0.52 * np.cos(ring), 0.26 * np.cos(ring[::2] + 0.4), [0.0]])
    z = np.concatenate([0.52 * np.sin(ring), 0.26 * np.sin(ring[::2] + 0.4), [0.0]])
    y = np.concatenate([np.full(6, 0.52), np.full(3, 0.86), [0.40]])
    centers = stand.at(x * size, y * size, z * size)
    halves = r * np.array([[1.0, 0.95, 1.0]]) * room.rng.uniform(0.9, 1.04, (10, 1))
    skin = Material(prints.fruit(room.seed + 92), gloss=0.07, sharpness=12)
    made = pillows(
        centers, halves, room.rng.uniform(0, 6, 10), room.rng.normal(0, 0.5, 10), square=1.0
    )
    room.add(made, skin, facets=(14, 9), edges=(False, False), importance=1.3)
    for c in centers:
        room.solids.ellipsoid(c, np.full(3, 0.88 * r))
    room.solids.capsule(stand.at(0, 0.22 * size, 0), stand.at(0, 0.3 * size, 0), 0.5 * size)


def lying_books(room: Builder, stand: Stand, count: int) -> None:
    """A pile of books, each slightly rotated against the next."""
    rng, y = room.rng, 0.0
    for k in range(count):
        half = np.array(
            [rng.uniform(0.10, 0.13), rng.uniform(0.010, 0.019), rng.uniform(0.075, 0.09)]
        ) * (1 - 0.08 * k)
        yaw = stand.yaw + rng.normal(0, 0.22)
        center = stand.at(0, y + half[1], 0)
        color = room.palette.books[int(rng.integers(10))]
        print_ = Material(textures.cloth(color, room.seed + k), gloss=0.03)
        room.add(boxes(center, half, "top bottom front", yaw), print_)
        # Pages end slightly inside the covers.
        room.add(
            boxes(center, half * [0.985, 0.8, 0.985], "left right back", yaw),
            Material(prints.pages(k)),
        )
        room.solids.box(center, half * 0.97, yaw)
        y += 2 * half[1]


def picture(room: Builder, stand: Stand, width: float, height: float, paint: Paint) -> None:
    """A framed picture whose centre is at `stand`. It faces the -z axis of `stand`."""
    frame = Material(textures.wood(room.palette.dark_wood, room.seed + 95), gloss=0.10, sharpness=8)
    t = 0.020
    w, h = width / 2, height / 2
    bars = stand.at(np.array([0, 0, -w - t, w + t]), np.array([-h - t, h + t, 0, 0]), 0)
    halves = [(w + 2 * t, t, 0.016), (w + 2 * t, t, 0.016), (t, h, 0.016), (t, h, 0.016)]
    room.add(boxes(bars, halves, ALL_SIDES, stand.yaw), frame, importance=1.0)
    sheet = quads(stand.at(w, -h, -0.004), stand.at(-w, -h, 0) - stand.at(w, -h, 0), (0, height, 0))
    room.add(
        sheet,
        Material(paint, gloss=0.03, sharpness=10),
        facets=(12, 12),
        importance=3.0,
        backed=True,
    )
    room.solids.box(stand.origin, (w + t, h + t, 0.012), stand.yaw)
    room.cover(stand.at(0, 0, 0.02), (w + 1.5 * t, h + 1.5 * t, 0.01), stand.yaw)
