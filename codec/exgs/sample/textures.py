"""Procedural textures of building materials: wood, bricks, plaster, tiles, cloth, rugs.

Each function returns a `Paint`, which computes linear RGB for points given in metres. Edges are
blurred over one or two millimetres.
"""

from __future__ import annotations

import numpy as np

from exgs.sample.noise import Array, fractal_noise, hashed, mix, smoothstep, value_noise
from exgs.sample.surfaces import Paint, Spot


def plain(color: Array, mottle: float = 0.06, size: float = 0.25, seed: int = 0) -> Paint:
    """One colour with faint mottling, for paint, plaster and glaze."""

    def paint(spot: Spot) -> Array:
        cloud = fractal_noise(spot.u / size + 7 * spot.ids, spot.v / size, seed) - 0.5
        return np.asarray(color * (1 + 2 * mottle * cloud)[:, None])

    return paint


def plaster(color: Array, seed: int) -> Paint:
    """A painted wall: broad mottling and the fine grain of the roller."""

    def paint(spot: Spot) -> Array:
        x, y = spot.u, spot.v
        cloud = fractal_noise(x / 0.9, y / 0.9, seed) - 0.5
        grain = value_noise(x / 0.012, y / 0.012, seed + 1) - 0.5
        return np.asarray(color * (1 + 0.10 * cloud + 0.05 * grain)[:, None])

    return paint


def grain(x: Array, y: Array, color: Array, seed: int) -> Array:
    """The colour [n, 3] of wood whose fibres run along x, with growth rings and dark pores."""
    warp = fractal_noise(x / 0.5, y / 0.06, seed, 2)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (y / 0.024 + 2.6 * warp))
    fibre = fractal_noise(x / 0.16, y / 0.004, seed + 9, 2)
    tone = 0.80 + 0.22 * rings**1.5 + 0.30 * (fibre - 0.5)
    dark = color * np.array([0.62, 0.52, 0.44])
    return mix(dark, color * 1.12, np.clip(tone, 0, 1.2) / 1.2)


def wood(color: Array, seed: int) -> Paint:
    """Furniture wood. The grain follows the longer side of each board."""

    def paint(spot: Spot) -> Array:
        long_u = spot.size[:, 0] >= spot.size[:, 1]
        x = np.where(long_u, spot.u, spot.v) + 3.7 * spot.ids
        y = np.where(long_u, spot.v, spot.u) + 1.3 * spot.ids
        tint = 1 + 0.12 * (hashed(spot.ids, 0, seed) - 0.5)
        return np.asarray(grain(x, y, color, seed) * tint[:, None])

    return paint


def planks(color: Array, seed: int, width: float = 0.135, length: float = 1.25) -> Paint:
    """Floor boards along u with dark gaps. Each board has its own tint."""

    def paint(spot: Spot) -> Array:
        row = np.floor(spot.v / width)
        across = spot.v - row * width
        shifted = spot.u + length * hashed(row, 0, seed)
        board = np.floor(shifted / length)
        along = shifted - board * length
        tint = 0.78 + 0.42 * hashed(row, board, seed + 1)
        warm = hashed(row, board, seed + 2)[:, None] - 0.5
        shade = grain(along + 5 * hashed(row, board, seed + 3), spot.v + row, color, seed)
        shade = shade * tint[:, None] * (1 + warm * np.array([0.06, 0.0, -0.10]))
        gap = np.minimum(np.minimum(across, width - across), np.minimum(along, length - along))
        return mix(shade * 0.22, shade, smoothstep(0.001, 0.006, gap))

    return paint


def herringbone(color: Array, seed: int, width: float = 0.10, ratio: int = 5) -> Paint:
    """Herringbone parquet of blocks that are `ratio` times as long as wide."""

    def paint(spot: Spot) -> Array:
        x, y = (spot.u + spot.v) / np.sqrt(2), (spot.v - spot.u) / np.sqrt(2)
        i, j = np.floor(x / width), np.floor(y / width)
        phase = np.mod(i - j, 2 * ratio)
        level = phase < ratio  # whether this block lies along x; otherwise along y
        along = np.where(level, x / width - (i - phase), y / width - (j - (2 * ratio - 1 - phase)))
        across = np.where(level, y / width - j, x / width - i)
        block_x = np.where(level, i - phase, i)
        block_y = np.where(level, j, j - (2 * ratio - 1 - phase))
        tint = 0.75 + 0.5 * hashed(block_x, block_y, seed + 1)
        offset = hashed(block_x, block_y, seed + 2)
        shade = grain(along * width + 9 * offset, across * width + 4 * offset, color, seed)
        gap = width * np.minimum(np.minimum(across, 1 - across), np.minimum(along, ratio - along))
        return mix(
            shade * 0.25 * tint[:, None], shade * tint[:, None], smoothstep(0.0005, 0.003, gap)
        )

    return paint


def bricks(color: Array, seed: int, width: float = 0.23, height: float = 0.075) -> Paint:
    """A brick wall with pale joints. Every second row is shifted by half a brick."""

    def paint(spot: Spot) -> Array:
        row = np.floor(spot.v / height)
        x = spot.u + 0.5 * width * np.mod(row, 2)
        column = np.floor(x / width)
        wobble = 0.004 * (value_noise(spot.u / 0.03, spot.v / 0.03, seed) - 0.5)
        dx, dy = x - column * width, spot.v - row * height
        inset = np.minimum(np.minimum(dx, width - dx), np.minimum(dy, height - dy)) + wobble
        burnt = hashed(row, column, seed + 1)
        own = color * (0.68 + 0.55 * burnt)[:, None]
        own = mix(
            own,
            own.mean(1, keepdims=True) * np.array([1.1, 0.95, 0.85]),
            0.35 * hashed(row, column, seed + 2),
        )
        rough = fractal_noise(spot.u / 0.02, spot.v / 0.014, seed + 3) - 0.5
        own = own * (1 + 0.45 * rough)[:, None]
        mortar = (
            np.array([0.50, 0.46, 0.40])
            * (0.85 + 0.3 * value_noise(spot.u / 0.015, spot.v / 0.015, seed + 4))[:, None]
        )
        edge_light = 1 + 0.25 * smoothstep(0.014, 0.006, np.minimum(height - dy, dx))
        return mix(mortar, own * edge_light[:, None], smoothstep(0.004, 0.0075, inset))

    return paint


def tiles(color: Array, seed: int, side: float = 0.15) -> Paint:
    """Glazed tiles with slightly different tints; some show a star."""

    def paint(spot: Spot) -> Array:
        i, j = np.floor(spot.u / side), np.floor(spot.v / side)
        x, y = spot.u / side - i - 0.5, spot.v / side - j - 0.5
        tint = 0.85 + 0.3 * hashed(i, j, seed)
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        star = 0.27 + 0.10 * np.cos(8 * angle)
        drawn = smoothstep(0.03, -0.03, radius - star) * (np.mod(i + j, 2) < 1)
        ring = smoothstep(0.03, 0.01, np.abs(radius - 0.43))
        ground = mix(color * tint[:, None], [0.80, 0.78, 0.72], np.maximum(drawn, 0.8 * ring))
        gap = side * (0.5 - np.maximum(np.abs(x), np.abs(y)))
        return mix([0.62, 0.60, 0.56], ground, smoothstep(0.001, 0.004, gap))

    return paint


def wallpaper(ground: Array, ink: Array, seed: int, step: float = 0.26) -> Paint:
    """A print of leaves on stems, repeated in a half-drop pattern."""

    def paint(spot: Spot) -> Array:
        column = np.floor(spot.u / step)
        x = spot.u / step - column - 0.5
        y = spot.v / step + 0.5 * np.mod(column, 2)
        t = np.mod(y, 1)
        stem = 0.07 * np.sin(2 * np.pi * y)
        print_ = smoothstep(0.022, 0.008, np.abs(x - stem))
        for k in range(4):
            side = -1 if k % 2 else 1
            root_y, root_x = (k + 0.5) / 4, 0.07 * np.sin(2 * np.pi * (k + 0.5) / 4)
            dy = np.mod(t - root_y + 0.5, 1) - 0.5
            along = (side * (x - root_x) * 0.78 + dy * 0.62) / 0.30
            across = -side * (x - root_x) * 0.62 + dy * 0.78
            width = 0.062 * np.sin(np.pi * np.clip(along, 0, 1) ** 0.8)
            leaf = smoothstep(0.012, -0.006, np.abs(across) - width) * ((along > 0) & (along < 1))
            vein = smoothstep(0.004, 0.010, np.abs(across))
            print_ = np.maximum(print_, leaf * (0.35 + 0.65 * vein))
        paper = 1 + 0.05 * (value_noise(spot.u / 0.01, spot.v / 0.01, seed) - 0.5)
        return np.asarray(mix(ground, ink, 0.85 * print_) * paper[:, None])

    return paint


def cloth(color: Array, seed: int, stripe: Array | None = None, width: float = 0.05) -> Paint:
    """Woven cloth, with stripes if `stripe` gives a second colour."""

    def paint(spot: Spot) -> Array:
        weave = 0.5 + 0.25 * (
            np.sin(2 * np.pi * spot.u / 0.012) + np.sin(2 * np.pi * spot.v / 0.012)
        )
        wear = fractal_noise(spot.u / 0.06, spot.v / 0.06, seed) - 0.5
        ground = np.broadcast_to(color, (len(spot.u), 3))
        if stripe is not None:
            s = np.abs(np.mod(spot.u / width, 1) - 0.5)
            ground = mix(ground, stripe, smoothstep(0.30, 0.33, s))
        return np.asarray(ground * (0.86 + 0.22 * weave + 0.30 * wear)[:, None])

    return paint


def rug(colors: Array, seed: int) -> Paint:
    """A knotted rug with borders, corner pieces, a medallion and a field of small flowers.

    `colors` [4, 3] are ground, border, ornament and lines. The pattern has two axes of symmetry.
    """
    ground, border, ornament, line = colors
    petals = 6 + 2 * (seed % 3)

    def paint(spot: Spot) -> Array:
        knot = 0.009
        half = spot.size / 2
        x = np.abs((np.floor(spot.u / knot) + 0.5) * knot - half[:, 0])
        y = np.abs((np.floor(spot.v / knot) + 0.5) * knot - half[:, 1])
        inset = np.minimum(half[:, 0] - x, half[:, 1] - y)
        color = np.broadcast_to(ground, (len(x), 3))

        cx, cy = np.mod(x, 0.17) - 0.085, np.mod(y + 0.085, 0.17) - 0.085
        odd = np.mod(np.floor(x / 0.17) + np.floor((y + 0.085) / 0.17), 2)
        radius, angle = np.hypot(cx, cy), np.arctan2(cy, cx)
        flower = radius < 0.032 + 0.014 * np.cos((4 + 2 * odd) * angle)
        color = mix(color, np.where(odd[:, None] > 0, ornament, line), 0.9 * flower)
        color = mix(color, border, 0.9 * (radius < 0.013))
        vine = np.abs(np.abs(cx) + np.abs(cy) - 0.085) < 0.006
        color = mix(color, ornament * 0.7, 0.7 * vine)

        radius, angle = np.hypot(x, y * 1.25), np.arctan2(y * 1.25, x)
        wave = 0.40 + 0.05 * np.cos(petals * 2 * angle)
        for reach, paint_ in (
            (wave + 0.03, line),
            (wave, border),
            (wave - 0.07, ornament),
            (wave - 0.09, border),
            (0.20 + 0.045 * np.cos(petals * angle), line),
            (0.175 + 0.045 * np.cos(petals * angle), ground),
            (np.full(len(x), 0.08), ornament),
            (np.full(len(x), 0.045), border),
        ):
            color = mix(color, paint_, 1.0 * (radius < reach))

        corner = np.hypot(half[:, 0] - x, half[:, 1] - y)
        for reach, paint_ in ((0.62, line), (0.60, border), (0.50, ornament), (0.48, border)):
            color = mix(color, paint_, 1.0 * (corner < reach))

        for edge, paint_ in (
            (0.26, line),
            (0.247, border),
            (0.075, ornament),
            (0.06, ground),
            (0.018, line),
        ):
            color = mix(color, paint_, 1.0 * (inset < edge))
        run = np.where(half[:, 0] - x < half[:, 1] - y, y, x)
        band = (inset > 0.085) & (inset < 0.24)
        diamond = np.abs(np.mod(run, 0.155) - 0.0775) + np.abs(inset - 0.162)
        color = mix(color, ornament, 1.0 * (band & (diamond < 0.068)))
        color = mix(color, ground, 1.0 * (band & (diamond < 0.052)))
        color = mix(color, line, 1.0 * (band & (diamond < 0.024)))

        pile = hashed(np.floor(spot.u / knot), np.floor(spot.v / knot), seed)
        abrash = fractal_noise(spot.u / 1.5, spot.v / 0.14, seed + 5) - 0.5
        return np.asarray(color * (0.86 + 0.24 * pile + 0.22 * abrash)[:, None])

    return paint


def checks(first: Array, second: Array, seed: int, side: float = 0.30) -> Paint:
    """A checkerboard of veined stone tiles in two colours."""

    def paint(spot: Spot) -> Array:
        i, j = np.floor(spot.u / side), np.floor(spot.v / side)
        dark = np.mod(i + j, 2)
        warp = fractal_noise(spot.u / 0.2 + 7 * i, spot.v / 0.2 + 3 * j, seed)
        vein = smoothstep(0.06, 0.0, np.abs(warp - 0.5))
        stone = mix(first, second, dark) * (0.88 + 0.24 * hashed(i, j, seed))[:, None]
        stone = mix(stone, np.array([0.7, 0.68, 0.64]), 0.35 * vein * (0.4 + 0.6 * dark))
        x, y = spot.u / side - i - 0.5, spot.v / side - j - 0.5
        gap = side * (0.5 - np.maximum(np.abs(x), np.abs(y)))
        return mix(stone * 0.35, stone, smoothstep(0.001, 0.004, gap))

    return paint
