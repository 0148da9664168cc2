"""Lamps: each adds visible surfaces and a light that illuminates the room."""

from __future__ import annotations

import numpy as np

from exgs.sample import textures
from exgs.sample.builder import Builder, Lamp, Stand
from exgs.sample.noise import Array
from exgs.sample.surfaces import Material, Spot, lathes

_WARM = np.array([1.0, 0.72, 0.42])


def floor_lamp(room: Builder, stand: Stand) -> None:
    """A brass stand with a glowing pleated shade."""
    brass = Material(textures.plain(np.array([0.60, 0.42, 0.18])), gloss=0.45, sharpness=9)
    foot = [(0.001, 0.025), (0.06, 0.024), (0.13, 0.016), (0.14, 0.0)][::-1]
    room.add(lathes(foot, stand.origin), brass, facets=(20, 5))
    pole = [(0.014, 0.02), (0.012, 0.7), (0.012, 1.45)]
    room.add(lathes(pole, stand.origin), brass, facets=(6, 40), edges=(False, False))
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
    room.add(lathes(body, stand.origin), glaze, facets=(20, 16), edges=(False, False))
    room.solids.capsule(stand.at(0, 0.1, 0), stand.at(0, 0.17, 0), 0.06)
    lamp_shade(room, stand.at(0, 0.40, 0), 0.10, 0.16, 0.19)


def lamp_shade(room: Builder, center: Array, top: float, bottom: float, tall: float) -> None:
    """A cone of pleated linen around a bulb."""

    def pleats(spot: Spot) -> Array:
        fold = 0.5 + 0.5 * np.cos(60 * 2 * np.pi * spot.u / spot.size[:, 0])
        y = spot.v / spot.size[:, 1]
        glow = 0.72 + 0.42 * np.exp(-(((y - 0.42) / 0.30) ** 2))
        edge = 1 - 0.45 * ((y < 0.05) | (y > 0.95))
        shade = glow * edge * (0.86 + 0.2 * fold)
        return np.asarray(np.array([1.0, 0.84, 0.60]) * shade[:, None])

    linen = Material(pleats, glow=1.0)
    shape = [(bottom, -tall / 2), (top, tall / 2)]
    room.add(lathes(shape, center), linen, facets=(40, 8), edges=(False, True))
    # The inside of the shade is visible from below: the same cone, facing inwards.
    inner = [(top * 0.98, tall / 2 - 0.005), (bottom * 0.98, -tall / 2 + 0.005)]
    room.add(lathes(inner, center), linen, facets=(16, 4), importance=0.5)
    room.lamps.append(Lamp(center, 0.55 * _WARM * (bottom / 0.27), bottom))


def pendant(room: Builder, center: Array, ceiling: float) -> None:
    """A bell-shaped enamel lamp that hangs from the ceiling on a cord."""
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
    room.add(lathes(bell, center), enamel, facets=(36, 14))
    inner = [(0.04, 0.165), (0.09, 0.145), (0.18, 0.095), (0.228, 0.028), (0.234, 0.0)]
    white = Material(textures.plain(np.array([1.0, 0.86, 0.66]), 0.02), glow=1.0)
    room.add(lathes(inner, center), white, facets=(20, 6), importance=0.6)
    bulb = [(0.001, 0.02), (0.035, 0.035), (0.042, 0.065), (0.02, 0.11), (0.018, 0.15)]
    room.add(
        lathes(bulb, center),
        Material(textures.plain(np.array([1.6, 1.4, 1.05]), 0.0), glow=1.0),
        facets=(8, 6),
    )
    cord = [(0.004, 0.22), (0.004, ceiling - center[1])]
    black = Material(textures.plain(np.array([0.02, 0.02, 0.02]), 0.0))
    room.add(lathes(cord, center), black, facets=(3, 30), edges=(False, False))
    room.lamps.append(Lamp(center + np.array([0, -0.02, 0]), 0.5 * _WARM, 0.22))
    room.solids.ellipsoid(center + np.array([0, 0.10, 0]), [0.18, 0.07, 0.18])
