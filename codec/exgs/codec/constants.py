"""The numbers of the file format and of the protocol.

A test compares them with the tables in spec/format.md and spec/protocol.md.
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

# --- Chunks (sections 6 and 7) ----------------------------------------------------------------


class ChunkKind(IntEnum):
    """The content of a chunk of a cell (layer, tile)."""

    LEAF = 0  # geometry and base colour of leaves
    PROXY = 1  # merged Gaussians that stand in for leaves of later layers
    SH = 2  # SH of the cell's leaves
    BASIS = 3  # the bases that SH chunks are coded in, once per file
    FINE = 4  # finer quantization of the cell's leaves
    EXTRA = 128  # any kind from 128 on: of a later minor version, may be ignored


GEOMETRY_HEAD_BYTES: Final = 48  # LEAF and PROXY; the counts of the children follow
GEOMETRY_COLUMNS: Final = 11  # Morton, 3 scales, 3 rotations, opacity, luma, 2 chromas
FINE_HEAD_BYTES: Final = 28
FINE_COLUMNS: Final = 10  # 3 means, 3 log scales, 3 rotations, opacity
SH_HEAD_BYTES: Final = 8  # a byte for each component follows
SPARSE_COLUMN: Final = 0x80  # width of a column of SH that is mostly zeros
BASIS_HEAD_BYTES: Final = 6
COLUMN_BYTES_MAX: Final = 8  # planes of one column

POSITION_BITS: Final = 21  # per axis: three axes are interleaved to a 63-bit Morton code
SCALE_LOG_MIN: Final = -30.0
SCALE_LOG_MAX: Final = 30.0
ROTATION_BITS_MAX: Final = 16
OPACITY_BITS_MAX: Final = 16

# --- Limits (section 9): a decoder refuses what exceeds them before it allocates --------------

MAX_FILE_BYTES: Final = 1 << 40
MAX_LAYERS: Final = 64
MAX_TILE_LEVEL: Final = 16  # 2^16 tiles
MAX_CHUNKS: Final = 1 << 19
MAX_PAGES: Final = 1 << 10
MAX_ROOT_PACKED_BYTES: Final = (16 << 10) - HEADER_BYTES
MAX_ROOT_RAW_BYTES: Final = 1 << 17
MAX_POSTER_BYTES: Final = 8 << 10
MAX_PAGE_RAW_BYTES: Final = 1 << 20
MAX_CHUNK_RAW_BYTES: Final = 32 << 20
MAX_WINDOW_BYTES: Final = 8 << 20  # of a zstd frame that is larger than its window
MAX_CHUNK_COUNT: Final = 1 << 18  # Gaussians in one chunk
MAX_SCENE_COUNT: Final = 1 << 28  # Gaussians in one file
MAX_FREE_COUNT: Final = 1 << 12  # Gaussians beyond one for each packed byte of their chunk
MAX_SH_CHUNKS: Final = 8  # of one cell
MAX_BASES: Final = 64  # in the BASIS chunk
MAX_QUALITY_POINTS: Final = 1 << 6
MAX_TEXT_BYTES: Final = 1 << 10  # name, credit, licence, encoder, crs
MAX_SH_DEGREE: Final = 3
MAX_NESTING: Final = 16  # maps and lists within each other in the index, the outermost included
MAX_MAGNITUDE: Final = 2.0**99  # of any coordinate, step or coefficient: the same in f32 and f64
AMPLIFICATION_MIN: Final = 2.0**-7
AMPLIFICATION_MAX: Final = 2.0**7

HEAD_BYTES: Final = HEADER_BYTES + MAX_ROOT_PACKED_BYTES  # hold header and root index: 16 KiB

# --- Protocol (spec/protocol.md) --------------------------------------------------------------

PROTOCOL_VERSION: Final = 1
FRAME_HEAD_BYTES: Final = 8
CHUNK_HEAD_BYTES: Final = 12


class FrameType(IntEnum):
    """First byte of a frame. A receiver skips unknown types from IGNORABLE_FRAME_TYPE on."""

    HELLO = 1  # client: version, scene, token, limits, have-set
    WELCOME = 2  # server: version, scene, limits, head of the file
    VIEW = 3  # client: the current camera
    CREDIT = 4  # client: bytes that may still be sent
    CANCEL = 5  # client: don't send these parts
    WANT = 6  # client: send cancelled parts, or send parts again
    CHUNK = 7  # server: a fragment of a part
    ERROR = 8  # both: a fault
    GOAWAY = 9  # both: the connection will be closed


IGNORABLE_FRAME_TYPE: Final = 0x80


class ErrorCode(IntEnum):
    """Reasons of faults; a WebSocket closes with 4000 + code."""

    NONE = 0
    PROTOCOL = 1  # a malformed frame, or one that its state does not allow
    VERSION = 2  # no common version
    UNAUTHORIZED = 3  # the token is missing or wrong
    NOT_FOUND = 4  # no such scene
    SCENE_CHANGED = 5  # the have-set is that of another file
    LIMIT = 6  # a size or rate beyond what was announced
    CREDIT = 7  # more sent than credit was given for
    TIMEOUT = 8  # nothing arrived in time
    SLOW_READER = 9  # the receiver takes too little
    BUSY = 10  # too many connections; retry later
    SHUTDOWN = 11  # the server stops; reconnect
    DAMAGED = 12  # bytes that don't match their hash
    INTERNAL = 13  # an internal fault of the sender


WEBSOCKET_CLOSE_BASE: Final = 4000  # private use, RFC 6455 section 7.4.2

PAGE_PART_BIT: Final = 1 << 31  # part ids: chunk c is c, page p is PAGE_PART_BIT + p
MAX_FRAGMENT_BYTES: Final = 16 << 10  # data in one CHUNK frame
MIN_FRAGMENT_BYTES: Final = 1 << 10  # minimum of a client's limit of fragments
MAX_HELLO_BYTES: Final = 256 << 10
MAX_WELCOME_BYTES: Final = HEAD_BYTES + (64 << 10)
MAX_CONTROL_BYTES: Final = 64 << 10  # payload of every other control frame
MAX_PART_LIST: Final = 1 << 12  # parts in one CANCEL or WANT, partial parts in a have-set
MAX_CREDIT_BYTES: Final = 1 << 48  # maximum of outstanding credit
MAX_VIEWPORT: Final = 1 << 16  # pixels along one side
MAX_NAME_BYTES: Final = 256  # scene name, agent
MAX_TOKEN_BYTES: Final = 4 << 10
MAX_MESSAGE_BYTES: Final = 1 << 10  # text of ERROR and GOAWAY
