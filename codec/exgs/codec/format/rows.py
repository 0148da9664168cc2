"""Rows of the chunk table and of the page table, with offsets computed from the lengths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exgs.codec.constants import ChunkKind

Cell = tuple[int, int]  # (layer, tile)


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box in the coordinates of the file."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


EMPTY_BOX = Box((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))  # of a tile without leaves


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box around all `boxes` that are not empty."""
    full = [box for box in boxes if box != EMPTY_BOX]
    if not full:
        return EMPTY_BOX
    low = [min(values) for values in zip(*(box.low for box in full), strict=True)]
    high = [max(values) for values in zip(*(box.high for box in full), strict=True)]
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


@dataclass(frozen=True, slots=True)
class Region:
    """A tile of any level whose chunks a page lists."""

    level: int = 0
    tile: int = 0

    def covers(self, level: int, tile: int) -> bool:
        """Whether the tile `tile` of `level` is part of this region."""
        return level >= self.level and tile >> (level - self.level) == self.tile


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """One row of the chunk table, with the offset of the chunk in the file."""

    id: int
    kind: ChunkKind
    layer: int
    tile: int
    count: int
    raw_bytes: int
    packed_bytes: int
    gain: float  # reduction of squared error that the encoder assigns to the chunk, spec section 6
    hash: bytes
    offset: int
    box: Box | None = None  # of the cell, at its first LEAF or PROXY

    @property
    def end(self) -> int:
        """Offset of the first byte after the chunk."""
        return self.offset + self.packed_bytes

    @property
    def cell(self) -> Cell:
        """The cell that the chunk belongs to."""
        return self.layer, self.tile

    @property
    def section(self) -> str:
        """The name of the chunk in error messages."""
        return f"chunk {self.id} ({self.kind.name}, layer {self.layer}, tile {self.tile})"


@dataclass(frozen=True, slots=True)
class PageRef:
    """One page of the chunk table. The chunks of all pages of a group fill one area of the file."""

    id: int
    first_chunk: int
    chunk_count: int
    chunk_bytes: int  # total packed bytes of its chunks
    raw_bytes: int
    packed_bytes: int
    hash: bytes
    offset: int
    group: int
    region: Region
    box: Box  # contains the boxes of all cells whose rows it lists
    gain: float  # sum of the gains of its rows
    area_start: int  # of the group's chunks
    area_end: int

    @property
    def end(self) -> int:
        """Offset of the first byte after the page."""
        return self.offset + self.packed_bytes

    @property
    def section(self) -> str:
        """The name of the page in error messages."""
        return f"page {self.id}"
