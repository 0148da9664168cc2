"""The fixed header: 64 bytes with the format version and the size of the root index.

0  8s  magic          8  u16 major    10 u16 minor   12 u32 flags (0)
16 u64 file length   24 u32 packed   28 u32 raw length of the root index
32 16s root hash     48 u16 poster length   50 10s zero   60 u32 CRC-32C of bytes 0 to 59
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from exgs.codec.constants import (
    FORMAT_MAJOR,
    FORMAT_MINOR,
    HASH_BYTES,
    HEADER_BYTES,
    MAGIC,
    MAX_FILE_BYTES,
    MAX_POSTER_BYTES,
    MAX_ROOT_PACKED_BYTES,
    MAX_ROOT_RAW_BYTES,
)
from exgs.codec.errors import DamagedError, LimitError, TruncatedError, UnsupportedError
from exgs.scene.beginnings import kind_of

_FIELDS = struct.Struct(f"<8sHHIQII{HASH_BYTES}sH10s")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Header:
    """The content of the first 64 bytes of a file."""

    file_bytes: int
    root_packed_bytes: int
    root_raw_bytes: int
    root_hash: bytes
    poster_bytes: int = 0
    minor: int = FORMAT_MINOR

    @property
    def root_end(self) -> int:
        """Offset of the first byte after the root index."""
        return HEADER_BYTES + self.root_packed_bytes

    @property
    def poster_end(self) -> int:
        """Offset of the first byte after the poster, where the first chunk starts."""
        return self.root_end + self.poster_bytes


def pack_header(header: Header) -> bytes:
    """Encode `header` as 64 bytes."""
    body = _FIELDS.pack(
        MAGIC,
        FORMAT_MAJOR,
        header.minor,
        0,
        header.file_bytes,
        header.root_packed_bytes,
        header.root_raw_bytes,
        header.root_hash,
        header.poster_bytes,
        bytes(10),
    )
    return body + _CRC.pack(crc32c(body))


def parse_header(data: bytes | bytearray | memoryview) -> Header:
    """Read the header from the first bytes of a file.

    Raises TruncatedError, DamagedError, UnsupportedError, LimitError.
    """
    if bytes(data[: len(MAGIC)]) != MAGIC[: len(data)]:
        kind = kind_of(bytes(data[:64]))
        raise DamagedError(f"this is not an .exgs file: {kind}", section="header", offset=0)
    if len(data) < HEADER_BYTES:
        raise TruncatedError(
            f"the file ends after {len(data)} bytes", needed_bytes=HEADER_BYTES, section="header"
        )
    body = bytes(data[: _FIELDS.size])
    (stored_crc,) = _CRC.unpack_from(data, _FIELDS.size)
    _, major, minor, flags, file_bytes, packed, raw, root_hash, poster, reserved = _FIELDS.unpack(
        body
    )
    if crc32c(body) != stored_crc:
        raise DamagedError("the checksum does not match", section="header", offset=0)
    if major != FORMAT_MAJOR:
        raise UnsupportedError(
            f"format version {major}.{minor}, this software reads version {FORMAT_MAJOR}; "
            "update exgs",
            section="header",
            offset=0,
        )
    if flags or any(reserved):
        raise UnsupportedError("unknown flags are set; update exgs", section="header", offset=0)
    if raw > MAX_ROOT_RAW_BYTES or packed > MAX_ROOT_PACKED_BYTES:
        raise LimitError(f"a root index of {max(raw, packed)} bytes", section="header", offset=0)
    if poster > MAX_POSTER_BYTES:
        raise LimitError(f"a poster of {poster} bytes", section="header", offset=0)
    if file_bytes > MAX_FILE_BYTES:
        raise LimitError(f"a file of {file_bytes} bytes", section="header", offset=0)
    if file_bytes < HEADER_BYTES + packed + poster:
        raise DamagedError("the file length is less than the index", section="header", offset=0)
    return Header(file_bytes, packed, raw, root_hash, poster, minor)


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC32C_TABLE = _crc32c_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `data`."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC32C_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
