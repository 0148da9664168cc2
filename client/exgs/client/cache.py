"""The cache on disk: received data, so that the next run does not fetch it again.

One append-only file per scene, named by its hash: the head, then one record per fragment. Opening a
file verifies the checksum of every record and the hash of every complete part, and truncates the
file at the first fault. A disk error ends caching, never the stream.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from exgs.codec.errors import FormatError
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.container import FileHead, parse_head
from exgs.codec.format.frame import content_hash
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.index_io import parse_page
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.wire.client import Resume
from exgs.wire.parts import is_page, page_id, page_part

_MAGIC = b"EXGSCAC1"
_HEAD_LENGTH = struct.Struct("<I")
_RECORD = struct.Struct("<III")  # part, offset in the part, length of the following data
_CHECKSUM = struct.Struct("<I")  # CRC-32 of record and data, after the data


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The verified content of a cache file."""

    resume: Resume
    pages: list[tuple[PageRef, ChunkRows]]
    chunks: list[tuple[ChunkRef, bytes]]
    good_bytes: int  # valid bytes of the cache file; the rest is damaged


class Cache:
    """The cached part of the scene at one URL.

    `note` is called once, with a line of text, if caching ends.
    """

    def __init__(self, folder: Path, url: str, note: Callable[[str], None]) -> None:
        self._folder = folder
        self._pointer = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.url"
        self._note = note
        self._file: int | None = None
        self._hash: bytes | None = None
        self._failed = False
        self._whole: frozenset[int] = frozenset()  # complete parts in the file

    def load(self) -> Stored | None:
        """The cached content of the last scene at this URL; None if there is none."""
        try:
            scene_hash = bytes.fromhex(self._pointer.read_text())
            stored = read_cache(self._path(scene_hash).read_bytes())
            if stored is None or stored.resume.head.scene_hash != scene_hash:
                return None
            self._open(stored.resume.head)
            if self._file is not None:
                os.ftruncate(self._file, stored.good_bytes)
            return stored
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            self._give_up(error)
            return None

    def begin(self, head: FileHead) -> None:
        """Start to cache the file with this head."""
        if self._failed or self._hash == head.scene_hash:
            return
        try:
            self.close()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._open(head)
            if self._file is not None:
                self._resume(self._file, head)
            fresh = self._pointer.with_suffix(f".{os.getpid()}")
            fresh.write_text(head.scene_hash.hex())
            fresh.replace(self._pointer)
        except OSError as error:
            self._give_up(error)

    def _resume(self, file: int, head: FileHead) -> None:
        """Continue a cache file of this scene from another URL, or create one."""
        stored = read_cache(self._path(head.scene_hash).read_bytes())
        if stored is not None and stored.resume.head.packed == head.packed:
            os.ftruncate(file, stored.good_bytes)
            self._whole = stored.resume.chunks | {page_part(page.id) for page, _ in stored.pages}
            return
        os.ftruncate(file, 0)
        _write_all(file, _MAGIC + _HEAD_LENGTH.pack(len(head.packed)) + head.packed)

    def add(self, part: int, offset: int, data: bytes) -> None:
        """Append one fragment."""
        if self._file is None or part in self._whole:
            return
        record = _RECORD.pack(part, offset, len(data)) + data
        try:
            _write_all(self._file, record + _CHECKSUM.pack(zlib.crc32(record)))
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Stop caching."""
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._hash = None
        self._whole = frozenset()

    def _path(self, scene_hash: bytes) -> Path:
        return self._folder / f"{scene_hash.hex()}.cache"

    def _open(self, head: FileHead) -> None:
        path = self._path(head.scene_hash)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._hash = head.scene_hash

    def _give_up(self, error: OSError) -> None:
        self.close()
        self._failed = True
        reason = "another run uses it" if isinstance(error, BlockingIOError) else error.strerror
        self._note(f"not caching in {self._folder}: {reason}")


def read_cache(data: bytes) -> Stored | None:
    """Verify the bytes of a cache file. Returns None if its head can't be read."""
    start = len(_MAGIC) + _HEAD_LENGTH.size
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        return None
    (head_bytes,) = _HEAD_LENGTH.unpack_from(data, len(_MAGIC))
    try:
        head = parse_head(data[start : start + head_bytes])
    except FormatError:
        return None
    reader = _Reader(head)
    position = start + head_bytes
    while True:
        body = position + _RECORD.size
        if body > len(data):
            break
        part, offset, length = _RECORD.unpack_from(data, position)
        end = body + length
        if end + _CHECKSUM.size > len(data):
            break
        (checksum,) = _CHECKSUM.unpack_from(data, end)
        if zlib.crc32(data[position:end]) != checksum or not reader.take(
            part, offset, data[body:end]
        ):
            break
        position = end + _CHECKSUM.size
    whole = frozenset(reader.chunks)
    partial = {part: bytes(held) for part, held in reader.partial.items() if part not in whole}
    return Stored(
        Resume(head, reader.table, whole, partial),
        reader.pages,
        [(reader.table[chunk], packed) for chunk, packed in reader.chunks.items()],
        position,
    )


@dataclass(slots=True)
class _Reader:
    """Assembles records into parts."""

    head: FileHead
    table: ChunkTable = field(init=False)
    partial: dict[int, bytearray] = field(default_factory=dict)
    pages: list[tuple[PageRef, ChunkRows]] = field(default_factory=list)
    chunks: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = ChunkTable(self.head.root)

    def take(self, part: int, offset: int, data: bytes) -> bool:
        """Add one record. Returns False if it can't follow the records before it."""
        ref = self._ref(part)
        if offset == 0:  # the first fragment, or the part was sent again from its start
            self.partial[part] = bytearray()
        held = self.partial.get(part)
        if ref is None or held is None or offset != len(held):
            return False
        if offset + len(data) > ref.packed_bytes:
            return False
        held += data
        if len(held) < ref.packed_bytes:
            return True
        packed = bytes(self.partial.pop(part))
        if content_hash(packed) != ref.hash:
            return True  # the stream has noticed it too and received the part again
        if isinstance(ref, ChunkRef):
            self.chunks[part] = packed
            return True
        try:
            rows = parse_page(packed, ref, self.head.root.facts)
            self.table.add_page(ref, rows)
        except FormatError:
            return False
        self.pages.append((ref, rows))
        return True

    def _ref(self, part: int) -> ChunkRef | PageRef | None:
        if is_page(part):
            return next((p for p in self.head.root.pages if p.id == page_id(part)), None)
        return self.table.get(part)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
