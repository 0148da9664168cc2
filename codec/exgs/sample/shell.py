"""The empty room: floor, walls, ceiling, skirting, and the window with curtains and view.

The window is in the left wall, at -x. The right wall is the accent wall.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from exgs.sample import prints, textures
from exgs.sample.builder import Builder
from exgs.sample.noise import Array
from exgs.sample.surfaces import Ids, Material, Paint, Spot, boxes, displaced, quads

_FRAME = 0.035  # half width of the window's bars


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """An opening in the wall at `x`, divided into panes."""

    x: float
    low: Array  # [2] least y and z
    high: Array  # [2] largest y and z
    columns: int
    rows: int

    @property
    def corners(self) -> Array:
        """The corners [4, 3] in order around the window."""
        (y0, z0), (y1, z1) = self.low, self.high
        return np.array([(self.x, y0, z0), (self.x, y0, z1), (self.x, y1, z1), (self.x, y1, z0)])

    def open_at(self, y: Array, z: Array, blur: Array) -> Array:
        """The open share of the window at (y, z), 0 to 1; `blur` is the edge width in metres."""
        free = np.ones(np.shape(y))
        for at, low, high, count in (
            (z, self.low[1], self.high[1], self.columns),
            (y, self.low[0], self.high[0], self.rows),
        ):
            pane = (high - low) / count
            inside = np.minimum(at - low, high - at) - _FRAME
            t = np.mod(at - low, pane)
            bar = np.minimum(t, pane - t) - _FRAME * 0.55
            for margin in (inside, np.where(inside < 0.5 * pane, 1e9, bar)):
                free = free * np.clip(0.5 + margin / (2 * blur), 0, 1)
        return np.asarray(free)


def build_shell(room: Builder, floor: Paint, accent: Paint, window: Window) -> None:
    """Add floor, walls, ceiling, window, curtains and skirting to `room`."""
    x, z, h = room.half_width, room.half_depth, room.height
    palette, seed = room.palette, room.seed
    boards = Material(floor, gloss=0.075, sharpness=7)
    room.add(
        quads((-x, 0, -z), (0, 0, 2 * z), (2 * x, 0, 0)),
        _turned(boards),
        importance=1.6,
        backed=True,
        facets=(20, 48),
    )
    wall = Material(textures.plaster(palette.wall, seed + 11), gloss=0.006, sharpness=1.5)
    plain = {"importance": 0.8, "backed": True}
    room.add(quads((x, 0, z), (-2 * x, 0, 0), (0, h, 0)), wall, **plain, facets=(26, 14))
    room.add(quads((-x, 0, -z), (2 * x, 0, 0), (0, h, 0)), wall, **plain, facets=(26, 14))
    room.add(
        quads((x, 0, -z), (0, 0, 2 * z), (0, h, 0)),
        Material(accent, gloss=0.02, sharpness=3),
        importance=0.95,
        backed=True,
        facets=(16, 10),
    )
    ceiling = Material(textures.plaster(np.array([0.84, 0.82, 0.78]), seed + 12))
    room.add(
        quads((-x, h, -z), (2 * x, 0, 0), (0, 0, 2 * z)),
        ceiling,
        importance=0.35,
        backed=True,
        facets=(28, 24),
    )

    (y0, z0), (y1, z1) = window.low, window.high
    pieces = [  # the wall around the window: below, above, before, behind
        ((-x, 0, z), (0, 0, -2 * z), (0, y0, 0)),
        ((-x, y1, z), (0, 0, -2 * z), (0, h - y1, 0)),
        ((-x, y0, z0), (0, 0, -z - z0), (0, y1 - y0, 0)),
        ((-x, y0, z), (0, 0, z1 - z), (0, y1 - y0, 0)),
    ]
    room.add(
        quads(*(np.array(part, float) for part in zip(*pieces, strict=True))),
        wall,
        **plain,
        facets=(10, 6),
    )
    _window(room, window)
    _curtains(room, window)
    _skirting_and_cornice(room)


def _skirting_and_cornice(room: Builder) -> None:
    x, z, h = room.half_width, room.half_depth, room.height
    white = Material(textures.plain(np.array([0.78, 0.76, 0.71]), 0.04), gloss=0.05, sharpness=5)
    t, tall = 0.009, 0.05
    for side in (-1, 1):
        room.cover((0, tall, side * z), (x, tall - 0.005, t))
        room.cover((side * x, tall, 0), (t, tall - 0.005, z))
        room.cover((0, h, side * z), (x, 0.055, 0.055))
        room.cover((side * x, h, 0), (0.055, 0.055, z))
    room.add(
        boxes([(0, tall, z - t), (0, tall, -z + t)], (x, tall, t), "top front back"),
        white,
        importance=0.5,
    )
    room.add(
        boxes([(-x + t, tall, 0), (x - t, tall, 0)], (t, tall, z), "top left right"),
        white,
        importance=0.5,
    )
    room.add(
        boxes(
            [(0, h - 0.03, z - 0.03), (0, h - 0.03, -z + 0.03)],
            (x, 0.03, 0.03),
            "bottom front back",
        ),
        white,
        importance=0.4,
    )
    room.add(
        boxes(
            [(-x + 0.03, h - 0.03, 0), (x - 0.03, h - 0.03, 0)],
            (0.03, 0.03, z),
            "bottom left right",
        ),
        white,
        importance=0.4,
    )


def _turned(material: Material) -> Material:
    """`material` with u and v swapped: floor textures run along x, but u of the floor is z."""

    def paint(spot: Spot) -> Array:
        return material.paint(replace(spot, u=spot.v, v=spot.u, size=spot.size[:, ::-1]))

    return replace(material, paint=paint)


def _window(room: Builder, window: Window) -> None:
    (y0, z0), (y1, z1) = window.low, window.high
    x, depth = window.x, 0.10
    yc, zc, hy, hz = (y0 + y1) / 2, (z0 + z1) / 2, (y1 - y0) / 2, (z1 - z0) / 2
    white = Material(textures.plain(np.array([0.82, 0.80, 0.76]), 0.03), gloss=0.05, sharpness=6)
    bars = [((x - 0.05, y, zc), (0.03, _FRAME, hz)) for y in (y0 + _FRAME, y1 - _FRAME)]
    bars += [((x - 0.05, yc, z), (0.03, hy, _FRAME)) for z in (z0 + _FRAME, z1 - _FRAME)]
    thin = 0.55 * _FRAME
    bars += [
        ((x - 0.05, y0 + 2 * hy * k / window.rows, zc), (0.02, thin, hz))
        for k in range(1, window.rows)
    ]
    bars += [
        ((x - 0.05, yc, z0 + 2 * hz * k / window.columns), (0.02, hy, thin))
        for k in range(1, window.columns)
    ]
    centers, halves = (np.array(part) for part in zip(*bars, strict=True))
    room.add(boxes(centers, halves, "right top bottom front back"), white, importance=1.2)
    reveal = [
        ((x - depth, y0, z0), (0, 0, 2 * hz), (depth, 0, 0)),
        ((x - depth, y1, z0), (depth, 0, 0), (0, 0, 2 * hz)),
        ((x - depth, y0, z0), (depth, 0, 0), (0, 2 * hy, 0)),
        ((x - depth, y0, z1), (0, 2 * hy, 0), (depth, 0, 0)),
    ]
    room.add(
        quads(*(np.array(part, float) for part in zip(*reveal, strict=True))), white, importance=0.7
    )
    sill = boxes(
        (x + 0.09, y0 - 0.015, zc), (0.11, 0.015, hz + 0.08), "right top bottom front back"
    )
    room.add(sill, white, importance=0.9)
    trim = [((x + 0.008, yc, z), (0.008, hy + 0.07, 0.035)) for z in (z0 - 0.035, z1 + 0.035)]
    trim += [((x + 0.008, y1 + 0.035, zc), (0.008, 0.035, hz))]
    centers, halves = (np.array(part) for part in zip(*trim, strict=True))
    room.add(boxes(centers, halves, "right top bottom front back"), white, importance=0.8)

    view = Material(prints.outdoors(room.seed + 13), glow=1.0)
    away = 1.1
    scene = quads((x - away, -1.2, zc + 4.2), (0, 0, -8.4), (0, 5.6, 0))
    room.add(scene, view, importance=0.12, backed=True, facets=(14, 10), edges=(False, False))
    room.solids.box((x + 0.09, y0 - 0.015, zc), (0.09, 0.01, hz + 0.06))


def _curtains(room: Builder, window: Window) -> None:
    (_, z0), (y1, z1) = window.low, window.high
    x, top, wide = window.x + 0.10, y1 + 0.16, 0.46
    palette = room.palette
    linen = Material(
        textures.cloth(palette.cushions[2] * 0.95, room.seed + 14, palette.cushions[0], 0.16),
        through=0.35,
    )
    folds = 7

    def push(ids: Ids, u: Array, v: Array) -> Array:
        fall = 0.55 + 0.45 * (1 - v)
        return np.asarray(
            0.055 * fall * np.sin(2 * np.pi * folds * u + 0.8 * np.sin(3 * v) + 2 * ids)
        )

    ends = np.array([z0 - 0.34, z1 + 0.34])
    starts = ends + np.array([wide, -wide]) * np.array([1, 0]) + np.array([0, 0])
    origins = np.array([(x, 0.04, starts[0]), (x, 0.04, ends[1])])
    cloth, size = quads(origins, (0, 0, -wide), (0, top - 0.04, 0))
    room.add(
        (displaced(cloth, push, (1, 0, 0)), size * [1.9, 1.0]),
        linen,
        facets=(48, 24),
        importance=0.5,
    )
    brass = Material(textures.plain(np.array([0.55, 0.38, 0.16])), gloss=0.4, sharpness=8)
    half = (z1 - z0) / 2 + 0.5
    rod = boxes(
        (x, top + 0.02, (z0 + z1) / 2), (0.012, 0.012, half), "left right top bottom front back"
    )
    room.add(rod, brass)
    for z in origins[:, 2]:
        room.solids.box((x, top / 2, z - wide / 2), (0.03, top / 2 - 0.03, wide / 2 - 0.02))
