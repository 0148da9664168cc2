"""Furniture: bookcase, tables, chairs, armchair, sideboard.

Each piece stands on the floor at a `Stand` and faces the -z axis of that stand.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from exgs.sample import prints, textures
from exgs.sample.builder import Builder, Stand
from exgs.sample.noise import Array
from exgs.sample.surfaces import Ids, Material, boxes, lathes, pillows, tubes

ALL_SIDES = "left right top bottom front back"


def bookcase(room: Builder, stand: Stand, width: float, height: float) -> None:
    """Shelves full of books, with a few gaps."""
    rng, seed = room.rng, room.seed
    depth, board = 0.30, 0.022
    shelves = round(height / 0.36)
    levels = np.linspace(0.08, height - board / 2, shelves + 1)
    centers = [(x, height / 2, 0.0) for x in (-width / 2, width / 2)]
    halves = [(board / 2, height / 2, depth / 2)] * 2
    centers += [(0.0, y, 0.0) for y in levels]
    halves += [(width / 2 - board / 2, board / 2, depth / 2)] * (shelves + 1)
    made = boxes(stand.at(*np.array(centers).T), halves, "left right top bottom front", stand.yaw)
    wood = Material(textures.wood(room.palette.dark_wood, seed + 31), gloss=0.05, sharpness=7)
    room.add(made, wood, importance=0.7)
    panel = boxes(
        stand.at(0, height / 2, depth / 2), (width / 2, height / 2, 0.005), "front", stand.yaw
    )
    room.add(
        panel,
        Material(textures.wood(room.palette.dark_wood * 0.6, seed + 32)),
        importance=0.15,
        backed=True,
    )
    room.solids.box(
        stand.at(0, height / 2, 0.02), (width / 2, height / 2, depth / 2 - 0.04), stand.yaw
    )

    rows = []
    for low, high in pairwise(levels):
        x, end = -width / 2 + board, width / 2 - board
        gap_at = rng.uniform(-width / 2, width / 2) if rng.random() < 0.6 else 9.0
        common = rng.uniform(0.62, 0.84)
        while x < end - 0.02:
            thick = min(rng.gamma(6, 0.0056) + 0.008, end - x)
            if gap_at < x < gap_at + 0.16:
                x += thick
                continue
            tall = min(common + rng.normal(0, 0.09), 0.95) * (high - low - board)
            deep = rng.uniform(0.62, 0.88) * depth
            rows.append((x + thick / 2, low + board / 2, thick, tall, deep))
            x += thick + (0.0015 if rng.random() < 0.85 else 0.012)
    book = np.array(rows)
    z = -depth / 2 + 0.035 + book[:, 4] / 2
    center = stand.at(book[:, 0], book[:, 1] + book[:, 3] / 2, z)
    half = book[:, [2, 3, 4]] / 2
    back = Material(prints.spines(room.palette.books, seed), gloss=0.04, sharpness=6)
    spine = boxes(center, half, "front", stand.yaw)
    # u of this side points upwards, but spines are painted with v upwards.
    room.add((lambda ids, u, v: spine[0](ids, v, 1 - u), spine[1][:, ::-1]), back, importance=1.5)
    side = Material(prints.covers(room.palette.books, seed))
    for name in ("left", "right"):
        room.add(boxes(center, half, name, stand.yaw), side, facets=(2, 3), importance=0.3)
    room.add(boxes(center, half, "top", stand.yaw), Material(prints.pages(seed)), importance=0.3)


def turned_legs(room: Builder, feet: Array, height: float, thick: float, wood: Material) -> None:
    """Turned legs that stand at `feet` [m, 3]."""
    t = thick
    profile = [
        (0.35 * t, 0),
        (0.45 * t, 0.06),
        (0.6 * t, 0.3),
        (0.95 * t, 0.55),
        (0.55 * t, 0.62),
        (1.0 * t, 0.66),
        (0.6 * t, 0.70),
        (0.95 * t, 0.78),
        (1.0 * t, 1.0),
    ]
    shape = [(r, y * height) for r, y in profile]
    room.add(lathes(shape, feet), wood, facets=(6, 12), edges=(False, False), importance=0.8)
    for foot in np.atleast_2d(feet):
        room.solids.capsule(foot, foot + np.array([0, height, 0]), 0.6 * t)


def round_table(room: Builder, stand: Stand, radius: float, height: float) -> None:
    """A round table on four turned legs."""
    wood = Material(textures.wood(room.palette.wood, room.seed + 41), gloss=0.11, sharpness=14)
    rim = 0.03
    inside = 1e-3

    def top(_ids: Ids, u: Array, v: Array) -> Array:
        # A smoothed variant of Shirley and Chiu's concentric map takes the square to the disc. It
        # keeps facets nearly square and the grain of the wood straight.
        a, b = 2 * u - 1, 2 * v - 1
        x, z = a * np.sqrt(1 - b * b / 2), b * np.sqrt(1 - a * a / 2)
        return stand.at(x * (radius - inside), height, -z * (radius - inside))

    room.add((top, np.array([[2 * radius, 2 * radius]])), wood, facets=(10, 90), importance=2.0)
    edge = [
        (radius * 0.985, -rim),
        (radius, -rim * 0.8),
        (radius, -rim * 0.2),
        (radius * 0.99, 0.0),
    ]
    room.add(lathes(edge, stand.at(0, height, 0)), wood, facets=(40, 2))
    apron = [(radius * 0.78, -0.11), (radius * 0.78, -rim)]
    room.add(lathes(apron, stand.at(0, height, 0)), wood, facets=(30, 2), importance=0.6)
    k = 0.55 * radius
    feet = stand.at(np.array([-k, k, -k, k]), 0, np.array([-k, -k, k, k]))
    turned_legs(room, feet, height - rim, 0.036, wood)
    flat = (radius * 0.96, rim / 2, radius * 0.7)
    for turn in (0, np.pi / 3, 2 * np.pi / 3):
        room.solids.box(
            stand.at(0, height - rim / 2, 0), (flat[0] * 0.98, rim / 2, radius * 0.52), turn
        )


def rectangular_table(
    room: Builder, stand: Stand, half: tuple[float, float], height: float
) -> None:
    """A rectangular table on four square legs."""
    wood = Material(textures.wood(room.palette.wood, room.seed + 43), gloss=0.10, sharpness=12)
    hx, hz = half
    room.add(
        boxes(stand.at(0, height - 0.016, 0), (hx, 0.016, hz), ALL_SIDES, stand.yaw),
        wood,
        importance=1.5,
        backed=True,
    )
    legs = stand.at(
        np.array([-1, 1, -1, 1]) * (hx - 0.06),
        height / 2 - 0.016,
        np.array([-1, -1, 1, 1]) * (hz - 0.06),
    )
    sides = "left right front back"
    room.add(
        boxes(legs, (0.028, height / 2 - 0.016, 0.028), sides, stand.yaw), wood, importance=0.8
    )
    rails = stand.at(np.array([0, 0]), height - 0.075, np.array([-1, 1]) * (hz - 0.06))
    room.add(boxes(rails, (hx - 0.08, 0.04, 0.01), sides, stand.yaw), wood, importance=0.5)
    room.solids.box(stand.at(0, height - 0.016, 0), (hx - 0.01, 0.012, hz - 0.01), stand.yaw)
    for leg in legs:
        room.solids.box(leg, (0.024, height / 2 - 0.016, 0.024), stand.yaw)


def chair(room: Builder, stand: Stand) -> None:
    """A wooden chair: turned legs, padded seat, a back of slats between two bent posts."""
    wood = Material(textures.wood(room.palette.wood * 0.8, room.seed + 51), gloss=0.07, sharpness=9)
    seat, w, d = 0.45, 0.21, 0.20
    feet = stand.at(np.array([-w, w, -w, w]) * 0.92, 0, np.array([-d, -d, d, d]) * 0.92)
    turned_legs(room, feet, seat - 0.03, 0.022, wood)
    frame = boxes(
        stand.at(0, seat - 0.02, 0), (w, 0.018, d), "left right front back bottom", stand.yaw
    )
    room.add(frame, wood, importance=0.7)
    pad = pillows(
        stand.at(0, seat + 0.012, 0), (w - 0.005, 0.034, d - 0.005), stand.yaw, square=0.42
    )
    weave = textures.cloth(room.palette.cushions[1], room.seed + 52)
    room.add(pad, Material(weave), facets=(16, 8), edges=(False, False))
    posts = np.stack(
        [
            stand.at(np.array([-w, w]) * 0.9, y, z)
            for y, z in ((seat - 0.02, d * 0.92), (0.60, d), (0.80, d + 0.02), (0.98, d + 0.085))
        ],
        1,
    )
    room.add(tubes(posts, (0.018, 0.014)), wood, facets=(6, 10), edges=(False, True))
    for y, z, tall in ((0.92, d + 0.065, 0.045), (0.62, d + 0.005, 0.02)):
        rail = boxes(stand.at(0, y, z), (w * 0.88, tall, 0.009), ALL_SIDES, stand.yaw)
        room.add(rail, wood)
        room.solids.box(stand.at(0, y, z), (w * 0.85, tall - 0.005, 0.008), stand.yaw)
    x = np.linspace(-0.62, 0.62, 5) * w
    slats = np.stack(
        [
            stand.at(x, y, z)
            for y, z in ((0.63, d + 0.006), (0.72, d), (0.82, d + 0.02), (0.89, d + 0.055))
        ],
        1,
    )
    room.add(tubes(slats, (0.008, 0.008)), wood, facets=(5, 6), edges=(False, False))
    for line in np.concatenate([posts, slats]):
        room.solids.capsule(line[0], line[3], 0.010)
    room.solids.box(stand.at(0, seat - 0.01, 0), (w - 0.015, 0.03, d - 0.015), stand.yaw)


def armchair(room: Builder, stand: Stand, width: float = 0.80) -> None:
    """An upholstered armchair with cushions; a sofa if `width` (metres) is large."""
    palette, seed = room.palette, room.seed
    cloth = Material(textures.cloth(palette.cloth, seed + 61), gloss=0.015, sharpness=2)
    w, arm = width / 2, 0.095
    seats = max(1, round((width - 0.2) / 0.62))
    pieces = [
        ((0, 0.20, 0.02), (w - 0.02, 0.11, 0.36), 0.0),
        ((0, 0.56, 0.33), (w - 0.04, 0.34, 0.10), -0.16),
        ((-w + arm, 0.36, -0.02), (arm, 0.26, 0.39), 0.0),
        ((w - arm, 0.36, -0.02), (arm, 0.26, 0.39), 0.0),
    ]
    inner = (width - 4 * arm) / seats
    for k in range(seats):
        x = -w + 2 * arm + inner * (k + 0.5)
        pieces.append(((x, 0.37, -0.06), (inner / 2 - 0.004, 0.085, 0.33), 0.03))
    for center, half, pitch in pieces:
        made = pillows(stand.at(*center), half, stand.yaw, pitch, square=0.30)
        room.add(made, cloth, facets=(28, 16), edges=(False, False), importance=0.25)
        room.solids.box(stand.at(*center), np.array(half) * [0.94, 0.9, 0.9], stand.yaw)
    feet = stand.at(np.array([-1, 1, -1, 1]) * (w - 0.08), 0.05, np.array([-0.3, -0.3, 0.3, 0.3]))
    wood = Material(textures.wood(palette.dark_wood, seed + 62), gloss=0.05)
    room.add(boxes(feet, (0.025, 0.05, 0.025), "left right front back", stand.yaw), wood)
    for k in range(max(1, 2 * seats - 1)):
        x = 0.0 if seats == 1 else (-w + 0.32 + k * (width - 0.64) / (2 * seats - 2))
        stripe = (None, palette.cushions[2], palette.cushions[1])[(k + 2) % 3]
        print_ = textures.cloth(palette.cushions[k % 3], seed + 63 + k, stripe, 0.035)
        cushion = pillows(
            stand.at(x, 0.60, 0.16),
            (0.20, 0.19, 0.065),
            stand.yaw + room.rng.normal(0, 0.12),
            -0.30,
            0.55,
        )
        room.add(cushion, Material(print_), facets=(16, 10), edges=(False, False), importance=1.3)


def sideboard(room: Builder, stand: Stand, width: float) -> None:
    """A low cupboard with drawers, knobs and legs. Its top is 0.78 m above the floor."""
    palette, seed = room.palette, room.seed
    wood = Material(textures.wood(palette.wood, seed + 71), gloss=0.08, sharpness=9)
    depth, low, top = 0.40, 0.16, 0.78
    body = boxes(
        stand.at(0, (low + top) / 2 - 0.01, 0),
        (width / 2 - 0.015, (top - low) / 2 - 0.01, depth / 2 - 0.015),
        "left right front bottom",
        stand.yaw,
    )
    room.add(
        body, Material(textures.wood(palette.wood * 0.55, seed + 72)), importance=0.4, backed=True
    )
    room.add(
        boxes(stand.at(0, top - 0.012, 0), (width / 2, 0.012, depth / 2), ALL_SIDES, stand.yaw),
        wood,
        importance=1.3,
    )
    columns, rows = max(2, round(width / 0.5)), 3
    tall = (top - low - 0.05) / rows
    x, y = np.meshgrid(
        (np.arange(columns) + 0.5) / columns * (width - 0.05) - (width - 0.05) / 2,
        low + 0.01 + (np.arange(rows) + 0.5) * tall,
    )
    fronts = stand.at(x.ravel(), y.ravel(), -depth / 2 + 0.008)
    room.add(
        boxes(
            fronts,
            ((width - 0.05) / columns / 2 - 0.005, tall / 2 - 0.005, 0.012),
            "left right top bottom front",
            stand.yaw,
        ),
        wood,
    )
    for front in stand.at(x.ravel(), y.ravel(), -depth / 2 + 0.016):
        room.cover(
            front, ((width - 0.05) / columns / 2 - 0.006, tall / 2 - 0.006, 0.004), stand.yaw
        )
    knob = [(0.001, -0.02), (0.012, -0.018), (0.016, -0.006), (0.010, 0.004), (0.006, 0.02)]
    brass = Material(
        textures.plain(np.array([0.62, 0.42, 0.16]), seed=seed), gloss=0.5, sharpness=9
    )
    handles = stand.at(x.ravel(), y.ravel(), -depth / 2 - 0.012)
    room.add(lathes(knob, handles), brass, facets=(6, 4), edges=(False, False))
    k = width / 2 - 0.06
    legs = stand.at(
        np.array([-k, k, -k, k]), low / 2, np.array([-1, -1, 1, 1]) * (depth / 2 - 0.05)
    )
    room.add(
        boxes(legs, (0.022, low / 2, 0.022), "left right front back", stand.yaw),
        wood,
        importance=0.7,
    )
    room.solids.box(
        stand.at(0, (low + top) / 2, 0),
        (width / 2 - 0.025, (top - low) / 2 - 0.015, depth / 2 - 0.025),
        stand.yaw,
    )
