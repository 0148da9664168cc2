"""The index of a file that is being written: rows, pages and the root index, without payloads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from exgs.codec.constants import HEADER_BYTES, MAX_PAGES, MAX_ROOT_PACKED_BYTES, ChunkKind
from exgs.codec.errors import LimitError
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.frame import content_hash
from exgs.codec.format.header import Header
from exgs.codec.format.index_io import pack_page, pack_root
from exgs.codec.format.paging import PAGE_ROWS, PagePlan, Pager, Placed
from exgs.codec.format.rows import Box, Cell, ChunkRef, PageRef, union

BoxOf = Callable[[int, int], Box]  # (level, tile) -> the box of that tile

_PAGE_ROW_BYTES = 46  # of the root index for each page, about
_GROWTH = 1.2  # of pages, where the root index turns out too long


class Listed(Placed, Protocol):
    """What the index says of a chunk."""

    @property
    def count(self) -> int: ...
    @property
    def gain(self) -> float: ...
    @property
    def raw_bytes(self) -> int: ...
    @property
    def packed_bytes(self) -> int: ...
    @property
    def hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PackedIndex:
    """The index of a whole file as it lies in it. The chunks keep their order."""

    root: bytes
    root_raw_bytes: int
    root_count: int  # chunks that the root index lists
    pages: list[list[bytes]]  # frames, by group
    counts: list[int]  # chunks of each group
    plans: list[list[PagePlan]]  # what each page lists
    body_bytes: int  # of all pages and chunks

    def areas(self) -> Iterator[tuple[list[bytes], range]]:
        """The body of the file behind the poster: pages, and numbers of the chunks behind them.

        The first area has no pages: its chunks are those that the root index lists.
        """
        start = 0
        for pages, count in zip([[], *self.pages], [self.root_count, *self.counts], strict=True):
            yield pages, range(start, start + count)
            start += count

    def header(self, poster_bytes: int = 0) -> Header:
        """The header of the file, with a poster of this length behind the root index."""
        return Header(
            file_bytes=HEADER_BYTES + len(self.root) + poster_bytes + self.body_bytes,
            root_packed_bytes=len(self.root),
            root_raw_bytes=self.root_raw_bytes,
            root_hash=content_hash(self.root),
            poster_bytes=poster_bytes,
        )


def pack_index(
    facts: SceneFacts, chunks: Sequence[Listed], box_of: BoxOf, *, thorough: bool = True
) -> PackedIndex:
    """Pack the tables of a file with `chunks` in this order; raises LimitError."""
    rows = _Rows(facts, chunks, box_of)
    pager = Pager(chunks, facts.layers)
    root_rows = rows.consecutive(range(pager.root_count))
    bare, _ = pack_root(facts, root_rows, [], 0)
    most_pages = min((MAX_ROOT_PACKED_BYTES - len(bare)) // _PAGE_ROW_BYTES, MAX_PAGES)
    page_rows = PAGE_ROWS
    while True:
        plans = pager.groups(page_rows)
        if sum(map(len, plans)) <= most_pages or page_rows > len(chunks):
            frames, pages = _pack_pages(rows, plans, thorough=thorough)
            root, root_raw_bytes = pack_root(facts, root_rows, pages, 0)
            if len(root) <= MAX_ROOT_PACKED_BYTES:
                break
            if page_rows > len(chunks):
                raise LimitError(f"a root index of {len(root)} bytes", section="root index")
        page_rows = math.ceil(page_rows * _GROWTH)
    body_bytes = sum(chunk.packed_bytes for chunk in chunks)
    body_bytes += sum(len(frame) for group in frames for frame in group)
    return PackedIndex(
        root=root,
        root_raw_bytes=root_raw_bytes,
        root_count=pager.root_count,
        pages=frames,
        counts=[sum(len(page.members) for page in group) for group in plans],
        plans=plans,
        body_bytes=body_bytes,
    )


def _pack_pages(
    rows: _Rows, plans: list[list[PagePlan]], *, thorough: bool
) -> tuple[list[list[bytes]], list[PageRef]]:
    """The frames of all pages, by group, and what the root index says of them."""
    frames: list[list[bytes]] = []
    pages: list[PageRef] = []
    for number, group in enumerate(plans):
        members = sorted(member for page in group for member in page.members)
        refs = dict(zip(members, rows.consecutive(members), strict=True))
        frames.append([])
        for plan in group:
            frame, raw_bytes = pack_page(
                [refs[member] for member in plan.members], 0, thorough=thorough
            )
            frames[-1].append(frame)
            pages.append(rows.page(plan, number, frame, raw_bytes))
    return frames, pages


class _Rows:
    """Rows for the chunks of a file that is being written."""

    def __init__(self, facts: SceneFacts, chunks: Sequence[Listed], box_of: BoxOf) -> None:
        self._facts = facts
        self._chunks = chunks
        self._box_of = box_of
        firsts: dict[Cell, int] = {}
        for number, chunk in enumerate(chunks):
            if chunk.kind in (ChunkKind.LEAF, ChunkKind.PROXY):
                firsts.setdefault((chunk.layer, chunk.tile), number)
        self._firsts = set(firsts.values())

    def consecutive(self, members: Sequence[int]) -> list[ChunkRef]:
        """The rows of chunks that lie one behind the other; offsets count from the first."""
        refs = []
        offset = 0
        for member in members:
            chunk = self._chunks[member]
            ref = ChunkRef(
                id=0,
                kind=chunk.kind,
                layer=chunk.layer,
                tile=chunk.tile,
                count=chunk.count,
                raw_bytes=chunk.raw_bytes,
                packed_bytes=chunk.packed_bytes,
                gain=chunk.gain,
                hash=chunk.hash,
                offset=offset,
                box=self._box(chunk) if member in self._firsts else None,
            )
            refs.append(ref)
            offset = ref.end
        return refs

    def page(self, plan: PagePlan, group: int, frame: bytes, raw_bytes: int) -> PageRef:
        """The row of a page; where it lies follows from all rows."""
        chunks = [self._chunks[member] for member in plan.members]
        cells = {(c.layer, c.tile): c for c in chunks if c.kind is not ChunkKind.BASIS}
        return PageRef(
            id=0,
            first_chunk=0,
            chunk_count=len(chunks),
            chunk_bytes=sum(chunk.packed_bytes for chunk in chunks),
            raw_bytes=raw_bytes,
            packed_bytes=len(frame),
            hash=content_hash(frame),
            offset=0,
            group=group,
            region=plan.region,
            box=union(map(self._box, cells.values())),
            gain=math.fsum(chunk.gain for chunk in chunks),
            area_start=0,
            area_end=0,
        )

    def _box(self, chunk: Listed) -> Box:
        return self._box_of(self._facts.layers[chunk.layer].tile_level, chunk.tile)
