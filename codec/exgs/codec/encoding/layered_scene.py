"""A scene with its tiles and layers and the measurements of the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from exgs.codec.encoding.layer_plan import LayerPlan
from exgs.codec.encoding.tiles import Cut, TileTree
from exgs.codec.measuring.importance import Importance
from exgs.codec.measuring.sensitivity import Sensitivity
from exgs.scene.gaussians import Gaussians

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayeredScene:
    """N Gaussians with the tile and the layer of each."""

    scene: Gaussians
    importance: Importance
    sensitivity: Sensitivity
    plan: Sequence[LayerPlan]
    tiles: TileTree
    fine_tile: Index  # [N] finest tile of each Gaussian
    layer_of: Index  # [N] layer of each Gaussian
    coarseness: float = 1.0  # factor on the squared errors that quantization of leaves may add

    @cached_property
    def plain(self) -> Gaussians:
        """The scene with SH degree 0."""
        return self.scene.without_sh()

    def leaves(self, layer: int) -> Index:
        """Indices of the leaves of `layer`."""
        return np.flatnonzero(self.layer_of == layer)

    def remainder(self, layer: int) -> Index:
        """Indices of the leaves of all later layers, for which the proxies of `layer` stand in."""
        return np.flatnonzero(self.layer_of > layer)

    def cut(self, layer: int) -> Cut:
        """The division of `layer` into cells."""
        level = self.plan[layer].tile_level
        next_level = self.plan[layer + 1].tile_level if layer + 1 < len(self.plan) else level
        return Cut(1 << (self.tiles.level - level), 1 << (next_level - level))
