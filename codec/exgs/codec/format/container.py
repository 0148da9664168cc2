"""The container, without files or sockets: writes a whole file, reads from any source.

`FilePusher` is the push side (bytes in, chunks out: streams, prefixes, truncated files);
`open_table` and `read_chunk` are the pull side (byte ranges on demand).
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from exgs.codec.constants import (
    HEAD_BYTES,
    HEADER_BYTES,
    MAX_CHUNK_RAW_BYTES,
    ChunkKind,
)
from exgs.codec.errors import DamagedError, TruncatedError
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.frame import Buffer, check_hash, content_hash, unpack_frame
from exgs.codec.format.header import Header, pack_header, parse_header
from exgs.codec.format.index import ChunkTable, RootIndex
from exgs.codec.format.index_io import parse_page, parse_root
from exgs.codec.format.packing import BoxOf, PackedIndex, pack_index
from exgs.codec.format.rows import ChunkRef, PageRef

ReadRange = Callable[[int, int], bytes]  # (offset, length) -> up to `length` bytes


@dataclass(frozen=True, slots=True)
class PackedChunk:
    """A chunk ready to be written."""

    kind: ChunkKind
    layer: int
    tile: int
    count: int
    gain: float
    raw_bytes: int
    packed: bytes

    @property
    def packed_bytes(self) -> int:
        """Length in the file."""
        return len(self.packed)

    @property
    def hash(self) -> bytes:
        """Hash of the packed bytes."""
        return content_hash(self.packed)


def build_file(
    facts: SceneFacts,
    chunks: Sequence[PackedChunk],
    box_of: BoxOf,
    poster: bytes = b"",
) -> Iterator[bytes]:
    """The bytes of a whole file with `chunks` in this order.

    `box_of` returns the box of a tile by its level and number. `facts` contain the hash of the
    poster. Raises LimitError if the root index does not fit in the head of a file.
    """
    index = pack_index(facts, chunks, box_of)
    return file_pieces(index, poster, lambda number: chunks[number].packed)


def file_pieces(
    index: PackedIndex, poster: bytes, payload: Callable[[int], bytes]
) -> Iterator[bytes]:
    """Yield the bytes of a whole file: header, root index, poster, and all pages and chunks.

    `payload` returns the packed bytes of a chunk by its number in the order of the file.
    """
    yield pack_header(index.header(len(poster)))
    yield index.root
    yield poster
    for pages, numbers in index.areas():
        yield from pages
        yield from map(payload, numbers)


@dataclass(frozen=True, slots=True)
class FileHead:
    """Header and root index of a file, and their bytes."""

    header: Header
    root: RootIndex
    packed: bytes

    @property
    def scene_hash(self) -> bytes:
        """The hash of header and root index, 16 bytes. It identifies every byte of the file."""
        return hashlib.sha256(self.packed).digest()[:16]

    def has_poster(self, poster: Buffer) -> bool:
        """Whether `poster` has the hash in the root index."""
        return content_hash(poster) == self.root.facts.poster_hash

    def check_poster(self, poster: Buffer) -> None:
        """Raise DamagedError unless `poster` has the hash in the root index."""
        check_hash(
            poster,
            self.root.facts.poster_hash,
            section="poster",
            offset=self.header.root_end,
        )


def parse_head(data: Buffer) -> FileHead:
    """Read header and root index from the first bytes of a file.

    Raises TruncatedError with the needed length, and the other FormatErrors.
    """
    header = parse_header(data)
    if len(data) < header.root_end:
        raise TruncatedError(
            f"the index ends at byte {header.root_end}, the file at {len(data)}",
            section="root index",
            offset=HEADER_BYTES,
            needed_bytes=header.root_end,
        )
    packed = bytes(data[: header.root_end])
    return FileHead(header, parse_root(memoryview(packed)[HEADER_BYTES:], header), packed)


def open_head(read: ReadRange) -> FileHead:
    """Read header and root index with one call of `read`."""
    return parse_head(read(0, HEAD_BYTES))


def read_poster(read: ReadRange) -> bytes:
    """Read the poster of a file, a JPEG or WebP; empty if there is none."""
    head = open_head(read)
    if not head.header.poster_bytes:
        return b""
    poster = _read_exactly(read, head.header.root_end, head.header.poster_bytes, "poster")
    head.check_poster(poster)
    return poster


def open_table(read: ReadRange) -> tuple[FileHead, ChunkTable]:
    """Read the head and the whole chunk table.

    Raises TruncatedError if the source ends before the last page, and the other FormatErrors.
    """
    head = open_head(read)
    table = ChunkTable(head.root)
    for page in head.root.pages:
        packed = _read_exactly(read, page.offset, page.packed_bytes, page.section)
        table.add_page(page, parse_page(packed, page, head.root.facts))
    return head, table


def read_chunk(read: ReadRange, chunk: ChunkRef) -> bytes:
    """Read, verify and unpack one chunk."""
    packed = _read_exactly(read, chunk.offset, chunk.packed_bytes, chunk.section)
    return unpack_chunk(chunk, packed)


def unpack_chunk(chunk: ChunkRef, packed: Buffer, *, verified: bool = False) -> bytes:
    """Verify and decompress one chunk. `verified` means that its hash has been checked."""
    return unpack_frame(
        packed,
        raw_bytes=chunk.raw_bytes,
        expected_hash=None if verified else chunk.hash,
        limit_bytes=MAX_CHUNK_RAW_BYTES,
        section=chunk.section,
        offset=chunk.offset,
    )


def _read_exactly(read: ReadRange, offset: int, length: int, section: str) -> bytes:
    data = read(offset, length)
    if len(data) < length:
        raise TruncatedError(
            f"{len(data)} of {length} bytes",
            section=section,
            offset=offset,
            needed_bytes=offset + length,
        )
    return data


class FilePusher:
    """Reads a file from the front, in pieces of any size.

    `receive_data` returns the chunks that are complete now, each with its packed bytes. They are
    not verified; `unpack_chunk` does that. `head`, `poster` and `table` are set as they arrive.
    """

    def __init__(self) -> None:
        self.position = 0  # bytes received
        self.needed_bytes = HEADER_BYTES  # needed before `head` can be read, as far as is known
        self.poster: bytes | None = None  # verified; None until it has arrived, or if there is none
        self._buffer = bytearray()
        self._opened: tuple[FileHead, ChunkTable] | None = None
        self._taken = 0  # bytes that have left the buffer
        self._parts: list[tuple[int, int, PageRef | ChunkRef]] = []  # heap by offset

    @property
    def head(self) -> FileHead | None:
        """Header and root index, once they have arrived."""
        return self._opened and self._opened[0]

    @property
    def table(self) -> ChunkTable | None:
        """The chunk table as far as it has arrived."""
        return self._opened and self._opened[1]

    @property
    def complete(self) -> bool:
        """Whether the whole file has been received."""
        return self.head is not None and self.position >= self.head.header.file_bytes

    def receive_data(self, data: Buffer) -> list[tuple[ChunkRef, bytes]]:
        """Add the next bytes of the file. Raises FormatError at the first fault."""
        self._buffer += data
        self.position += len(data)
        if self._opened is None:
            try:
                head = parse_head(self._buffer)
            except TruncatedError as error:
                self.needed_bytes = error.needed_bytes
                return []
            self._open(head)
        if self._opened is None:
            return []
        head, table = self._opened
        self._take_poster(head)
        done = []
        while self._taken >= head.header.poster_end and self._parts:
            offset, _, part = self._parts[0]
            if offset != self._taken:
                raise DamagedError(
                    f"it lies at {offset}, what is in front of it ends at {self._taken}",
                    section=part.section,
                    offset=offset,
                )
            if len(self._buffer) < part.packed_bytes:
                break
            heapq.heappop(self._parts)
            packed = self._take(part.packed_bytes)
            if isinstance(part, PageRef):
                rows = parse_page(packed, part, head.root.facts)
                table.add_page(part, rows)
                self._await(rows)
            else:
                done.append((part, packed))
        if self.position > head.header.file_bytes:
            raise DamagedError(
                f"{self.position - head.header.file_bytes} bytes behind the last chunk",
                section="file",
                offset=head.header.file_bytes,
            )
        return done

    def _open(self, head: FileHead) -> None:
        self._opened = head, ChunkTable(head.root)
        self._take(head.header.root_end)
        self._await(head.root.chunks)
        self._await(head.root.pages)

    def _take_poster(self, head: FileHead) -> None:
        length = head.header.poster_bytes
        if self._taken == head.header.root_end and length and len(self._buffer) >= length:
            poster = self._take(length)
            head.check_poster(poster)
            self.poster = poster

    def _await(self, parts: Sequence[PageRef | ChunkRef]) -> None:
        for part in parts:
            heapq.heappush(self._parts, (part.offset, part.id, part))

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._taken += length
        return taken
