"""Small things: plants, lamps, vases, a teapot, fruit in a bowl, pictures, fur, books lying about."""

from __future__ import annotations

import numpy as np

from exgs.scene.sample import prints, textures
from exgs.scene.sample.builder import Builder, Lamp, Stand
from exgs.scene.sample.furniture import ALL_SIDES
from exgs.scene.sample.noise import Array, fractal_noise
from exgs.scene.sample.surfaces import (
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

_WARM = np.array([1.0, 0.72, 0.42])


def potted_plant(room: Builder, stand: Stand, size: float, blades: int) -> None:
    """Many long thin leaves that arch out of a pot."""
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
    room.add(lathes(np.array(pot) * size, stand.origin), clay, cells=(24, 14), edges=(False, True))
    soil = Material(textures.plain(np.array([0.07, 0.045, 0.03]), 0.4, 0.02))
    rim = 0.32 * size
    room.add(
        lathes([(0.18 * size, rim), (0.1 * size, rim + 0.01), (0.001, rim + 0.015)], stand.origin),
        soil,
        cells=(10, 3),
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
    room.add(ribbons(curve, width, widest=0.45), leaf, cells=(2, 9), worth=1.1)
    for line in curve[::2]:
        for k in range(3):
            room.solids.capsule(line[k], line[k + 1], 0.006)


def broad_plant(room: Builder, stand: Stand, size: float, count: int) -> None:
    """Broad leaves on stalks: a rubber plant."""
    rng = room.rng
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
    room.add(lathes(np.array(pot) * size, stand.origin), clay, cells=(24, 12), edges=(False, True))
    soil = Material(textures.plain(np.array([0.07, 0.045, 0.03]), 0.4, 0.02))
    room.add(
        lathes([(0.155 * size, 0.27 * size), (0.001, 0.28 * size)], stand.origin),
        soil,
        cells=(10, 3),
    )
    room.solids.capsule(stand.at(0, 0.13 * size, 0), stand.at(0, 0.2 * size, 0), 0.13 * size)
    t = (np.arange(count) + 0.5) / count
    heading = np.arange(count) * 2.39996
    out = np.stack([np.cos(heading), 0 * t, np.sin(heading)], 1)
    stem = (
        stand.origin
        + np.stack([0.03 * np.sin(5 * t), (0.3 + 1.15 * t), 0.03 * np.cos(4 * t)], 1) * size
    )
    reach = size * (0.50 - 0.26 * t + 0.05 * rng.random(count))[:, None]
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
        cells=(6, 10),
        worth=1.2,
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
    room.add(tubes(stalks, (0.008 * size, 0.005 * size)), bark, cells=(3, 3), edges=(False, False))
    trunk = np.stack([stand.at(0, 0.2 * size, 0), stem[count // 3], stem[2 * count // 3], stem[-1]])
    room.add(tubes(trunk, (0.022 * size, 0.010 * size)), bark, cells=(6, 20), edges=(False, False))
    for line in curve:
        room.solids.capsule(line[0], line[2], 0.02 * size)
        room.solids.capsule(line[1] * 0.5 + line[2] * 0.5, line[2], 0.04 * size)


def _keep_inside(room: Builder, curve: Array) -> None:
    """Bend back what would grow through a wall."""
    for axis, limit in ((0, room.half_width - 0.06), (2, room.half_depth - 0.06)):
        over = np.abs(curve[..., axis]) - limit
        curve[..., axis] -= np.sign(curve[..., axis]) * np.maximum(over, 0) * 0.92


def floor_lamp(room: Builder, stand: Stand) -> None:
    """A brass stand with a pleated shade that glows."""
    brass = Material(textures.plain(np.array([0.60, 0.42, 0.18])), gloss=0.45, sharpness=9)
    foot = [(0.001, 0.025), (0.06, 0.024), (0.13, 0.016), (0.14, 0.0)][::-1]
    room.add(lathes(foot, stand.origin), brass, cells=(20, 5))
    pole = [(0.014, 0.02), (0.012, 0.7), (0.012, 1.45)]
    room.add(lathes(pole, stand.origin), brass, cells=(6, 40), edges=(False, False))
    lamp_shade(room, stand.at(0, 1.52, 0), 0.20, 0.27, 0.30)
    room.solids.capsule(stand.at(0, 0.05, 0), stand.at(0, 1.4, 0), 0.012)
    room.solids.capsule(stand.origin, stand.at(0, 0.015, 0), 0.10)


def table_lamp(room: Builder, stand: Stand) -> None:
    """A glazed body with a small shade."""
    body = [
        (0.001, 0),
        (0.07, 0),
        (0.075, 0.02),
        (0.04, 0.05),
        (0.085, 0.13),
        (0.09, 0.18),
        (0.05, 0.25),
        (0.018, 0.29),
        (0.014, 0.34),
    ]
    glaze = Material(textures.plain(room.palette.glaze[0], 0.2, 0.05), gloss=0.22, sharpness=10)
    room.add(lathes(body, stand.origin), glaze, cells=(20, 16), edges=(False, False))
    room.solids.capsule(stand.at(0, 0.1, 0), stand.at(0, 0.17, 0), 0.06)
    lamp_shade(room, stand.at(0, 0.40, 0), 0.10, 0.16, 0.19)


def lamp_shade(room: Builder, center: Array, top: float, bottom: float, tall: float) -> None:
    """A cone of pleated linen around a bulb."""

    def pleats(spot):  # type: ignore[no-untyped-def]
        fold = 0.5 + 0.5 * np.cos(60 * 2 * np.pi * spot.u / spot.size[:, 0])
        y = spot.v / spot.size[:, 1]
        glow = 0.72 + 0.42 * np.exp(-(((y - 0.42) / 0.30) ** 2))
        edge = 1 - 0.45 * ((y < 0.05) | (y > 0.95))
        return np.array([1.0, 0.84, 0.60]) * (glow * edge * (0.86 + 0.2 * fold))[:, None]

    linen = Material(pleats, glow=1.0)
    shape = [(bottom, -tall / 2), (top, tall / 2)]
    room.add(lathes(shape, center), linen, cells=(40, 8), edges=(False, True))
    # The inside is seen from below: the same cone, turned over.
    inner = [(top * 0.98, tall / 2 - 0.005), (bottom * 0.98, -tall / 2 + 0.005)]
    room.add(lathes(inner, center), linen, cells=(16, 4), worth=0.5)
    room.lamps.append(Lamp(center, 0.55 * _WARM * (bottom / 0.27), bottom))


def pendant(room: Builder, center: Array, ceiling: float) -> None:
    """An enamel bell on a cord above a table."""
    bell = [
        (0.24, 0.0),
        (0.235, 0.03),
        (0.19, 0.10),
        (0.10, 0.15),
        (0.05, 0.17),
        (0.03, 0.22),
        (0.001, 0.23),
    ]
    enamel = Material(textures.plain(room.palette.cloth * 0.8, 0.05), gloss=0.16, sharpness=9)
    room.add(lathes(bell, center), enamel, cells=(36, 14))
    inner = [(0.04, 0.165), (0.09, 0.145), (0.18, 0.095), (0.228, 0.028), (0.234, 0.0)]
    white = Material(textures.plain(np.array([1.0, 0.86, 0.66]), 0.02), glow=1.0)
    room.add(lathes(inner, center), white, cells=(20, 6), worth=0.6)
    bulb = [(0.001, 0.02), (0.035, 0.035), (0.042, 0.065), (0.02, 0.11), (0.018, 0.15)]
    room.add(
        lathes(bulb, center),
        Material(textures.plain(np.array([1.6, 1.4, 1.05]), 0.0), glow=1.0),
        cells=(8, 6),
    )
    cord = [(0.004, 0.22), (0.004, ceiling - center[1])]
    black = Material(textures.plain(np.array([0.02, 0.02, 0.02]), 0.0))
    room.add(lathes(cord, center), black, cells=(3, 30), edges=(False, False))
    room.lamps.append(Lamp(center + [0, -0.02, 0], 0.5 * _WARM, 0.22))
    room.solids.ellipsoid(center + [0, 0.10, 0], [0.18, 0.07, 0.18])


def vase(room: Builder, stand: Stand, size: float, paint: Paint, stems: int = 0) -> None:
    """A turned vase, with dry branches in it if `stems`."""
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
        lathes(body * size, stand.origin), glaze, cells=(26, 22), edges=(False, False), worth=1.2
    )
    room.solids.ellipsoid(stand.at(0, 0.42 * size, 0), np.array([0.44, 0.5, 0.44]) * size)
    if not stems:
        return
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
    room.add(tubes(curve, (0.004, 0.0015)), twig, cells=(3, 14), edges=(False, False))
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
        cells=(1, 2),
        worth=1.2,
    )


def teapot(room: Builder, stand: Stand, size: float) -> None:
    """A body and lid from the lathe, a spout and a handle."""
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
        lathes(body * size, stand.origin), glaze, cells=(28, 26), edges=(False, False), worth=1.2
    )
    s = size
    spout = stand.at(
        np.array([0.55, 0.85, 0.78, 1.08]) * s, np.array([0.28, 0.32, 0.62, 0.76]) * s, 0
    )
    room.add(tubes(spout[None], [[0.13 * s, 0.05 * s]]), glaze, cells=(10, 10), edges=(False, True))
    handle = stand.at(
        np.array([-0.48, -1.15, -1.05, -0.54]) * s, np.array([0.62, 0.80, 0.16, 0.26]) * s, 0
    )
    room.add(
        tubes(handle[None], [[0.05 * s, 0.045 * s]]), glaze, cells=(8, 18), edges=(False, False)
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
    room.add(lathes(cup * size, origins), glaze, cells=(16, 8), edges=(False, False), worth=1.2)
    room.add(lathes(saucer * size, origins), glaze, cells=(20, 5), edges=(False, False))
    tea = Material(textures.plain(np.array([0.16, 0.06, 0.02]), 0.05), gloss=0.06, sharpness=16)
    room.add(
        lathes(np.array([(0.47, 0.58), (0.2, 0.581), (0.001, 0.582)]) * size, origins),
        tea,
        cells=(8, 2),
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
        lathes(bowl * size, stand.origin), glaze, cells=(34, 16), edges=(False, False), worth=1.2
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
    room.add(made, skin, cells=(14, 9), edges=(False, False), worth=1.3)
    for c in centers:
        room.solids.ellipsoid(c, np.full(3, 0.88 * r))
    room.solids.capsule(stand.at(0, 0.22 * size, 0), stand.at(0, 0.3 * size, 0), 0.5 * size)


def lying_books(room: Builder, stand: Stand, count: int) -> None:
    """A pile of books, none quite square to the next."""
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
        # Pages lie a little behind the covers.
        room.add(
            boxes(center, half * [0.985, 0.8, 0.985], "left right back", yaw),
            Material(prints.pages(k)),
        )
        room.solids.box(center, half * 0.97, yaw)
        y += 2 * half[1]


def picture(room: Builder, stand: Stand, width: float, height: float, paint: Paint) -> None:
    """A framed picture; the stand is its middle, and it faces the stand's -z."""
    frame = Material(textures.wood(room.palette.dark_wood, room.seed + 95), gloss=0.10, sharpness=8)
    t = 0.020
    w, h = width / 2, height / 2
    bars = stand.at(np.array([0, 0, -w - t, w + t]), np.array([-h - t, h + t, 0, 0]), 0)
    halves = [(w + 2 * t, t, 0.016), (w + 2 * t, t, 0.016), (t, h, 0.016), (t, h, 0.016)]
    room.add(boxes(bars, halves, ALL_SIDES, stand.yaw), frame, worth=1.0)
    sheet = quads(stand.at(w, -h, -0.004), stand.at(-w, -h, 0) - stand.at(w, -h, 0), (0, height, 0))
    room.add(
        sheet, Material(paint, gloss=0.03, sharpness=10), cells=(12, 12), worth=3.0, backed=True
    )
    room.solids.box(stand.origin, (w + t, h + t, 0.012), stand.yaw)
    room.cover(stand.at(0, 0, 0.02), (w + 1.5 * t, h + 1.5 * t, 0.01), stand.yaw)


def sheepskin(room: Builder, stand: Stand, half_x: float, half_z: float, strands: int) -> None:
    """A fluffy skin on the floor: short strands that all lean a little differently."""
    rng = room.rng
    angle, radius = rng.uniform(0, 2 * np.pi, strands), np.sqrt(rng.random(strands))
    lobes = 1 + 0.14 * np.cos(3 * angle + 0.6) + 0.08 * np.cos(5 * angle)
    x, z = half_x * radius * lobes * np.cos(angle), half_z * radius * lobes * np.sin(angle)
    root = stand.at(x, 0.006 + 0.02 * (1 - radius**4), z)
    swirl = 8 * fractal_noise(x / 0.22, z / 0.22, room.seed + 97) + rng.normal(0, 0.7, strands)
    lean = np.stack([np.cos(swirl), np.zeros(strands), np.sin(swirl)], 1)
    tall = rng.uniform(0.028, 0.058, strands)[:, None] * (1.1 - 0.5 * radius[:, None] ** 4)
    up = np.array([0.0, 1.0, 0.0])
    curve = np.stack(
        [
            root,
            root + tall * (0.40 * up + 0.1 * lean),
            root + tall * (0.62 * up + 0.5 * lean),
            root + tall * (0.55 * up + 1.0 * lean),
        ],
        1,
    )
    wool = Material(prints.fur(np.array([0.80, 0.74, 0.64]), room.seed), through=0.3)
    room.add(
        ribbons(curve, rng.uniform(0.010, 0.018, strands), widest=0.6, fold=0.0),
        wool,
        cells=(1, 2),
        worth=0.35,
        edges=(False, False),
    )
    base = [(1.0, 0.004), (0.6, 0.016), (0.001, 0.02)]
    disc, size = lathes(base, (0.0, 0.0, 0.0))

    def ground(ids, u, v):  # type: ignore[no-untyped-def]
        p = disc(ids, u, v)
        a = 2 * np.pi * u
        r = 0.97 * (1 + 0.14 * np.cos(3 * a - 0.6) + 0.08 * np.cos(5 * a))
        return stand.at(p[:, 0] * half_x * r, p[:, 1], p[:, 2] * half_z * r)

    under = Material(textures.plain(np.array([0.42, 0.37, 0.30]), 0.3, 0.03))
    room.add(
        (ground, size * (half_x + half_z) / 2),
        under,
        cells=(30, 10),
        edges=(False, False),
        worth=0.4,
    )
