"""Parts of a stream: chunks of the file and pages of its chunk table.

Each part has a 32-bit id. The ids of pages have the top bit set.
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
    """The page number of a part id for which `is_page` is true."""
    return part & ~PAGE_PART_BIT


def part_name(part: int) -> str:
    """The name of a part in error messages."""
    return f"page {page_id(part)}" if is_page(part) else f"chunk {part}"


@dataclass(frozen=True, slots=True)
class HaveSet:
    """The parts and partial parts that a client has of one file."""

    scene_hash: bytes
    chunks: frozenset[int] = frozenset()  # whole chunks, by chunk id
    pages: frozenset[int] = frozenset()  # whole pages, by page id
    partial: Mapping[int, int] = field(default_factory=dict)  # part -> bytes held from its front


def pack_bitmap(members: frozenset[int]) -> bytes:
    """Encode a set as a bitmap: bit i % 8 of byte i // 8 for member i, without trailing zeros."""
    bitmap = bytearray(max(members, default=-1) // 8 + 1)
    for member in members:
        bitmap[member >> 3] |= 1 << (member & 7)
    return bytes(bitmap)


def unpack_bitmap(bitmap: bytes) -> frozenset[int]:
    """Decode the members of a bitmap."""
    return frozenset(
        (byte_number << 3) | bit
        for byte_number, byte in enumerate(bitmap)
        if byte
        for bit in range(8)
        if byte >> bit & 1
    )
