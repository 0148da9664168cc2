"""Every number of the file format, in one place.

spec/format.md holds the same tables in prose and a test compares the two. The protocol's numbers
are in the second half, against spec/protocol.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

# --- Header (spec/format.md, section 3) -------------------------------------------------------

MAGIC: Final = b"EXGS\r\n\x1a\n"
FORMAT_MAJOR: Final = 1
FORMAT_MINOR: Final = 0
HEADER_BYTES: Final = 64
HASH_BYTES: Final = 16  # a SHA-256 digest cut to its first 128 bits

# --- Chunks (sections 5 and 6) ----------------------------------------------------------------


class ChunkKind(IntEnum):
    """What a chunk of a cell (layer, tile) holds."""

    LEAF = 0  # geometry and base colour of true Gaussians
    PROXY = 1  # merged Gaussians that stand for all that the tile still lacks after the layer
    SH = 2  # view dependence of the cell's leaves
    BASIS = 3  # the basis that SH chunks are coded in, once per file


POSITION_BITS: Final = 21  # per axis: three axes interleave into one 63-bit Morton code
SCALE_LOG_MIN: Final = -30.0
SCALE_LOG_MAX: Final = 30.0
ROTATION_BITS_MAX: Final = 16
OPACITY_BITS_MAX: Final = 16

# --- Limits (section 8): a decoder refuses what exceeds them before it allocates --------------

MAX_LAYERS: Final = 64
MAX_TILE_LEVEL: Final = 12  # 2^12 tiles
MAX_CHUNKS: Final = 1 << 20
MAX_PAGES: Final = 1 << 12
MAX_ROOT_RAW_BYTES: Final = 16 << 20
MAX_PAGE_RAW_BYTES: Final = 16 << 20
MAX_CHUNK_RAW_BYTES: Final = 64 << 20
MAX_CHUNK_COUNT: Final = 1 << 20  # Gaussians in one chunk
MAX_SCENE_COUNT: Final = 1 << 28  # Gaussians in one file
MAX_TEXT_BYTES: Final = 16 << 10  # name, credit, licence

ROOT_TARGET_BYTES: Final = 16 << 10  # header and root index of a file lie in its first 16 KiB
