"""The colours of a room: a few colour schemes, varied by the seed."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from exgs.sample.noise import Array


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """Colours in linear RGB, [3] each; lists of n colours are [n, 3]."""

    wall: Array
    accent: Array  # of the fourth wall: bricks, tiles or wallpaper
    floor: Array
    wood: Array  # of the furniture
    dark_wood: Array
    cloth: Array  # of the armchair
    cushions: Array  # [3, 3]
    rug: Array  # [4, 3] ground, border, ornament, lines
    books: Array  # [10, 3]
    glaze: Array  # [3, 3] vase, teapot, bowl
    leaf: Array


def linear(code: str) -> Array:
    """The linear RGB [3] of an sRGB hex code such as 'c8a27d'."""
    c = np.array([int(code[k : k + 2], 16) for k in (0, 2, 4)]) / 255
    return np.asarray(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4))


# wall, accent, floor, wood, dark wood, cloth, cushions, rug, glaze, leaf
_SCHEMES = (
    "e6dccb b5694a c29260 b98450 5f3d25 2f6f73 d9a441,b5482e,e8dcc4 7d2630,1f2f4f,d9b779,e9dfc8 "
    "2b5d8a,c9d6cf,d98c3f 5d8f3a",
    "dfe3df 8f9aa0 b98f6a a97a4e 4a3527 a3543a e0c9a0,566a5b,2f3e46 39506b,22303f,c98b4f,e3dccd "
    "7a3b2e,e6dcc8,4f7a78 4f8a4a",
    "ece3da 6d8a84 a87c52 c09562 6a4a30 b98a2f 47616b,e7e0d2,a04a35 e0d6c0,47616b,a85a3a,2f3f45 "
    "d9c7a8,3f6670,b5543a 6a9a3f",
    "e2d6cc a8604e 8f6a4c 8c5f3c 3f2a1d 53617a c7744d,e5d8c5,7c8c5a 2f4a45,c7744d,e5d3a8,1d2c2c "
    "e9e4da,8a3f35,3f5a6f 587f3c",
    "d8dccb 7f7a5c d0a878 d2ab7c 7a5638 6b4a5c e3c77a,8a9a6b,d9d2c4 5c6b4a,3b3a2e,d8b46a,efe6d2 "
    "4a6b8a,e9dcc0,9a5a4a 4a7f3f",
)
_BOOKS = "8c2f2b 1f3f5f d8c9a6 2f5a43 c9822f 3a2f45 e5ded0 6b3a24 557a8a a8a33f"


def palette_of(seed: int) -> Palette:
    """The colours of the room of `seed`: one scheme with slightly rotated hues."""
    rng = np.random.default_rng([seed, 0xC0105])
    row = _SCHEMES[seed % len(_SCHEMES)].split()
    turn = 0.0 if seed == 0 else rng.normal(0, 0.02)
    warmth = 1.0 if seed == 0 else rng.uniform(0.88, 1.08)

    def colors(codes: str) -> Array:
        return np.stack([_varied(linear(code), turn, warmth) for code in codes.split(",")])

    wall, accent, floor, wood, dark, cloth, cushions, rug, glaze, leaf = map(colors, row)
    return Palette(
        wall=wall[0],
        accent=accent[0],
        floor=floor[0],
        wood=wood[0],
        dark_wood=dark[0],
        cloth=cloth[0],
        cushions=cushions,
        rug=rug,
        books=rng.permutation(colors(_BOOKS.replace(" ", ","))),
        glaze=glaze,
        leaf=leaf[0],
    )


def _varied(color: Array, turn: float, saturation: float) -> Array:
    h, s, v = colorsys.rgb_to_hsv(*color)
    return np.array(colorsys.hsv_to_rgb((h + turn) % 1, min(1, s * saturation), v))
