"""The index: what the scene is, and where every chunk lies.

The root index holds the facts and the table of the first chunks; the rest of the table is cut
into pages that lie in the file right before the chunks that they list. Lengths are stored and
offsets follow from them, so that chunks can neither overlap nor leave holes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.rules import TableRules


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


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """One row of the chunk table, with the offset that follows from the rows before it."""

    id: int
    kind: ChunkKind
    layer: int
    tile: int
    count: int
    raw_bytes: int
    packed_bytes: int
    gain: float  # drop of squared error that the chunk is worth, see spec section 6
    hash: bytes
    offset: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind the chunk."""
        return self.offset + self.packed_bytes

    @property
    def section(self) -> str:
        """The chunk's name in messages."""
        return f"chunk {self.id} ({self.kind.name}, layer {self.layer}, tile {self.tile})"


@dataclass(frozen=True, slots=True)
class PageRef:
    """One page of the chunk table, stored right before the chunks that it lists."""

    id: int
    first_chunk: int
    chunk_count: int
    chunk_bytes: int  # packed bytes of all its chunks together
    raw_bytes: int
    packed_bytes: int
    hash: bytes
    offset: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind the page: that of its first chunk."""
        return self.offset + self.packed_bytes

    @property
    def section(self) -> str:
        """The page's name in messages."""
        return f"page {self.id}"


@dataclass(frozen=True, slots=True)
class RootIndex:
    """The root index: the facts, the first chunks, and where the other pages lie."""

    facts: SceneFacts
    chunks: tuple[ChunkRef, ...]
    pages: tuple[PageRef, ...]
    chunk_count: int  # chunks in the whole file
    file_bytes: int


class ChunkTable(Mapping[int, ChunkRef]):
    """The rows of the chunk table known so far, by chunk id in file order.

    Raises DamagedError or LimitError where rows do not fit together.
    """

    def __init__(self, root: RootIndex) -> None:
        self.root = root
        self._rows = {row.id: row for row in root.chunks}
        self._pages_missing = {page.id: page for page in root.pages}
        self.joined_sh = set(_joined_sh(root.chunks))  # ids of the SH that LEAF are drawn with
        self._rules = TableRules(root.facts, root.chunk_count)
        self._rules.enter(0, root.chunks)

    def add_page(self, page: PageRef, rows: tuple[ChunkRef, ...]) -> None:
        """Enter the rows of `page`, which is then no longer missing; once more is harmless."""
        if self._pages_missing.pop(page.id, None) is None:
            return
        self._rules.enter(page.id, rows)
        self._rows.update((row.id, row) for row in rows)
        self.joined_sh.update(_joined_sh(rows))

    @property
    def missing_pages(self) -> tuple[PageRef, ...]:
        """Pages whose rows are not known yet, in file order."""
        return tuple(self._pages_missing.values())

    @property
    def complete(self) -> bool:
        """Whether every chunk of the file is known."""
        return not self._pages_missing

    def __getitem__(self, chunk_id: int) -> ChunkRef:
        return self._rows[chunk_id]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._rows))

    def __len__(self) -> int:
        return len(self._rows)


def _joined_sh(rows: Iterable[ChunkRef]) -> Iterator[int]:
    """The SH rows of a page that stand right behind the LEAF or PROXY of their cell."""
    before: ChunkRef | None = None
    for row in rows:
        if row.kind in (ChunkKind.BASIS, ChunkKind.EXTRA):
            continue
        if (
            row.kind is ChunkKind.SH
            and before is not None
            and before.kind in (ChunkKind.LEAF, ChunkKind.PROXY)
            and (row.layer, row.tile) == (before.layer, before.tile)
        ):
            yield row.id
        before = row
