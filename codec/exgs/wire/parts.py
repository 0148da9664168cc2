"""Parts: what a stream is cut into. A part is a chunk of the file or a page of its chunk table.

Parts are named by one 32-bit number each, so that one rule serves both: pages set the top bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exgs.codec.constants import PAGE_PART_BIT


def page_part(page_id: int) -> int:
    """The part id of a page."""
    return PAGE_PART_BIT | page_id


def is_page(part: int) -> bool:
    """Whether a part is a page of the chunk table."""
    return bool(part & PAGE_PART_BIT)


def page_id(part: int) -> int:
    """The page behind a part id for which `is_page` holds."""
    return part & ~PAGE_PART_BIT


def part_name(part: int) -> str:
    """A part's name in messages."""
    return f"page {page_id(part)}" if is_page(part) else f"chunk {part}"


@dataclass(frozen=True, slots=True)
class HaveSet:
    """What a client holds of one file already."""

    scene_hash: bytes
    chunks: frozenset[int] = frozenset()  # whole chunks, by chunk id
    pages: frozenset[int] = frozenset()  # whole pages, by page id
    partial: Mapping[int, int] = field(default_factory=dict)  # part -> bytes held from its front


def pack_bitmap(members: frozenset[int]) -> bytes:
    """Bit i % 8 of byte i // 8 is set for each member i; no zero bytes at the end."""
    bitmap = bytearray(max(members, default=-1) // 8 + 1)
    for member in members:
        bitmap[member >> 3] |= 1 << (member & 7)
    return bytes(bitmap)


def unpack_bitmap(bitmap: bytes) -> frozenset[int]:
    """The members of a bitmap."""
    return frozenset(
        (byte_number << 3) | bit
        for byte_number, byte in enumerate(bitmap)
        if byte
        for bit in range(8)
        if byte >> bit & 1
    )
