"""One zstd frame with a hash: how the root index, the pages and the chunks are stored.

Packing ends a zstd block behind every column, so that each column gets entropy tables of its own.
Unpacking trusts nothing: hash first, then the frame's own header, then exactly the expected size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import zstandard

from exgs.codec.constants import HASH_BYTES, MAX_WINDOW_BYTES
from exgs.codec.errors import DamagedError, LimitError

Buffer = bytes | bytearray | memoryview


def content_hash(data: Buffer) -> bytes:
    """The 128-bit hash of packed bytes: SHA-256 cut to 16 bytes."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def check_hash(
    packed: Buffer, expected_hash: bytes, *, section: str, offset: int | None = None
) -> None:
    """Raises DamagedError unless `packed` has this hash."""
    if content_hash(packed) != expected_hash:
        raise DamagedError("the hash does not match", section=section, offset=offset)


def pack_frame(columns: Iterable[Buffer], *, level: int = 19) -> tuple[bytes, int]:
    """One zstd frame of all columns, one or more blocks each; returns it with its raw length."""
    parts = [memoryview(column).cast("B") for column in columns if len(column)]
    raw_bytes = sum(len(part) for part in parts)
    compressor = zstandard.ZstdCompressor(
        level=level, write_content_size=True, write_checksum=False
    ).compressobj(size=raw_bytes)
    packed = bytearray()
    for part in parts:
        packed += compressor.compress(part)
        packed += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    packed += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)
    return bytes(packed), raw_bytes


def unpack_frame(
    packed: Buffer,
    *,
    raw_bytes: int,
    expected_hash: bytes,
    limit_bytes: int,
    section: str,
    offset: int | None = None,
) -> bytes:
    """Verify and decompress one frame to exactly `raw_bytes` bytes.

    Raises LimitError before anything is allocated where `raw_bytes` exceeds `limit_bytes`, and
    DamagedError where hash, frame header or size disagree.
    """
    if raw_bytes > limit_bytes:
        raise LimitError(
            f"{raw_bytes} bytes unpacked, the limit is {limit_bytes}",
            section=section,
            offset=offset,
        )
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
