"""One zstd frame with a hash: how the root index, the pages and the chunks are stored.

Packing ends a zstd block behind every column, so that each column gets entropy tables of its own.
Quantized values seldom repeat: searching for matches often does more harm than good.
Unpacking trusts nothing: hash first, then the frame's own header, then exactly the expected size.
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
    hash_log=6,  # so small a table finds hardly any match
    chain_log=6,
    search_log=1,
    min_match=7,
    write_content_size=True,
    write_checksum=False,
)
_STORED_HEAD = struct.Struct("<IBI")  # magic, descriptor, content size
_STORED = 0xA0  # a content size of 4 bytes, and a window as large
_BLOCK_BYTES = 128 << 10  # at most


def content_hash(data: Buffer) -> bytes:
    """The 128-bit hash of packed bytes: SHA-256 cut to 16 bytes."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def check_hash(
    packed: Buffer, expected_hash: bytes, *, section: str, offset: int | None = None
) -> None:
    """Raises DamagedError unless `packed` has this hash."""
    if content_hash(packed) != expected_hash:
        raise DamagedError("the hash does not match", section=section, offset=offset)


def pack_frame(columns: Iterable[Buffer], *, thorough: bool = True) -> tuple[bytes, int]:
    """One zstd frame of all columns, one or more blocks each; returns it with its raw length.

    Entropy codes alone; a `thorough` packer tries level 19 too and keeps the shorter frame.
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
    """One zstd frame of all columns as they are, in raw blocks (RFC 8878, section 3.1.1)."""
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

    `expected_hash` is None where the hash is known to be right. Raises LimitError before anything
    is allocated where `raw_bytes` exceeds `limit_bytes`, and DamagedError where hash, frame header
    or size disagree.
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
            raise DamagedError("a zstd dictionary is named", section=section, offset=offset)
        # python-zstandard trusts a content size that the frame declares over max_output_size.
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
