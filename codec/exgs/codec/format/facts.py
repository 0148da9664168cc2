"""The facts that a file states about its scene: names, layers, quality, home view, coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Layer:
    """One quality layer: its tile level and its numbers of Gaussians."""

    tile_level: int  # the layer has 2^tile_level tiles
    leaf_count: int  # Gaussians that the layer adds
    proxy_count: int  # merged Gaussians that stand in for leaves of later layers
    amplification: float = 1.0  # factor on the scales of leaves while this is the top layer


@dataclass(frozen=True, slots=True)
class QualityPoint:
    """The picture quality of a prefix of the file on held-out views.

    The prefix consists of the header, the root index and the next `body_bytes` bytes.
    """

    body_bytes: int
    psnr_db: float
    ssim: float


@dataclass(frozen=True, slots=True)
class HomeView:
    """A camera that shows much of the scene, for a viewer to start with."""

    eye: Vector
    forward: Vector  # viewing direction, of any length except 0
    fov_y: float  # vertical field of view, radians

    def relative_to(self, origin: Vector) -> HomeView:
        """The same view of a scene whose positions are relative to `origin`."""
        x, y, z = (a - b for a, b in zip(self.eye, origin, strict=True))
        return replace(self, eye=(x, y, z))


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
    poster_hash: bytes = b""  # empty if there is no poster

    @property
    def tile_level(self) -> int:
        """Tile level of the last layer, the finest."""
        return self.layers[-1].tile_level

    @property
    def has_proxies(self) -> bool:
        """Whether the file has proxies."""
        return any(layer.proxy_count for layer in self.layers)

    def child_count(self, layer: int) -> int:
        """Number of children of each cell of `layer`; 1 in the last layer."""
        return 1 << self.child_shift(layer)

    def child_shift(self, layer: int) -> int:
        """Difference of the tile levels of `layer` and the next layer; 0 for the last layer."""
        if layer + 1 == len(self.layers):
            return 0
        return self.layers[layer + 1].tile_level - self.layers[layer].tile_level
