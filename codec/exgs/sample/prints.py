"""Drawn textures: pictures, book spines, the view from the window, fruit and leaves."""

from __future__ import annotations

import numpy as np

from exgs.sample.noise import Array, fractal_noise, hashed, mix, smoothstep, value_noise
from exgs.sample.surfaces import Paint, Spot


def landscape(colors: Array, seed: int) -> Paint:
    """A print of four rows of hills under a low sun; `colors` [4, 3] from far to near."""

    def paint(spot: Spot) -> Array:
        x, y = spot.u / spot.size[:, 0], spot.v / spot.size[:, 1]
        glow = np.hypot((x - 0.64) * spot.size[:, 0] / spot.size[:, 1], y - 0.66)
        color = mix([0.93, 0.62, 0.33], [0.50, 0.60, 0.66], smoothstep(0.45, 1.0, y))
        color = mix([0.97, 0.84, 0.62], color, smoothstep(0.10, 0.45, glow))
        color = mix([0.86, 0.22, 0.10], color, smoothstep(0.108, 0.116, glow))
        for k in range(4):
            ridge = (
                0.60
                - 0.15 * k
                + (0.10 + 0.03 * k)
                * (fractal_noise(x * (2.2 + k) + 3 * k, np.full(len(x), 0.5), seed + k) - 0.5)
                * 2
            )
            haze = colors[k] * (1.0 + 0.25 * smoothstep(-0.2, 0.0, y - ridge))[:, None]
            color = mix(color, haze, smoothstep(0.004, -0.004, y - ridge))
        tree = np.abs(x - 0.22) < 0.03 * np.clip((0.52 - y) / 0.32, 0, 1) ** 0.6
        color = mix(color, colors[3] * 0.35, 1.0 * (tree & (y > 0.16)))
        return _mounted(spot, color)

    return paint


def abstract(colors: Array, seed: int) -> Paint:
    """A print of overlapping arcs and bars in flat `colors` [n, 3]."""
    rng = np.random.default_rng([seed, 5])
    discs = rng.uniform([0.15, 0.15, 0.10], [0.85, 0.85, 0.30], (7, 3))

    def paint(spot: Spot) -> Array:
        x = spot.u / spot.size[:, 1]
        y = spot.v / spot.size[:, 1]
        wide = spot.size[:, 0] / spot.size[:, 1]
        color = np.broadcast_to(np.array([0.80, 0.74, 0.62]), (len(x), 3))
        for k, (cx, cy, r) in enumerate(discs):
            away = np.hypot(x - cx * wide, y - cy)
            own = colors[k % len(colors)]
            if k % 2:
                inside = smoothstep(r, r - 0.006, away) * (y > cy)
            else:
                rings = 0.5 + 0.5 * np.sign(np.sin(away / r * 6 * np.pi))
                inside = smoothstep(r, r - 0.006, away) * rings
            color = mix(color, own, 0.92 * inside)
        bar = (np.abs(x - 0.5 * wide) < 0.42 * wide) & (np.abs(np.mod(y, 0.09) - 0.045) < 0.004)
        return _mounted(spot, mix(color, colors[-1] * 0.4, 0.8 * (bar & (y < 0.3))))

    return paint


def _mounted(spot: Spot, color: Array) -> Array:
    inset = np.minimum(
        np.minimum(spot.u, spot.size[:, 0] - spot.u), np.minimum(spot.v, spot.size[:, 1] - spot.v)
    )
    margin = 0.055 * spot.size[:, 1] / 0.6
    paper = 1 + 0.04 * (value_noise(spot.u / 0.008, spot.v / 0.008, 3) - 0.5)
    return np.asarray(mix([0.86, 0.84, 0.78], color, 1.0 * (inset > margin)) * paper[:, None])


def spines(colors: Array, seed: int) -> Paint:
    """Spines of books with bands, a label and a title. v points up; ids choose the design."""

    def paint(spot: Spot) -> Array:
        book, u, y = spot.ids, spot.u / spot.size[:, 0], spot.v / spot.size[:, 1]
        pick = np.floor(hashed(book, 1, seed) * len(colors)).astype(int)
        other = np.floor(hashed(book, 2, seed) * len(colors)).astype(int)
        tint = 0.75 + 0.5 * hashed(book, 3, seed)
        color = colors[pick] * tint[:, None]
        gold = np.array([0.72, 0.52, 0.20])
        kind = hashed(book, 4, seed)
        center = 0.62 + 0.2 * hashed(book, 5, seed)
        label = (np.abs(y - center) < 0.10) & (kind < 0.55)
        color = mix(
            color, np.where((kind < 0.3)[:, None], [0.75, 0.70, 0.58], colors[other]), 1.0 * label
        )
        bands = (np.abs(y - 0.08) < 0.012) | (np.abs(y - 0.92) < 0.012) | (np.abs(y - 0.2) < 0.008)
        color = mix(color, gold, 0.9 * (bands & (kind > 0.25)))
        middle = (np.abs(u - 0.5) < 0.28) & (np.abs(y - center) < 0.075)
        letters = hashed(np.floor(spot.v / 0.005), book, seed + 6) > 0.45
        ink = np.where((color.mean(1) > 0.25)[:, None], [0.05, 0.04, 0.04], gold)
        color = mix(color, ink, 0.85 * (middle & letters & (np.abs(u - 0.5) < 0.18)))
        round_ = 0.72 + 0.40 * np.sin(np.pi * np.clip(u, 0, 1))
        return np.asarray(color * round_[:, None])

    return paint


def covers(colors: Array, seed: int) -> Paint:
    """Covers of the books that `spines` draws, in the same colours."""

    def paint(spot: Spot) -> Array:
        pick = np.floor(hashed(spot.ids, 1, seed) * len(colors)).astype(int)
        tint = 0.75 + 0.5 * hashed(spot.ids, 3, seed)
        return np.asarray(colors[pick] * tint[:, None])

    return paint


def pages(seed: int) -> Paint:
    """The cut edges of the pages of a book."""

    def paint(spot: Spot) -> Array:
        sheet = 0.82 + 0.25 * hashed(np.floor(spot.u / 0.003), spot.ids, seed)
        return np.asarray(np.array([0.72, 0.66, 0.52]) * sheet[:, None])

    return paint


def outdoors(seed: int) -> Paint:
    """The blurred view from the window: sky with clouds, far hills, a hedge and a meadow."""

    def paint(spot: Spot) -> Array:
        x, y = spot.u, spot.v - 0.6
        sky = mix([0.92, 0.94, 0.95], [0.36, 0.60, 0.90], smoothstep(1.9, 4.2, y))
        cloud = fractal_noise(x / 1.1, y / 0.45, seed, 4)
        color = mix(sky, [0.98, 0.97, 0.95], smoothstep(0.48, 0.72, cloud))
        hills = 1.95 + 0.35 * (fractal_noise(x / 1.6, np.zeros(len(x)), seed + 1) - 0.3)
        color = mix([0.36, 0.47, 0.50], color, smoothstep(-0.03, 0.03, y - hills))
        hedge = 1.55 + 0.7 * (fractal_noise(x / 0.7, np.full(len(x), 0.3), seed + 2, 4) - 0.4)
        leafy = fractal_noise(x / 0.11, y / 0.11, seed + 3, 3)[:, None]
        green = np.array([0.10, 0.21, 0.05]) * (0.4 + 1.7 * leafy)
        color = mix(green, color, smoothstep(-0.03, 0.03, y - hedge))
        meadow = np.array([0.30, 0.40, 0.12]) * (0.7 + 0.6 * leafy)
        return mix(meadow, color, smoothstep(-0.05, 0.05, y - 1.15))

    return paint


def fruit(seed: int) -> Paint:
    """Apples, oranges and lemons, chosen by id. v runs from the blossom to the stalk."""
    skins = np.array(
        [[0.62, 0.07, 0.05], [0.90, 0.38, 0.04], [0.88, 0.66, 0.08], [0.36, 0.48, 0.07]]
    )

    def paint(spot: Spot) -> Array:
        kind = spot.ids % len(skins)
        v = spot.v / spot.size[:, 1]
        blush = fractal_noise(spot.u / 0.03 + 5 * spot.ids, spot.v / 0.08, seed)
        color = mix(
            skins[kind],
            np.array([0.75, 0.50, 0.10]),
            0.55 * smoothstep(0.45, 0.8, blush) * (kind != 1),
        )
        speck = hashed(np.floor(spot.u / 0.004) + 97 * spot.ids, np.floor(spot.v / 0.004), seed)
        color = color * (0.90 + 0.2 * speck)[:, None]
        return mix([0.10, 0.07, 0.03], color, smoothstep(0.985, 0.95, v))

    return paint


def leaves(color: Array, seed: int) -> Paint:
    """Leaves with a pale midrib and slanting veins; each leaf has its own shade of `color`."""

    def paint(spot: Spot) -> Array:
        x = spot.u / spot.size[:, 0] - 0.5
        y = spot.v / spot.size[:, 1]
        own = color * (0.6 + 0.8 * hashed(spot.ids, 0, seed))[:, None]
        own = mix(own, own * np.array([1.7, 1.25, 0.55]), 0.7 * hashed(spot.ids, 1, seed) * y)
        veins = 0.88 + 0.18 * np.sin(2 * np.pi * (spot.v / 0.03 - 2.2 * np.abs(x)))
        return mix(
            own * np.array([1.8, 1.5, 1.6]), own * veins[:, None], smoothstep(0.02, 0.07, np.abs(x))
        )

    return paint


def majolica(colors: Array, seed: int) -> Paint:
    """Glazed pottery with bands, waves and a row of petals; `colors` [2, 3]."""

    def paint(spot: Spot) -> Array:
        a = 2 * np.pi * spot.u / spot.size[:, 0]
        y = spot.v / spot.size[:, 1]
        color = np.broadcast_to(colors[0], (len(a), 3))
        for at, half in ((0.18, 0.012), (0.22, 0.006), (0.70, 0.012), (0.74, 0.006), (0.93, 0.02)):
            color = mix(color, colors[1], smoothstep(half + 0.004, half - 0.004, np.abs(y - at)))
        petal = 0.15 * np.abs(np.cos(5 * a))
        inside = smoothstep(0.012, -0.012, np.abs(y - 0.46) - petal)
        core = smoothstep(0.012, -0.012, np.abs(y - 0.46) - petal * 0.5)
        color = mix(color, colors[1], inside * (1 - 0.8 * core))
        wave = np.abs(y - 0.83 - 0.025 * np.sin(14 * a))
        color = mix(color, colors[1], smoothstep(0.012, 0.006, wave))
        craze = fractal_noise(spot.u / 0.05, spot.v / 0.05, seed) - 0.5
        return np.asarray(color * (1 + 0.12 * craze)[:, None])

    return paint


def fur(color: Array, seed: int) -> Paint:
    """Strands that are darker at the root; each has its own shade of `color`."""

    def paint(spot: Spot) -> Array:
        y = spot.v / spot.size[:, 1]
        own = color * (0.82 + 0.3 * hashed(spot.ids, 0, seed))[:, None]
        return np.asarray(own * (0.55 + 0.5 * y)[:, None])

    return paint
