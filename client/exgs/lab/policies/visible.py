"""Greedy with weights from a small drawing of the coarse scene instead of coverage of boxes.

The measured curves show that gains rank the items of one tile well, and that what goes wrong is the
weight of one tile against another: coverage of boxes knows nothing of what hides what, and a gain
contains already how much of its tile the encoder's views saw. Here a tile's weight is its share of
a drawing of 64 x 36 pixels of a coarse layer's proxies, to a power below 1 for the second reason.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.codec.decoding.build import SceneBuilder
from exgs.lab.assets.asset import Asset
from exgs.lab.assets.exgs_file import ExgsFile
from exgs.lab.errors import LabError
from exgs.lab.policies.policy import Look
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

_WIDTH, _HEIGHT = 64, 36
_FLOOR = 0.02  # of the coverage, for what the coarse layer hides
_MOST_PROXIES = 40_000


class Visible:
    """Gain per byte times the share of the tile in a coarse drawing, to a power."""

    def __init__(self, power: float = 0.75) -> None:
        self._power = power
        self._tiles: _Tiles | None = None
        self._shares: dict[bytes, Doubles] = {}

    def scores(self, look: Look) -> Doubles:
        """As greedy, with other weights of tiles."""
        asset = look.asset
        if self._tiles is None:
            self._tiles = _Tiles(asset)
        tiles, weights = self._tiles, look.weights(0.0)
        key = look.camera.viewmat.tobytes()
        if key not in self._shares:
            self._shares[key] = tiles.shares(look.camera)
        coverage = weights.coverage[tiles.first]
        share = np.maximum(self._shares[key], _FLOOR * coverage)
        share = np.where(coverage > 0, share**self._power, 0.0)
        of_item = np.where(asset.is_setup, 0.0, tiles.of_items(share))
        around = np.where(asset.is_setup, 1.0, weights.around * asset.share)
        density = np.maximum(asset.gain, 1e-12) / np.maximum(look.missing_bytes, 1)
        hidden = -1 / np.maximum(density * around, 1e-300)
        scores: Doubles = np.where(of_item > 0, density * of_item, hidden)
        return scores


class _Tiles:
    """The finest tiles of a file, and a coarse scene whose Gaussians belong to them."""

    def __init__(self, asset: Asset) -> None:
        file = asset.source
        if not isinstance(file, ExgsFile):
            raise LabError("the policy visible is for .exgs files: leave out 'format'")
        facts = file.head.root.facts
        units = [file.plan.units[number] for number in file.unit_of]
        level = facts.tile_level
        self._tile = np.array([unit.tile for unit in units])
        self._shift = np.array([level - facts.layers[unit.layer].tile_level for unit in units])
        count = 1 << level
        self.gain = np.zeros(count)
        self.first = np.zeros(count, np.int64)  # of each tile an item that has its box
        for item in np.flatnonzero((self._shift == 0) & ~asset.is_setup)[::-1].tolist():
            self.gain[self._tile[item]] += asset.gain[item]
            self.first[self._tile[item]] = item
        self.gain += 1e-9 * max(float(self.gain.max()), 1e-12)
        self._coarse = _coarse_scene(file)
        low, high = asset.low[self.first], asset.high[self.first]
        self._owner = _nearest_box(self._coarse.means.astype(np.float64), low, high)
        self._rasterizer = default_rasterizer(antialiased=file.antialiased)

    def shares(self, camera: Camera) -> Doubles:
        """The share of the picture that each tile makes up, as far as the coarse layer tells."""
        small = camera.thinned(_WIDTH, _HEIGHT)
        sums = self._rasterizer.contributions(self._coarse, small).sum
        return np.bincount(self._owner, sums, len(self.first)) / (_WIDTH * _HEIGHT)

    def of_items(self, share: Doubles) -> Doubles:
        """The mean over the finest tiles of each item [I], weighted by their gains."""
        gains = np.concatenate([[0.0], np.cumsum(self.gain)])
        sums = np.concatenate([[0.0], np.cumsum(share * self.gain)])
        start, end = self._tile << self._shift, (self._tile + 1) << self._shift
        mean: Doubles = (sums[end] - sums[start]) / (gains[end] - gains[start])
        return np.where(mean > 1e-12, mean, 0.0)


def _coarse_scene(file: ExgsFile) -> Gaussians:
    """What the first layers draw, as many of them as are small."""
    layers = file.head.root.facts.layers
    last = max(
        (
            n
            for n, layer in enumerate(layers)
            if layer.proxy_count <= _MOST_PROXIES
            and not any(before.leaf_count for before in layers[: n + 1])
        ),
        default=0,
    )
    builder = SceneBuilder(file.head.root.facts, file.table)
    for chunk in file.table.values():
        if chunk.layer <= last:
            builder.add(chunk, file.packed(chunk.id), verified=True)
    return builder.drawn().gaussians


def _nearest_box(points: Doubles, low: Doubles, high: Doubles) -> Longs:
    """The box that each point lies in, or else the nearest one."""
    best = np.full(len(points), np.inf)
    owner = np.zeros(len(points), np.int64)
    for number, (a, b) in enumerate(zip(low, high, strict=True)):
        away = np.linalg.norm(points - np.clip(points, a, b), axis=1)
        closer = away < best
        best[closer], owner[closer] = away[closer], number
    return owner
