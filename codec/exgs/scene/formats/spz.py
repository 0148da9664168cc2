""".spz files (Niantic): 20 bytes per Gaussian plus 8 bits per SH coefficient, in gzip or zstd.

Versions 1 to 3 are one gzip stream of header, columns and records. Version 4 has an uncompressed
header, records, a table of lengths, and one zstd frame per column. Sizes are checked before
decompression. Format: https://github.com/nianticlabs/spz (README, extensions/README, load-spz.cc).
"""

from __future__ import annotations

import gzip
import os
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import zstandard

from exgs.scene.beginnings import kind_of
from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.files import atomic_write
from exgs.scene.formats.render_mode import warn_of_lost_facts
from exgs.scene.formats.spz_columns import (
    COLUMNS,
    Layout,
    column_bytes,
    fractional_bits,
    pack_columns,
    unpack_columns,
)
from exgs.scene.formats.spz_records import frame_record, read_frame
from exgs.scene.frames import RDF, to_rdf
from exgs.scene.gaussians import Gaussians
from exgs.scene.repair import check_count
from exgs.scene.scene import Scene
from exgs.scene.transform import rebased, turned
from exgs.scene.views.survey import is_upside_down

_MAGIC = b"NGSP"
_HEADER = struct.Struct("<4sIIBBBB")  # magic, version, count, SH degree, fraction, flags, streams
HEADER_BYTES = _HEADER.size
_V4_HEADER_BYTES = 32
_V4_TABLE_AT = struct.Struct("<I")  # after _HEADER: the offset of the table of lengths
_V4_LENGTHS = struct.Struct("<QQ")  # packed, unpacked
_WRITTEN_VERSION = 3  # most viewers read it; version 4 has the same columns in zstd
_GZIP_LEVEL = 6
MAX_SPARE_BYTES = 1 << 20  # records after the columns
_PLAIN_VERSIONS = tuple(struct.pack("<I", version) for version in (1, 2, 3))
ANTIALIASED = 1  # flags
HAS_RECORDS = 2
_STEP_SHARE = 0.1  # largest position step without a warning, relative to the median width


def read_spz(path: str | os.PathLike[str], frame: str | None = None) -> Scene:
    """Read an .spz of version 1 to 4, in RDF.

    `frame` states the axes of the file. If it is None, the file's own record states them, else they
    are RDF, as in files of splat-transform, SuperSplat and Niantic's PLY converter. SH of degree 4
    and unknown records are left out with a SceneWarning. Raises SceneError if the file is invalid
    or shorter than its header states; OSError.
    """
    name = str(path)
    scene, found = unpack_spz(Path(path).read_bytes(), name, frame)
    if found is None:
        warn_of_frame(scene.gaussians, name)
    matrix = to_rdf(found or RDF)
    return rebased(replace(scene, gaussians=turned(scene.gaussians, matrix)))


def warn_of_frame(gaussians: Gaussians, name: str) -> None:
    """Warn if Gaussians of a file that declares no frame seem to stand on their head."""
    if is_upside_down(gaussians):
        warnings.warn(
            f"{name}: declares no frame and seems to stand on its head in {RDF}, in which it is"
            " read; if so, give --frame RUB",
            SceneWarning,
            stacklevel=3,
        )


def unpack_spz(data: bytes, name: str, frame: str | None = None) -> tuple[Scene, str | None]:
    """Decode the bytes of an .spz file without changing axes; also return its axes.

    These are `frame` if given, else those that the file states, else None. Raises SceneError.
    """
    if data.startswith(b"\x1f\x8b"):
        contents = _read_gzip(data, name)
    elif data.startswith(_MAGIC) and data[4:8] in _PLAIN_VERSIONS:
        contents = _read_plain(_Plain(data), len(data), name)  # already decompressed
    elif data.startswith(_MAGIC):
        contents = _read_streams(data, name)
    else:
        raise SceneError(f"{name}: not an .spz file: {kind_of(data)}")
    header = contents.header
    if frame is None and header.flags & HAS_RECORDS:
        frame = read_frame(contents.records, name)
    gaussians = unpack_columns(contents.columns, header.layout, name)
    return Scene(gaussians, antialiased=bool(header.flags & ANTIALIASED)), frame


def write_spz(path: str | os.PathLike[str], scene: Scene | Gaussians) -> None:
    """Write an .spz of version 3, with SH in 5 bits (degree 1) and 4 bits, like Niantic's library.

    Values stay in RDF, and a record says so. Readers that ignore records use the values directly.
    Positions have 12 fractional bits, or more in small scenes. A SceneWarning says if that is
    coarse for the scene's Gaussians. An existing file is replaced atomically. Raises SceneError if
    a position is too large for the format; OSError.
    """
    scene = Scene.of(scene)
    gaussians = scene.gaussians
    fraction = fractional_bits(gaussians.means, str(path))
    warn_of_lost_facts(scene, str(path), mode=False, origin=True)
    _warn_of_steps(gaussians, fraction, str(path))
    layout = Layout(_WRITTEN_VERSION, len(gaussians), gaussians.sh_degree, fraction)
    columns = pack_columns(gaussians, layout)
    flags = HAS_RECORDS | (ANTIALIASED if scene.antialiased else 0)
    header = _HEADER.pack(
        _MAGIC, layout.version, layout.count, layout.sh_degree, layout.fractional_bits, flags, 0
    )
    plain = b"".join([header, *columns, frame_record(RDF)])
    packed = gzip.compress(plain, _GZIP_LEVEL, mtime=0)
    with atomic_write(path) as file:
        file.write(packed)


def _warn_of_steps(gaussians: Gaussians, fraction: int, name: str) -> None:
    """Warn if the position step is coarse compared with the widths of the Gaussians."""
    if not len(gaussians):
        return
    step, width = 0.5**fraction, float(np.median(gaussians.scales.max(axis=1)))
    if step > _STEP_SHARE * width:
        warnings.warn(
            f"{name}: positions are rounded to steps of {step:.3g} units, and half of the Gaussians"
            f" are narrower than {width:.3g}: the scene reaches too far for .spz; write a .ply",
            SceneWarning,
            stacklevel=3,
        )


@dataclass(frozen=True, slots=True)
class SpzHeader:
    """What the header says."""

    layout: Layout
    flags: int
    streams: int  # of version 4


@dataclass(frozen=True, slots=True)
class _Contents:
    header: SpzHeader
    columns: list[bytes]
    records: bytes


class _Unpacked(Protocol):
    """A decompressed stream."""

    def take(self, size: int) -> bytes:
        """Read the next `size` bytes; fewer only at the end."""
        ...


class _Plain:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        return part


class _Gzip:
    """All members of a gzip file in order, like gunzip.

    `take` raises zlib.error, and EOFError if the last member is incomplete.
    """

    def __init__(self, data: bytes) -> None:
        self._rest = data
        self._ended = False
        self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def take(self, size: int) -> bytes:
        parts, left = [], size
        while left and self._rest:
            part = self._stream.decompress(self._rest, left)
            self._rest = self._stream.unconsumed_tail
            parts.append(part)
            left -= len(part)
            self._ended = self._stream.eof
            if self._ended:
                # Like gunzip, skip zeros after the last member.
                self._rest = self._stream.unused_data.lstrip(b"\0")
                self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        if left and not self._ended:
            raise EOFError
        return b"".join(parts)


def read_header(head: bytes, file_bytes: int, versions: tuple[int, ...], name: str) -> SpzHeader:
    """Check and read a header. Raises SceneError."""
    if len(head) < _HEADER.size:
        raise cut_short(name, "in the header")
    magic, version, count, sh_degree, fraction, flags, streams = _HEADER.unpack_from(head)
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
    return SpzHeader(Layout(version, count, sh_degree, fraction), flags, streams)


def _read_gzip(data: bytes, name: str) -> _Contents:
    try:
        return _read_plain(_Gzip(data), len(data), name)
    except zlib.error as error:
        raise SceneError(f"{name}: damaged gzip ({error}); fetch the file again") from error
    except EOFError:
        raise cut_short(name, "within its gzip stream") from None


def _read_plain(unpacked: _Unpacked, file_bytes: int, name: str) -> _Contents:
    header = read_header(unpacked.take(_HEADER.size), file_bytes, (1, 2, 3), name)
    columns = []
    for column in COLUMNS:
        size = column_bytes(column, header.layout)
        columns.append(unpacked.take(size))
        if len(columns[-1]) < size:
            raise cut_short(name, f"after {len(columns[-1])} of {size} unpacked bytes of {column}")
    records = unpacked.take(MAX_SPARE_BYTES)  # up to the checksum
    if len(records) == MAX_SPARE_BYTES:
        raise SceneError(f"{name}: it unpacks to far more than its header says; not read")
    return _Contents(header, columns, records)


def _read_streams(data: bytes, name: str) -> _Contents:
    """Version 4: columns that are not empty are consecutive zstd frames."""
    if len(data) < _V4_HEADER_BYTES:
        raise cut_short(name, "in the header")
    header = read_header(data, len(data), (4,), name)
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
            raise cut_short(name, f"in stream {number}")
        columns.append(_unpack_stream(data[at : at + packed], size, f"{name}: stream {number}"))
        at += packed
    rest = iter(columns)
    return _Contents(
        header,
        [next(rest, b"") if size else b"" for size in sizes],
        data[_V4_HEADER_BYTES:table],
    )


def _unpack_stream(packed: bytes, size: int, place: str) -> bytes:
    """Decompress one zstd frame of exactly `size` bytes, after checking its header."""
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


def cut_short(name: str, place: str) -> SceneError:
    """The error of a file that ends early at `place`."""
    return SceneError(
        f"{name}: the file ends {place}; it was cut short or is damaged: fetch or export it again"
    )
