"""Builds a furnished room from a seed: dimensions, arrangement of the furniture, colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from exgs.sample import decor, furniture, lamps, plants, prints, textures
from exgs.sample.builder import Builder, Cover, Lamp, Stand
from exgs.sample.noise import Array
from exgs.sample.occlusion import Solids
from exgs.sample.palette import palette_of
from exgs.sample.shell import Window, build_shell
from exgs.sample.surfaces import Material, Paint, Surface, boxes, ribbons


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """A room and its content in metres: x to the right, y up from the floor, z away."""

    half_width: float
    half_depth: float
    height: float
    window: Window
    sun: Array  # [3] unit vector towards the sun
    lamps: tuple[Lamp, ...]
    surfaces: tuple[Surface, ...]
    solids: Solids
    covers: tuple[Cover, ...]
    mirrored: bool  # whether x changes its sign in the finished scene

    @property
    def to_scene(self) -> Array:
        """Factors [3] that convert from the room's axes to those of the scene, where y is down."""
        return np.array([-1.0 if self.mirrored else 1.0, -1.0, 1.0])

    def with_surfaces(self, surfaces: tuple[Surface, ...]) -> Room:
        """The same room and lights with other surfaces."""
        return replace(self, surfaces=surfaces)


def room_of(seed: int) -> Room:
    """Build the room of `seed`. Demonstrations show seed 0."""
    rng = np.random.default_rng([seed, 0x5CE7E])
    palette = palette_of(seed)
    canonical = seed == 0
    half_width = 2.45 if canonical else rng.uniform(2.2, 2.75)
    half_depth = 2.05 if canonical else rng.uniform(1.85, 2.35)
    height = 2.65 if canonical else rng.uniform(2.45, 2.85)
    room = Builder(palette, rng, seed, half_width, half_depth, height)
    style = (0, 0, 0, 0) if canonical else tuple(int(k) for k in rng.integers(0, (3, 4, 3, 3)))

    floor = (
        textures.planks(palette.floor, seed + 1),
        textures.herringbone(palette.floor, seed + 1),
        textures.checks(np.array([0.66, 0.62, 0.55]), np.array([0.12, 0.13, 0.14]), seed + 1),
    )[style[0]]
    accent = (
        textures.bricks(palette.accent, seed + 2),
        textures.wallpaper(palette.wall * 0.9, palette.accent, seed + 2),
        textures.tiles(palette.accent, seed + 2),
        textures.planks(palette.accent * 0.9, seed + 2, 0.11, 1.8),
    )[style[1]]
    middle = 0.15 if canonical else rng.uniform(-0.35, 0.35)
    wide = 0.92 if canonical else rng.uniform(0.70, 1.0)
    window = Window(
        -half_width,
        np.array([0.82, middle - wide]),
        np.array([2.22, middle + wide]),
        columns=3 if wide > 0.85 else 2,
        rows=2,
    )
    build_shell(room, floor, accent, window)
    _back_wall(room)
    _middle(room, lounge=style[2] == 1)
    _front_wall(room, sofa=style[3] == 1)
    _right_wall(room)
    _window_corner(room, window)

    sun = np.array([-0.80, 0.60, 0.10 if canonical else rng.uniform(-0.25, 0.25)])
    return Room(
        half_width,
        half_depth,
        height,
        window,
        sun / np.linalg.norm(sun),
        tuple(room.lamps),
        tuple(room.surfaces),
        room.solids,
        tuple(room.covers),
        mirrored=not canonical and bool(rng.integers(2)),
    )


def _picture_paint(room: Builder, kind: int) -> Paint:
    palette = room.palette
    if kind == 0:
        far = np.array([0.45, 0.52, 0.54])
        near = np.stack([far, far * [0.75, 0.72, 0.66], palette.leaf * 1.2, palette.leaf * 0.45])
        return prints.landscape(near, room.seed + 21)
    colors = np.stack(
        [palette.cloth, palette.accent, palette.cushions[0], palette.glaze[0], palette.dark_wood]
    )
    return prints.abstract(colors, room.seed + 22 + kind)


def _back_wall(room: Builder) -> None:
    x, z, rng = room.half_width, room.half_depth, room.rng
    width = 1.65 if room.seed == 0 else rng.uniform(1.2, 1.9)
    shelf = x - 0.25 - width / 2
    furniture.bookcase(room, Stand(np.array([shelf, 0.0, z - 0.16])), width, 2.15)
    free = (-x + 0.35 + shelf - width / 2) / 2
    decor.picture(
        room, Stand(np.array([free + 0.12, 1.52, z - 0.02])), 0.92, 0.64, _picture_paint(room, 0)
    )
    furniture.armchair(room, Stand(np.array([free + 0.22, 0.0, z - 0.62]), rng.normal(0.12, 0.05)))
    lamps.floor_lamp(room, Stand(np.array([shelf - width / 2 - 0.30, 0.0, z - 0.36])))


def _middle(room: Builder, lounge: bool) -> None:
    rng, palette = room.rng, room.palette
    half = np.array([1.28, 0.006, 0.88])
    center = np.array([0.05, 0.006, -0.18])
    rug = Material(textures.rug(palette.rug, room.seed + 3))
    turn = 0.0 if room.seed == 0 else rng.normal(0, 0.05)
    room.add(boxes(center, half, "top", turn), rug, importance=1.2, backed=True, facets=(14, 20))
    room.cover(center * [1, 0, 1], half + np.array([0, 0.002, 0]), turn)
    _fringe(room, Stand(center, turn), half)
    stand = Stand(np.array([0.15, 0.0, -0.15]), rng.uniform(0, 0.4))
    if lounge:
        tall = 0.46
        furniture.rectangular_table(room, stand, (0.58, 0.36), tall)
    else:
        tall = 0.74
        furniture.round_table(room, stand, 0.56, tall)
        for angle in rng.permutation([0.5, 2.3, 3.9])[: 2 + (room.seed % 2)] + rng.normal(0, 0.12):
            place = stand.at(0.66 * np.sin(angle), 0, 0.66 * np.cos(angle))
            furniture.chair(room, Stand(place, stand.yaw - angle + rng.normal(0, 0.15)))
    on = [
        stand.at(px, tall, pz)
        for px, pz in ((-0.12, 0.10), (0.20, 0.15), (0.20, -0.16), (-0.16, -0.22))
    ]
    decor.fruit_bowl(room, Stand(on[0]), 0.155)
    decor.teapot(room, Stand(on[1], rng.uniform(-0.6, 1.2)), 0.125)
    decor.cups(room, [Stand(on[2]), Stand(on[3])], 0.075)
    if not lounge:
        lamps.pendant(room, stand.at(0, 1.72, 0), room.height)


def _fringe(room: Builder, stand: Stand, half: Array) -> None:
    count = 150
    z = np.linspace(-half[2], half[2], count)
    end = np.repeat([-1.0, 1.0], count)
    z = np.concatenate([z, z])
    reach = room.rng.uniform(0.05, 0.075, 2 * count)
    slip = room.rng.normal(0, 0.008, 2 * count)
    curve = np.stack(
        [
            stand.at(end * (half[0] + k / 3 * reach), 0.004 - 0.004 * k / 3, z + slip * k / 3)
            for k in range(4)
        ],
        1,
    )
    yarn = Material(prints.fur(room.palette.rug[3] * 0.9, room.seed + 4))
    room.add(ribbons(curve, 0.008, widest=0.5), yarn, facets=(1, 2), importance=0.8)


def _front_wall(room: Builder, sofa: bool) -> None:
    x, z, rng = room.half_width, room.half_depth, room.rng
    if sofa:
        furniture.armchair(room, Stand(np.array([0.35, 0.0, -z + 0.52]), np.pi), 1.75)
    else:
        furniture.sideboard(room, Stand(np.array([-0.45, 0.0, -z + 0.22]), np.pi), 1.5)
        for k, place in enumerate((0.45, -0.05)):
            base = Stand(np.array([-0.45 + place, 0.78, -z + 0.22]), np.pi)
            if k:
                decor.lying_books(room, base, 5)
            else:
                decor.vase(
                    room, base, 0.30, prints.majolica(room.palette.glaze[[0, 1]], room.seed + 24), 9
                )
    decor.picture(
        room, Stand(np.array([-0.1, 1.58, -z + 0.02]), np.pi), 0.60, 0.78, _picture_paint(room, 1)
    )
    decor.picture(
        room, Stand(np.array([-0.95, 1.58, -z + 0.02]), np.pi), 0.60, 0.78, _picture_paint(room, 2)
    )
    plants.broad_plant(
        room, Stand(np.array([x - 0.48, 0.0, -z + 0.50]), 0.4), 1.0 + 0.1 * rng.random(), 17
    )


def _right_wall(room: Builder) -> None:
    x, rng = room.half_width, room.rng
    at = np.array([x - 0.22, 0.0, 0.12])
    furniture.sideboard(room, Stand(at, -np.pi / 2), 1.25)
    top = at + np.array([0, 0.78, 0])
    lamps.table_lamp(room, Stand(top + np.array([0.02, 0, -0.40])))
    decor.vase(
        room,
        Stand(top + np.array([0, 0, 0.40])),
        0.34,
        prints.majolica(room.palette.glaze[[1, 2]], room.seed + 25),
        7,
    )
    decor.lying_books(
        room, Stand(top + np.array([-0.02, 0, 0.02]), -np.pi / 2 + rng.normal(0, 0.2)), 4
    )
    decor.picture(
        room,
        Stand(np.array([x - 0.02, 1.55, 0.12]), -np.pi / 2),
        0.78,
        0.58,
        _picture_paint(room, 3),
    )


def _window_corner(room: Builder, window: Window) -> None:
    rng, x, z = room.rng, room.half_width, room.half_depth
    plants.potted_plant(room, Stand(np.array([-x + 0.42, 0.0, z - 0.42])), 1.05, 95)
    sill = window.low[0]
    for k, t in enumerate((0.22, 0.62)):
        at = np.array([window.x + 0.10, sill, window.low[1] + t * (window.high[1] - window.low[1])])
        plants.potted_plant(room, Stand(at), 0.30 + 0.04 * k, int(rng.integers(26, 40)))
