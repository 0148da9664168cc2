"""A generated city of any size: rotated and tinted copies of scenes on a terrain, as one PLY.

    python -m bench.scale.city OUT.ply --count 10000000 SCENE [SCENE ...]

Each copy has its own lot. Harmonics are rotated with it. Memory holds the given scenes
and one copy, whatever the size of the city.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.scene.formats import read_scene
from exgs.scene.formats.ply import write_ply_parts
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.scene import Scene
from exgs.scene.transform import transformed
from exgs.scene.views.survey import survey

_LOT = 12.0  # side of a lot, world units; a copy is about 10 across
_COPY = 10.0
_TERRAIN_SHARE = 0.04  # of the Gaussians
_HILL = 3.0  # height of the terrain, world units
_GAINS = (0.7, 1.3)  # of the colour channels of a copy
_DOWN = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, slots=True, eq=False)
class City:
    """A city: `parts` yields its Gaussians, `count` of them."""

    scenes: Sequence[Gaussians]  # each upright, its floor at y = 0, its centre at x = z = 0
    copies: int
    terrain: int  # Gaussians
    seed: int

    @property
    def count(self) -> int:
        """Gaussians of the whole city."""
        return self.terrain + sum(len(self._scene(lot)) for lot in range(self.copies))

    @property
    def side(self) -> int:
        """Lots along each side of the city."""
        return math.ceil(math.sqrt(self.copies))

    def parts(self) -> Iterator[Gaussians]:
        """The terrain, then a copy for each lot."""
        yield self._ground()
        for lot in range(self.copies):
            yield self._copy(lot)

    def _scene(self, lot: int) -> Gaussians:
        return self.scenes[lot % len(self.scenes)]

    def _copy(self, lot: int) -> Gaussians:
        rng = np.random.default_rng((self.seed, lot))
        row, column = divmod(lot, self.side)
        x, z = (_LOT * (place - (self.side - 1) / 2) for place in (column, row))
        angle, size = rng.uniform(0, 2 * math.pi), rng.uniform(0.8, 1.2)
        turn = np.array(
            [
                [math.cos(angle), 0, math.sin(angle)],
                [0, 1, 0],
                [-math.sin(angle), 0, math.cos(angle)],
            ]
        )
        moved = transformed(Scene(self._scene(lot)), rotation=turn, scale=size)
        height = float(self._height(np.array([x]), np.array([z]))[0])
        place = np.array([x, height, z]) + moved.origin
        gains = rng.uniform(*_GAINS, 3)
        part = _coloured(moved.gaussians, gains.astype(np.float32))
        return replace(part, means=(part.means + place).astype(np.float32))

    def _height(self, x: npt.NDArray[np.float64], z: npt.NDArray[np.float64]) -> np.ndarray:
        """The height of the ground, y pointing down."""
        waves: np.ndarray = np.sin(x / 37) * np.cos(z / 29) + 0.5 * np.sin((x + z) / 17)
        return -_HILL * waves

    def _ground(self) -> Gaussians:
        rng = np.random.default_rng((self.seed, 1 << 20))
        half = _LOT * (self.side + 1) / 2
        x, z = rng.uniform(-half, half, (2, self.terrain))
        y = self._height(x, z)
        size = 1.2 * 2 * half / math.sqrt(self.terrain)
        scales = np.empty((self.terrain, 3))
        scales[:, [0, 2]] = size * rng.uniform(0.6, 1.2, (self.terrain, 2))
        scales[:, 1] = 0.05 * size
        grass = 0.5 + 0.2 * np.sin(x / 5) * np.sin(z / 7) + rng.normal(0, 0.05, self.terrain)
        colors = np.stack([0.45 * grass, 0.6 * grass, 0.3 * grass], axis=1)
        quats = np.tile((1.0, 0.0, 0.0, 0.0), (self.terrain, 1))
        columns = (
            np.stack([x, y, z], axis=1),
            quats,
            scales,
            np.full(self.terrain, 0.95),
            (colors - 0.5) / SH_C0,
            np.zeros((self.terrain, 0, 3)),
        )
        return Gaussians(*(column.astype(np.float32) for column in columns))


def build_city(paths: Sequence[Path], count: int, seed: int = 0) -> City:
    """A city of about `count` Gaussians of the scenes at `paths`."""
    scenes = [_upright(read_scene(path).gaussians) for path in paths]
    terrain = max(1000, round(_TERRAIN_SHARE * count))
    copies, total = 0, terrain
    while copies < 1 or total < count:
        total += len(scenes[copies % len(scenes)])
        copies += 1
    return City(scenes, copies, terrain, seed)


def _upright(scene: Gaussians) -> Gaussians:
    """`scene` with its up axis along -y, 10 units across, without what lies far outside."""
    layout = survey(scene)
    turn = _turn_between(-layout.up, _DOWN)
    turned = transformed(Scene(scene), rotation=turn)
    means = turned.gaussians.means.astype(np.float64) + turned.origin
    low, high = np.percentile(means, [5, 95], axis=0)
    factor = _COPY / max(float((high - low)[[0, 2]].max()), 1e-9)
    centre = (low + high) / 2
    floor = np.percentile(means[:, 1], 97)
    placed = transformed(
        Scene(turned.gaussians, origin=turned.origin),
        translation=(-float(centre[0]), -float(floor), -float(centre[2])),
    )
    placed = transformed(placed, scale=factor)
    means = placed.gaussians.means + np.array(placed.origin, np.float32)
    near = np.hypot(means[:, 0], means[:, 2]) < 0.75 * _LOT
    kept = near & (np.abs(means[:, 1]) < _LOT)
    whole = replace(placed.gaussians, means=means.astype(np.float32))
    return whole.select(kept & (placed.gaussians.scales.max(axis=1) < _LOT))


def _turn_between(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> np.ndarray:
    """The rotation that takes the unit vector `a` to `b`."""
    axis, cosine = np.cross(a, b), float(a @ b)
    if cosine < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def _coloured(scene: Gaussians, gains: npt.NDArray[np.float32]) -> Gaussians:
    """`scene` with its colour channels times `gains` [3]."""
    half = np.float32(0.5 / SH_C0)
    return replace(scene, sh0=gains * (scene.sh0 + half) - half, shN=scene.shN * gains)


def main() -> None:
    """Write a city."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    city = build_city(arguments.scenes, arguments.count, arguments.seed)
    degree = max(scene.sh_degree for scene in city.scenes)
    write_ply_parts(arguments.out, Scene(Gaussians.empty(degree)), city.count, city.parts())
    print(f"{arguments.out}: {city.count:,} Gaussians, {city.copies} copies")


if __name__ == "__main__":
    main()
