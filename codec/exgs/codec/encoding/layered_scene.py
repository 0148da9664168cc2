"""A scene that is cut into tiles and layers, with what an encoder has measured of it."""

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
    """N Gaussians and where each of them comes in the file."""

    scene: Gaussians
    importance: Importance
    sensitivity: Sensitivity
    plan: Sequence[LayerPlan]
    tiles: TileTree
    fine_tile: Index  # [N] of `tiles`
    layer_of: Index  # [N] of `plan`

    @cached_property
    def plain(self) -> Gaussians:
        """The scene without SH: what layers begin with, and what is merged."""
        return self.scene.without_sh()

    def leaves(self, layer: int) -> Index:
        """The Gaussians that come with `layer`."""
        return np.flatnonzero(self.layer_of == layer)

    def rest(self, layer: int) -> Index:
        """The Gaussians that have not come after `layer`."""
        return np.flatnonzero(self.layer_of > layer)

    def cut(self, layer: int) -> Cut:
        """How `layer` is cut into cells."""
        level = self.plan[layer].tile_level
        below = self.plan[layer + 1].tile_level if layer + 1 < len(self.plan) else level
        return Cut(1 << (self.tiles.level - level), 1 << (below - level))
