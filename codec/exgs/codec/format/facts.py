"""What a file says of its scene: names, layers, measured quality, home view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Layer:
    """One quality layer: how finely it is tiled and what it holds."""

    tile_level: int  # the layer has 2^tile_level tiles
    leaf_count: int  # Gaussians that the layer adds
    proxy_count: int  # merged Gaussians that stand for the rest after it
    amplification: float = 1.0  # factor on the scales of leaves while this is the top layer


@dataclass(frozen=True, slots=True)
class QualityPoint:
    """Picture quality that a prefix of the file reaches on views that no fit has seen.

    The prefix is the header, the root index and `body_bytes` behind them.
    """

    body_bytes: int
    psnr_db: float
    ssim: float


@dataclass(frozen=True, slots=True)
class HomeView:
    """A camera that shows much of the scene: where a viewer may stand first."""

    eye: tuple[float, float, float]
    forward: tuple[float, float, float]  # along the middle of the picture, of any length but 0
    fov_y: float  # vertical field of view, radians


@dataclass(frozen=True, slots=True, eq=False)
class SceneFacts:
    """The facts of the root index."""

    name: str
    credit: str
    license: str
    encoder: str
    leaf_count: int
    sh_degree: int
    up: tuple[float, float, float]
    layers: tuple[Layer, ...]
    tile_bounds: npt.NDArray[np.float32]  # [2^level, 2, 3] min and max of the finest tiles' means
    quality: tuple[QualityPoint, ...]
    home: HomeView | None = None

    @property
    def tile_level(self) -> int:
        """Level of the finest tiles: there are 2^level of them."""
        return max(layer.tile_level for layer in self.layers)

    @property
    def has_proxies(self) -> bool:
        """Whether merged Gaussians stand for what has not come."""
        return any(layer.proxy_count for layer in self.layers)

    def fine_tiles(self, layer: int, tile: int) -> range:
        """The finest tiles that tile `tile` of `layer` covers."""
        span = 1 << (self.tile_level - self.layers[layer].tile_level)
        return range(tile * span, (tile + 1) * span)
