"""The container, without files or sockets: writing a whole file, reading from any source.

`FilePusher` is the push side (bytes in, chunks out: streams, prefixes, truncated files);
`open_table` and `read_chunk` are the pull side (byte ranges on demand).
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from exgs.codec.constants import (
    HEAD_BYTES,
    HEADER_BYTES,
    MAX_CHUNK_RAW_BYTES,
    MAX_ROOT_PACKED_BYTES,
    ChunkKind,
)
from exgs.codec.errors import DamagedError, LimitError, TruncatedError
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.frame import Buffer, check_hash, content_hash, unpack_frame
from exgs.codec.format.header import Header, pack_header, parse_header
from exgs.codec.format.index import ChunkTable, RootIndex
from exgs.codec.format.index_io import pack_page, pack_root, parse_page, parse_root
from exgs.codec.format.paging import PagePlan, plan_groups, plan_root
from exgs.codec.format.rows import Box, Cell, ChunkRef, PageRef, union

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


def build_file(
    facts: SceneFacts,
    chunks: Sequence[PackedChunk],
    box_of: Callable[[int, int], Box],
    poster: bytes = b"",
) -> Iterator[bytes]:
    """The bytes of a whole file, piece by piece, with `chunks` in this order.

    `box_of` gives the box of a tile by its level and number. `facts` name the poster's hash.
    """
    groups = plan_groups(chunks, facts.layers)
    root_count = plan_root(chunks)
    rows = _Rows(facts, chunks, box_of)

    # Lengths of pages don't depend on where they lie, so places relative to the root's end do.
    position = sum(len(chunk.packed) for chunk in chunks[:root_count])
    pages: list[PageRef] = []
    frames: list[list[bytes]] = []
    for number, group in enumerate(groups):
        offsets: dict[int, int] = {}
        area = 0
        for member in sorted(member for page in group for member in page.members):
            offsets[member] = area
            area += len(chunks[member].packed)
        packed_pages = [
            pack_page([rows.ref(member, offsets[member]) for member in page.members], 0)
            for page in group
        ]
        for plan, (frame, raw_bytes) in zip(group, packed_pages, strict=True):
            pages.append(rows.page(plan, number, frame, raw_bytes))
        frames.append([frame for frame, _ in packed_pages])
        position += sum(len(frame) for frame in frames[-1]) + area

    root_rows = []
    offset = 0
    for member in range(root_count):
        root_rows.append(rows.ref(member, offset))
        offset += len(chunks[member].packed)
    root, root_raw_bytes = pack_root(facts, root_rows, pages, 0)
    if len(root) > MAX_ROOT_PACKED_BYTES:
        raise LimitError(f"a root index of {len(root)} bytes", section="root index")
    total = HEADER_BYTES + len(root) + len(poster) + position
    header = Header(total, len(root), root_raw_bytes, content_hash(root), len(poster))
    yield pack_header(header)
    yield root
    yield poster
    for chunk in chunks[:root_count]:
        yield chunk.packed
    for group, group_frames in zip(groups, frames, strict=True):
        yield from group_frames
        for member in sorted(member for page in group for member in page.members):
            yield chunks[member].packed


class _Rows:
    """Rows for the chunks of a file that is being written."""

    def __init__(
        self,
        facts: SceneFacts,
        chunks: Sequence[PackedChunk],
        box_of: Callable[[int, int], Box],
    ) -> None:
        self._facts = facts
        self._chunks = chunks
        self._box_of = box_of
        firsts: dict[Cell, int] = {}
        for number, chunk in enumerate(chunks):
            if chunk.kind in (ChunkKind.LEAF, ChunkKind.PROXY):
                firsts.setdefault((chunk.layer, chunk.tile), number)
        self._firsts = set(firsts.values())

    def ref(self, number: int, offset: int) -> ChunkRef:
        """The row of chunk `number` at `offset`."""
        chunk = self._chunks[number]
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
            offset=offset,
            box=self._box(chunk) if number in self._firsts else None,
        )

    def page(self, plan: PagePlan, group: int, frame: bytes, raw_bytes: int) -> PageRef:
        """The row of a page; where it lies follows from all rows."""
        chunks = [self._chunks[member] for member in plan.members]
        boxes = [self._box(chunk) for chunk in chunks if chunk.kind is not ChunkKind.BASIS]
        return PageRef(
            id=0,
            first_chunk=0,
            chunk_count=len(chunks),
            chunk_bytes=sum(len(chunk.packed) for chunk in chunks),
            raw_bytes=raw_bytes,
            packed_bytes=len(frame),
            hash=content_hash(frame),
            offset=0,
            group=group,
            region=plan.region,
            box=union(boxes),
            gain=math.fsum(chunk.gain for chunk in chunks),
            area_start=0,
            area_end=0,
        )

    def _box(self, chunk: PackedChunk) -> Box:
        return self._box_of(self._facts.layers[chunk.layer].tile_level, chunk.tile)


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

    def check_poster(self, poster: Buffer) -> None:
        """Raise DamagedError unless `poster` is the one that the root index names."""
        check_hash(
            poster,
            self.root.facts.poster_hash,
            section="poster",
            offset=self.header.root_end,
        )


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
    """Header and root index through `read`, in one request."""
    return parse_head(read(0, HEAD_BYTES))


def read_poster(read: ReadRange) -> bytes:
    """The poster of a file, a JPEG or WebP; empty where it has none."""
    head = open_head(read)
    if not head.header.poster_bytes:
        return b""
    poster = _read_exactly(read, head.header.root_end, head.header.poster_bytes, "poster")
    head.check_poster(poster)
    return poster


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
    bytes (not yet verified: `unpack_chunk` does that). `head`, `poster` and `table` fill as they
    arrive.
    """

    def __init__(self) -> None:
        self.position = 0  # bytes received
        self.needed_bytes = HEADER_BYTES  # that are known to be needed before `head` is there
        self.poster: bytes | None = None  # verified; None until it is here, or where there is none
        self._buffer = bytearray()
        self._opened: tuple[FileHead, ChunkTable] | None = None
        self._taken = 0  # bytes that have left the buffer
        self._parts: list[tuple[int, int, PageRef | ChunkRef]] = []  # heap by offset

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
