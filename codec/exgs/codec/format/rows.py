"""Rows of the chunk table and of the page table, with the offsets that follow from the lengths."""

from __future__ import annotations

from dataclasses import dataclass

from exgs.codec.constants import ChunkKind


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
