"""What a file says of its scene: names, layers, measured quality, home view, frame."""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]


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

    eye: Vector
    forward: Vector  # along the middle of the picture, of any length but 0
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
    up: Vector
    layers: tuple[Layer, ...]
    quality: tuple[QualityPoint, ...]
    home: HomeView | None = None
    antialiased: bool = False  # trained, and to be drawn, with screen-space compensation
    origin: Vector = (0.0, 0.0, 0.0)  # source position = position in the file + origin, in f64
    crs: str = ""  # coordinate reference system of the source, "" where unknown
    poster_hash: bytes = b""  # empty where there is no poster

    @property
    def tile_level(self) -> int:
        """Tile level of the last layer, the finest."""
        return self.layers[-1].tile_level

    @property
    def has_proxies(self) -> bool:
        """Whether merged Gaussians stand for what has not come."""
        return any(layer.proxy_count for layer in self.layers)

    def child_count(self, layer: int) -> int:
        """Number of children of each cell of `layer`: 1 in the last layer."""
        return 1 << self.child_shift(layer)

    def child_shift(self, layer: int) -> int:
        """Tile levels from `layer` to the next one, 0 from the last."""
        if layer + 1 == len(self.layers):
            return 0
        return self.layers[layer + 1].tile_level - self.layers[layer].tile_level
