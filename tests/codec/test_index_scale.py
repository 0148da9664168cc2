"""The index of large scenes: its head fits, and the way to a corner is short.

Only the index is made, without payloads: see synthetic.py. bench/scale/index.py prints the
figures.
"""

from __future__ import annotations

import itertools
import time
from functools import cache

import pytest

from bench.scale.index import COUNTS, corners
from exgs.codec.constants import HEAD_BYTES, HEADER_BYTES, MAX_CHUNKS, MAX_PAGE_RAW_BYTES, ChunkKind
from exgs.codec.format.frame import content_hash
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.index_io import parse_page, parse_root
from exgs.codec.format.packing import PackedIndex, pack_index
from exgs.codec.format.rows import ChunkRef, PageRef
from tests.codec.synthetic import Synthetic, synthetic

_WAY_BYTES = 96 << 10  # to any corner of 100 million Gaussians
_LONGEST_S = 20.0


@cache
def packed(count: int) -> tuple[Synthetic, PackedIndex, float]:
    start = time.process_time()
    scene = synthetic(count)
    index = pack_index(scene.facts, scene.chunks, scene.box_of, thorough=False)
    return scene, index, time.process_time() - start


@pytest.mark.parametrize("count", COUNTS)
def test_the_head_fits_and_its_pages_are_sound(count: int) -> None:
    scene, index, _ = packed(count)
    assert HEADER_BYTES + len(index.root) <= HEAD_BYTES
    root = parse_root(index.root, index.header())
    assert root.chunk_count == len(scene.chunks) <= MAX_CHUNKS
    frames = [frame for group in index.pages for frame in group]
    assert len(root.pages) == len(frames)
    for page, frame in zip(root.pages, frames, strict=True):
        assert (page.packed_bytes, page.hash) == (len(frame), content_hash(frame))
        assert page.raw_bytes < MAX_PAGE_RAW_BYTES // 2


@pytest.mark.parametrize("count", COUNTS)
def test_chunks_keep_their_order_in_the_file(count: int) -> None:
    """So every prefix of the file is the best that the order of gain gives."""
    scene, index, _ = packed(count)
    start = index.root_count
    for plans, size in zip(index.plans, index.counts, strict=True):
        members = sorted(itertools.chain.from_iterable(plan.members for plan in plans))
        assert members == list(range(start, start + size))
        for plan in plans:
            assert plan.members == sorted(plan.members)
        start += size
    assert start == len(scene.chunks)


def test_a_corner_of_a_hundred_million_is_reached_in_little_index() -> None:
    scene, index, _ = packed(100_000_000)
    for way in corners(scene, index):
        assert way.to_first_leaf <= way.to_all <= _WAY_BYTES
        assert way.requests <= 10


@pytest.mark.parametrize("count", COUNTS)
def test_the_way_to_a_corner_grows_slower_than_the_scene(count: int) -> None:
    scene, index, _ = packed(count)
    total = HEADER_BYTES + len(index.root) + sum(len(f) for group in index.pages for f in group)
    for way in corners(scene, index, 16):
        assert way.to_all <= 40 * total**0.55


def test_a_reader_finds_every_chunk_where_it_lies() -> None:
    scene, index, _ = packed(5_000_000)
    root = parse_root(index.root, index.header())
    table = ChunkTable(root)
    frames = [frame for group in index.pages for frame in group]
    for page, frame in zip(root.pages, frames, strict=True):
        table.add_page(page, parse_page(frame, page, root.facts))
    assert table.complete
    parts: list[ChunkRef | PageRef] = [*table.values(), *root.pages]
    position = HEADER_BYTES + len(index.root)
    for part in sorted(parts, key=lambda part: part.offset):
        assert part.offset == position
        position = part.end
    assert position == root.file_bytes
    in_file = sorted(table.values(), key=lambda row: row.offset)
    assert [row.hash for row in in_file] == [chunk.hash for chunk in scene.chunks]
    shown = [c for c in scene.chunks if c.kind in (ChunkKind.LEAF, ChunkKind.PROXY)]
    gain_per_byte = [chunk.gain / chunk.packed_bytes for chunk in shown]
    assert all(after <= 1.001 * before for before, after in itertools.pairwise(gain_per_byte))


def test_packing_the_index_takes_little_time() -> None:
    assert sum(packed(count)[2] for count in COUNTS) < _LONGEST_S
