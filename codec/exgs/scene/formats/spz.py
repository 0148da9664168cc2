""".spz files (Niantic): 20 bytes a Gaussian and the SH in 8 bits each, then gzip or zstd.

Versions 1 to 3 are one gzip stream of header and columns; version 4 has a plain header, a table
of lengths, and a zstd frame a column. Sizes are checked before anything is unpacked.
Format: https://github.com/nianticlabs/spz (README and load-spz.cc).
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import zstandard

from exgs.scene.errors import SceneError
from exgs.scene.files import atomic_write
from exgs.scene.formats.spz_columns import (
    COLUMNS,
    Layout,
    column_bytes,
    fractional_bits,
    pack_columns,
    unpack_columns,
)
from exgs.scene.gaussians import Gaussians
from exgs.scene.mending import check_count

_MAGIC = b"NGSP"
_HEADER = struct.Struct("<4sIIBBBB")  # magic, version, count, SH degree, fraction, flags, streams
_V4_HEADER_BYTES = 32
_V4_TABLE_AT = struct.Struct("<I")  # behind _HEADER: where the table of lengths is
_V4_LENGTHS = struct.Struct("<QQ")  # packed, unpacked
_WRITTEN_VERSION = 3  # what most viewers read; 4 packs the same columns with zstd
_GZIP_LEVEL = 6
_MAX_SPARE_BYTES = 1 << 20  # behind the columns: extensions, which are passed over


def read_spz(path: str | os.PathLike[str]) -> Gaussians:
    """The scene of an .spz of version 1 to 4, turned from its RUB axes into the RDF of a PLY.

    SH of degree 4 are left out, and a SceneWarning says so. Raises SceneError where the file is
    none, or holds less than its header says; OSError.
    """
    name, data = str(path), Path(path).read_bytes()
    if data.startswith(_MAGIC):
        layout, columns = _read_streams(data, name)
    elif data.startswith(b"\x1f\x8b"):
        layout, columns = _read_gzip(data, name)
    else:
        raise SceneError(f"{name}: not an .spz file (neither gzip nor 'NGSP' at its start)")
    return unpack_columns(columns, layout, name)


def write_spz(path: str | os.PathLike[str], gaussians: Gaussians) -> None:
    """Write an .spz of version 3, SH in 5 bits (degree 1) and 4 bits (above) as Niantic's library.

    Positions have 12 fractional bits, small scenes more. An existing file is replaced, and only
    by a complete one. Raises SceneError where a position is too large for the format; OSError.
    """
    fraction = fractional_bits(gaussians.means, str(path))
    layout = Layout(_WRITTEN_VERSION, len(gaussians), gaussians.sh_degree, fraction)
    columns = pack_columns(gaussians, layout)
    header = _HEADER.pack(
        _MAGIC, layout.version, layout.count, layout.sh_degree, layout.fractional_bits, 0, 0
    )
    packed = gzip.compress(b"".join([header, *columns]), _GZIP_LEVEL, mtime=0)
    with atomic_write(path) as file:
        file.write(packed)


@dataclass(frozen=True, slots=True)
class _Header:
    layout: Layout
    streams: int  # of version 4


def _read_header(head: bytes, file_bytes: int, versions: tuple[int, ...], name: str) -> _Header:
    if len(head) < _HEADER.size:
        raise _cut_short(name, "in the header")
    magic, version, count, sh_degree, fraction, _, streams = _HEADER.unpack_from(head)
    if magic != _MAGIC:
        raise SceneError(f"{name}: not an .spz file (its contents don't begin with 'NGSP')")
    if version not in versions:
        raise SceneError(
            f"{name}: .spz of version {version} in the container of versions {versions[0]} to"
            f" {versions[-1]}; exgs reads 1 to 4: update it, or export the scene as .ply"
        )
    if sh_degree > 4:
        raise SceneError(f"{name}: SH of degree {sh_degree}, at most 4 are known: file damaged")
    if fraction > 24:
        raise SceneError(f"{name}: {fraction} of 24 bits are fractional; the file is damaged")
    check_count(name, count, file_bytes)
    return _Header(Layout(version, count, sh_degree, fraction), streams)


def _read_gzip(data: bytes, name: str) -> tuple[Layout, list[bytes]]:
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        head = stream.decompress(data, _HEADER.size)
        layout = _read_header(head, len(data), (1, 2, 3), name).layout
        sizes = [column_bytes(column, layout) for column in COLUMNS]
        body = stream.decompress(stream.unconsumed_tail, sum(sizes)) if sum(sizes) else b""
        spare = stream.decompress(stream.unconsumed_tail, _MAX_SPARE_BYTES)  # to the checksum
    except zlib.error as error:
        raise SceneError(f"{name}: damaged gzip ({error}); fetch the file again") from error
    if len(spare) == _MAX_SPARE_BYTES:
        raise SceneError(f"{name}: it unpacks to far more than its header says; not read")
    if len(body) < sum(sizes) or not stream.eof:
        raise _cut_short(name, f"after {len(body)} of {sum(sizes)} unpacked bytes")
    columns = []
    for size in sizes:
        columns.append(body[:size])
        body = body[size:]
    return layout, columns


def _read_streams(data: bytes, name: str) -> tuple[Layout, list[bytes]]:
    """Version 4: the columns that are not empty are zstd frames one after another."""
    if len(data) < _V4_HEADER_BYTES:
        raise _cut_short(name, "in the header")
    header = _read_header(data, len(data), (4,), name)
    (table,) = _V4_TABLE_AT.unpack_from(data, _HEADER.size)
    at = table + header.streams * _V4_LENGTHS.size
    if table < _V4_HEADER_BYTES or at > len(data):
        raise SceneError(f"{name}: the table of streams lies outside the file; it is damaged")
    sizes = [column_bytes(column, header.layout) for column in COLUMNS]
    stored = sizes if header.streams == len(sizes) else [size for size in sizes if size]
    if header.streams != len(stored):
        raise SceneError(
            f"{name}: {header.streams} streams, expected {len(stored)}; the file is damaged"
        )
    columns = []
    for number, size in enumerate(stored):
        packed, unpacked = _V4_LENGTHS.unpack_from(data, table + number * _V4_LENGTHS.size)
        if unpacked != size:
            raise SceneError(
                f"{name}: stream {number} should have {size} bytes unpacked, its entry says"
                f" {unpacked}; the file is damaged"
            )
        if packed > len(data) - at:
            raise _cut_short(name, f"in stream {number}")
        columns.append(_unpack_stream(data[at : at + packed], size, f"{name}: stream {number}"))
        at += packed
    rest = iter(columns)
    return header.layout, [next(rest, b"") if size else b"" for size in sizes]


def _unpack_stream(packed: bytes, size: int, place: str) -> bytes:
    """One zstd frame of exactly `size` bytes; its own header is asked before it is believed."""
    if not size:
        return b""
    try:
        declared = zstandard.get_frame_parameters(packed).content_size
        if declared not in (size, zstandard.CONTENTSIZE_UNKNOWN):
            raise SceneError(f"{place} declares {declared} bytes, expected {size}: file damaged")
        unpacked = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
    except zstandard.ZstdError as error:
        raise SceneError(f"{place} is damaged ({error}); fetch the file again") from error
    if len(unpacked) != size:
        raise SceneError(f"{place} unpacks to {len(unpacked)} bytes, expected {size}")
    return unpacked


def _cut_short(name: str, place: str) -> SceneError:
    return SceneError(
        f"{name}: the file ends {place}; it was cut short or is damaged: fetch or export it again"
    )
