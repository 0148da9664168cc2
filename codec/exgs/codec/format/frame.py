"""Zstandard frames with a hash: the stored form of the root index, the pages and the chunks.

Packing ends a block after each column, so that each column has its own entropy tables. Quantized
values seldom repeat, so frames without matches are often shorter. Unpacking checks the hash first,
then the frame header, then the size of the output.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

import zstandard

from exgs.codec.constants import HASH_BYTES, MAX_WINDOW_BYTES
from exgs.codec.errors import DamagedError, LimitError

Buffer = bytes | bytearray | memoryview

_MATCHES_LEVEL = 19
_ENTROPY_ONLY = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST,
    window_log=17,
    hash_log=6,  # with such a small table, hardly any match is found
    chain_log=6,
    search_log=1,
    min_match=7,
    write_content_size=True,
    write_checksum=False,
)
_STORED_HEAD = struct.Struct("<IBI")  # magic, descriptor, content size
_STORED = 0xA0  # a content size of 4 bytes, a window of the same size
_BLOCK_BYTES = 128 << 10  # at most


def content_hash(data: Buffer) -> bytes:
    """The hash of packed bytes: the first 16 bytes of their SHA-256."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def check_hash(
    packed: Buffer, expected_hash: bytes, *, section: str, offset: int | None = None
) -> None:
    """Raise DamagedError unless `packed` has this hash."""
    if content_hash(packed) != expected_hash:
        raise DamagedError("the hash does not match", section=section, offset=offset)


def pack_frame(columns: Iterable[Buffer], *, thorough: bool = True) -> tuple[bytes, int]:
    """Pack columns into one frame, with one or more blocks each. Also return the raw length.

    Uses entropy coding only. With `thorough`, also tries level 19 and keeps the shorter frame.
    """
    parts = [memoryview(column).cast("B") for column in columns if len(column)]
    raw_bytes = sum(len(part) for part in parts)
    packed = _in_blocks(
        zstandard.ZstdCompressor(compression_params=_ENTROPY_ONLY).compressobj(raw_bytes), parts
    )
    if thorough:
        searching = zstandard.ZstdCompressor(level=_MATCHES_LEVEL, write_checksum=False)
        packed = min(packed, _in_blocks(searching.compressobj(raw_bytes), parts), key=len)
    return packed, raw_bytes


def store_frame(columns: Iterable[Buffer]) -> bytes:
    """Store columns uncompressed in one frame of raw blocks (RFC 8878, section 3.1.1)."""
    raw = b"".join(columns)
    frame = bytearray(_STORED_HEAD.pack(zstandard.MAGIC_NUMBER, _STORED, len(raw)))
    for start in range(0, max(len(raw), 1), _BLOCK_BYTES):
        block = raw[start : start + _BLOCK_BYTES]
        is_last = start + _BLOCK_BYTES >= len(raw)
        frame += (len(block) << 3 | is_last).to_bytes(3, "little") + block
    return bytes(frame)


def _in_blocks(compressor: zstandard.ZstdCompressionObj, parts: Sequence[memoryview]) -> bytes:
    packed = bytearray()
    for part in parts:
        packed += compressor.compress(part)
        packed += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    packed += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)
    return bytes(packed)


def unpack_frame(
    packed: Buffer,
    *,
    raw_bytes: int,
    expected_hash: bytes | None,
    limit_bytes: int,
    section: str,
    offset: int | None = None,
) -> bytes:
    """Verify and decompress one frame to exactly `raw_bytes` bytes.

    `expected_hash` is None if the hash has been checked already. Raises LimitError before any
    allocation if `raw_bytes` exceeds `limit_bytes`. Raises DamagedError if the hash, the frame
    header or the size is wrong.
    """
    if raw_bytes > limit_bytes:
        raise LimitError(
            f"{raw_bytes} bytes unpacked, the limit is {limit_bytes}",
            section=section,
            offset=offset,
        )
    if expected_hash is not None:
        check_hash(packed, expected_hash, section=section, offset=offset)
    try:
        frame = zstandard.get_frame_parameters(packed)
        if frame.dict_id:
            raise DamagedError("the zstd frame needs a dictionary", section=section, offset=offset)
        # python-zstandard prefers the content size in the frame to max_output_size.
        if frame.content_size != raw_bytes:
            raise DamagedError(
                f"the frame holds {frame.content_size} bytes, the index says {raw_bytes}",
                section=section,
                offset=offset,
            )
        if frame.window_size > max(raw_bytes, MAX_WINDOW_BYTES):
            raise LimitError(
                f"a zstd window of {frame.window_size} bytes", section=section, offset=offset
            )
        raw = zstandard.ZstdDecompressor().decompress(
            packed, max_output_size=raw_bytes, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise DamagedError(f"zstd: {error}", section=section, offset=offset) from error
    if len(raw) != raw_bytes:
        raise DamagedError(
            f"{len(raw)} bytes came out, the index says {raw_bytes}", section=section, offset=offset
        )
    return raw
