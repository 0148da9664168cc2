"""The container, without files or sockets: writing a whole file, reading from any source.

`FilePusher` is the push side (bytes in, chunks out: streams, prefixes, truncated files);
`open_table` and `read_chunk` are the pull side (byte ranges on demand).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from exgs.codec.constants import HEADER_BYTES, MAX_CHUNK_RAW_BYTES, ROOT_TARGET_BYTES, ChunkKind
from exgs.codec.errors import DamagedError, TruncatedError
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.frame import Buffer, content_hash, unpack_frame
from exgs.codec.format.header import Header, pack_header, parse_header
from exgs.codec.format.index import ChunkTable, RootIndex
from exgs.codec.format.index_io import pack_page, pack_root, parse_page, parse_root
from exgs.codec.format.rows import ChunkRef, PageRef

ReadRange = Callable[[int, int], bytes]  # (offset, length) -> up to `length` bytes

# Rows per page: the root lists what the first picture needs, later pages grow with the layers.
_PAGE_ROWS = (16, 64, 256, 1024)


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


def build_file(facts: SceneFacts, chunks: Sequence[PackedChunk]) -> Iterator[bytes]:
    """The bytes of a whole file, piece by piece, with `chunks` in this order."""
    groups = _paged(chunks)
    refs = [[_ref(chunk) for chunk in group] for group in groups]
    page_frames = [pack_page(rows) for rows in refs[1:]]
    pages = [
        PageRef(
            id=number,
            first_chunk=0,
            chunk_count=len(rows),
            chunk_bytes=sum(row.packed_bytes for row in rows),
            raw_bytes=raw_bytes,
            packed_bytes=len(packed),
            hash=content_hash(packed),
            offset=0,
        )
        for number, (rows, (packed, raw_bytes)) in enumerate(
            zip(refs[1:], page_frames, strict=True), start=1
        )
    ]
    root, root_raw_bytes = pack_root(facts, refs[0], pages)
    total = (
        HEADER_BYTES
        + len(root)
        + sum(len(packed) for packed, _ in page_frames)
        + sum(len(chunk.packed) for chunk in chunks)
    )
    yield pack_header(Header(total, len(root), root_raw_bytes, content_hash(root)))
    yield root
    for group, frame in zip(groups, [(b"", 0), *page_frames], strict=True):
        yield frame[0]
        for chunk in group:
            yield chunk.packed


def _paged(chunks: Sequence[PackedChunk]) -> list[list[PackedChunk]]:
    """The chunks of the root and of each page; what a cell is drawn with stays together."""
    groups: list[list[PackedChunk]] = [[]]
    for chunk in chunks:
        limit = _PAGE_ROWS[min(len(groups), len(_PAGE_ROWS)) - 1]
        if len(groups[-1]) >= limit and not _inseparable(groups[-1][-1], chunk):
            groups.append([])
        groups[-1].append(chunk)
    return groups


def _inseparable(one: PackedChunk, other: PackedChunk) -> bool:
    """Whether these neighbours are PROXY, LEAF and SH of one cell, or the BASIS among them."""
    geometry = (ChunkKind.LEAF, ChunkKind.PROXY)
    if ChunkKind.BASIS in (one.kind, other.kind):
        return other.kind is ChunkKind.SH or one.kind in geometry
    same_cell = (one.layer, one.tile) == (other.layer, other.tile)
    return same_cell and one.kind in geometry and other.kind in (*geometry, ChunkKind.SH)


def _ref(chunk: PackedChunk) -> ChunkRef:
    return ChunkRef(
        id=0,
        kind=chunk.kind,
        layer=chunk.layer,
        tile=chunk.tile,
        count=chunk.count,
        raw_bytes=chunk.raw_bytes,
        packed_bytes=len(chunk.packed),
        gain=chunk.gain,
        hash=content_hash(chunk.packed),
        offset=0,
    )


@dataclass(frozen=True, slots=True)
class FileHead:
    """Header and root index of a file, and the bytes that they came from."""

    header: Header
    root: RootIndex
    packed: bytes

    @property
    def scene_hash(self) -> bytes:
        """128 bits that name the file: the hash of header and root index, hence of every byte."""
        return hashlib.sha256(self.packed).digest()[:16]


def parse_head(data: Buffer) -> FileHead:
    """Header and root index from the first bytes of a file.

    Raises TruncatedError with the length that is needed, and the other FormatErrors.
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
    """Header and root index through `read`: one request for ordinary scenes."""
    data = read(0, ROOT_TARGET_BYTES)
    try:
        return parse_head(data)
    except TruncatedError as error:
        if len(data) < ROOT_TARGET_BYTES:
            raise
        return parse_head(data + read(len(data), error.needed_bytes - len(data)))


def open_table(read: ReadRange) -> tuple[FileHead, ChunkTable]:
    """The head and the whole chunk table.

    Raises TruncatedError where the source ends before the last page, and the other FormatErrors.
    """
    head = open_head(read)
    table = ChunkTable(head.root)
    for page in head.root.pages:
        packed = _read_exactly(read, page.offset, page.packed_bytes, page.section)
        table.add_page(page, parse_page(packed, page, head.root.facts))
    return head, table


def read_chunk(read: ReadRange, chunk: ChunkRef) -> bytes:
    """The verified raw bytes of one chunk."""
    packed = _read_exactly(read, chunk.offset, chunk.packed_bytes, chunk.section)
    return unpack_chunk(chunk, packed)


def unpack_chunk(chunk: ChunkRef, packed: Buffer) -> bytes:
    """Verify and decompress the packed bytes of one chunk."""
    return unpack_frame(
        packed,
        raw_bytes=chunk.raw_bytes,
        expected_hash=chunk.hash,
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
    """Reads a file from the front, however its bytes are cut.

    `receive_data` takes bytes and returns the chunks that they complete, each with its packed
    bytes (not yet verified: `unpack_chunk` does that). `head` and `table` fill as they arrive.
    """

    def __init__(self) -> None:
        self.position = 0  # bytes received
        self.needed_bytes = HEADER_BYTES  # that are known to be needed before `head` is there
        self._buffer = bytearray()
        self._opened: tuple[FileHead, ChunkTable] | None = None
        self._next_chunk = 0

    @property
    def head(self) -> FileHead | None:
        """Header and root index, once they are here."""
        return self._opened and self._opened[0]

    @property
    def table(self) -> ChunkTable | None:
        """The chunk table as far as it is here."""
        return self._opened and self._opened[1]

    @property
    def complete(self) -> bool:
        """Whether the whole file has been received."""
        return self.head is not None and self.position >= self.head.header.file_bytes

    def receive_data(self, data: Buffer) -> list[tuple[ChunkRef, bytes]]:
        """Take the next bytes of the file; raises FormatError at the first fault."""
        self._buffer += data
        self.position += len(data)
        if self._opened is None:
            try:
                head = parse_head(self._buffer)
            except TruncatedError as error:
                self.needed_bytes = error.needed_bytes
                return []
            self._opened = head, ChunkTable(head.root)
            del self._buffer[: head.header.root_end]
        head, table = self._opened
        done = []
        while (part := self._next_part(head, table)) and len(self._buffer) >= part.packed_bytes:
            packed = bytes(self._buffer[: part.packed_bytes])
            del self._buffer[: part.packed_bytes]
            if isinstance(part, PageRef):
                table.add_page(part, parse_page(packed, part, head.root.facts))
            else:
                self._next_chunk += 1
                done.append((part, packed))
        if self.position > head.header.file_bytes:
            raise DamagedError(
                f"{self.position - head.header.file_bytes} bytes behind the last chunk",
                section="file",
                offset=head.header.file_bytes,
            )
        return done

    def _next_part(self, head: FileHead, table: ChunkTable) -> ChunkRef | PageRef | None:
        pages = table.missing_pages
        if pages and pages[0].first_chunk == self._next_chunk:
            return pages[0]
        return table[self._next_chunk] if self._next_chunk < head.root.chunk_count else None
