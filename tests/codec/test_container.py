"""A file comes out of any source as it went in: pushed in any cut, or read by ranges."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.constants import HEADER_BYTES, ROOT_TARGET_BYTES, ChunkKind
from exgs.codec.decoding.decode import decode, open_scene, verify
from exgs.codec.errors import DamagedError, FormatError, TruncatedError
from exgs.codec.format.container import (
    FilePusher,
    PackedChunk,
    build_file,
    open_head,
    open_table,
    parse_head,
    read_chunk,
    unpack_chunk,
)
from exgs.codec.format.facts import HomeView, Layer, QualityPoint, SceneFacts
from exgs.codec.format.frame import content_hash, pack_frame, store_frame, unpack_frame
from exgs.codec.format.header import Header, crc32c, pack_header, parse_header
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.index_io import parse_page
from exgs.codec.payload.geometry import GeometrySteps, pack_geometry
from exgs.codec.payload.scale_levels import SizeSteps
from exgs.scene.gaussians import Gaussians
from tests.codec.drawing import draw, fingerprint, packed_chunk, parts_of
from tests.codec.forge import assemble, random_file, random_scene

STEPS = GeometrySteps(0.01, SizeSteps(0.1), 8, 8, 0.05, 0.05)


def facts(layers: tuple[Layer, ...], **changes: object) -> SceneFacts:
    levels = max(layer.tile_level for layer in layers)
    plain = SceneFacts(
        name="scène",
        credit="someone",
        license="CC0-1.0",
        encoder="test",
        leaf_count=sum(layer.leaf_count for layer in layers),
        sh_degree=0,
        up=(0.0, -1.0, 0.0),
        layers=layers,
        tile_bounds=np.zeros((1 << levels, 2, 3), np.float32),
        quality=(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def leaf(
    layer: int, tile: int, span: int, count: int = 1, kind: int = ChunkKind.LEAF
) -> PackedChunk:
    scene = random_scene(count, layer * 100 + tile, 0)
    tiles = range(tile * span, (tile + 1) * span)
    owner = np.full(count, tiles.start)
    return packed_chunk(kind, layer, tile, count, pack_geometry(scene, owner, tiles, STEPS).columns)


def many_chunks() -> tuple[SceneFacts, list[PackedChunk]]:
    """512 cells in a second layer under one in the first: enough for four pages."""
    chunks = [leaf(0, 0, 512), *(leaf(1, tile, 1) for tile in range(512))]
    return facts((Layer(0, 1, 0), Layer(9, 512, 0))), chunks


MANY = b"".join(build_file(*many_chunks()))
RANDOM = assemble(random_file(counts=(2, 3), proxies=(2, 0), rows_per_page=3))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, len(RANDOM)), max_size=30))
def test_any_cut_through_the_pusher_gives_the_same_chunks(cuts: list[int]) -> None:
    _, whole = parts_of(RANDOM)
    pusher = FilePusher()
    edges = [0, *sorted(cuts), len(RANDOM)]
    arrived = []
    for start, end in pairwise(edges):
        assert pusher.complete == (start == len(RANDOM))
        arrived += pusher.receive_data(RANDOM[start:end])
        assert pusher.position == end
    assert pusher.complete
    assert arrived == whole
    assert [packed for _, packed in arrived] == [
        RANDOM[chunk.offset : chunk.end] for chunk, _ in whole
    ]


def test_one_byte_at_a_time_is_a_cut_like_any_other() -> None:
    pusher = FilePusher()
    arrived = [pair for i in range(len(RANDOM)) for pair in pusher.receive_data(RANDOM[i : i + 1])]
    assert arrived == parts_of(RANDOM)[1]


def test_pages_grow_and_lie_right_before_their_chunks() -> None:
    pusher, arrived = parts_of(MANY)
    assert pusher.head is not None
    assert pusher.table is not None
    root = pusher.head.root
    assert [len(root.chunks), *(page.chunk_count for page in root.pages)] == [16, 64, 256, 177]
    assert pusher.table.complete
    position = pusher.head.header.root_end
    pages = {page.first_chunk: page for page in root.pages}
    for chunk, _ in arrived:
        if chunk.id in pages:
            assert pages[chunk.id].offset == position
            position = pages[chunk.id].end
        assert chunk.offset == position
        position = chunk.end
    assert position == len(MANY) == pusher.head.header.file_bytes


def test_pull_and_push_agree(tmp_path: Path) -> None:
    path = tmp_path / "many.exgs"
    path.write_bytes(MANY)
    pusher, arrived = parts_of(MANY)
    scene = open_scene(path)
    assert scene.file_bytes == len(MANY)
    assert pusher.table is not None
    assert dict(scene.table) == dict(pusher.table)
    for chunk, packed in arrived[::50]:
        assert read_chunk(scene.read, chunk) == unpack_chunk(chunk, packed)
    verify(path)


def test_an_ordinary_head_costs_one_request_a_large_one_two() -> None:
    for data, requests in ((RANDOM, 1), (_with_large_root(), 2)):
        asked: list[tuple[int, int]] = []

        def read(offset: int, length: int, data: bytes = data) -> bytes:
            asked.append((offset, length))  # noqa: B023
            return data[offset : offset + length]

        head = open_head(read)
        assert head.header.file_bytes == len(data)
        assert asked[0] == (0, ROOT_TARGET_BYTES)
        assert len(asked) == requests


def _with_large_root() -> bytes:
    noise = np.random.default_rng(0).integers(0x4E00, 0x9FFF, 8000)
    return b"".join(
        build_file(
            facts(
                (Layer(0, 1, 0),),
                name="".join(map(chr, noise[:5000])),
                credit="".join(map(chr, noise[3000:])),
            ),
            [leaf(0, 0, 1)],
        )
    )


def test_a_short_source_is_truncated_and_says_what_it_needs() -> None:
    for end in (0, 10, HEADER_BYTES, HEADER_BYTES + 5):
        with pytest.raises(TruncatedError) as caught:
            open_head(lambda offset, length, end=end: RANDOM[offset : min(offset + length, end)])
        assert end < caught.value.needed_bytes <= len(RANDOM)
    head = parse_head(RANDOM)
    page = head.root.pages[-1]
    for end in (page.offset, page.end - 1):
        with pytest.raises(TruncatedError) as caught:
            open_table(lambda offset, length, end=end: RANDOM[offset : min(offset + length, end)])
        assert caught.value.needed_bytes == page.end
        assert caught.value.offset == page.offset


def test_facts_come_back() -> None:
    whole = facts(
        (Layer(0, 1, 2, 1.5), Layer(1, 2, 0)),
        home=HomeView((1.0, 2.0, 3.0), (0.0, 0.5, 0.0), 0.9),
        quality=(QualityPoint(100, 20.0, 0.5), QualityPoint(150, 30.0, 0.75)),
    )
    chunks = [leaf(0, 0, 2, 2, ChunkKind.PROXY), leaf(0, 0, 2), leaf(1, 0, 1), leaf(1, 1, 1)]
    got = parse_head(b"".join(build_file(whole, chunks))).root.facts
    np.testing.assert_array_equal(got.tile_bounds, whole.tile_bounds)
    same = {"tile_bounds": whole.tile_bounds}
    assert repr(replace(got, **same)) == repr(whole)


@pytest.mark.parametrize("first", [ChunkKind.LEAF, ChunkKind.PROXY])
def test_leaf_and_proxy_of_a_cell_stay_in_one_page(first: ChunkKind) -> None:
    second = ChunkKind.LEAF if first is ChunkKind.PROXY else ChunkKind.PROXY
    chunks = [leaf(0, 0, 32)]
    for tile in range(32):
        chunks += [leaf(1, tile, 1, kind=first), leaf(1, tile, 1, kind=second)]
    data = b"".join(build_file(facts((Layer(0, 1, 0), Layer(5, 32, 32))), chunks))
    pusher, arrived = parts_of(data)
    assert pusher.head is not None
    assert len(arrived) == 65
    assert [len(pusher.head.root.chunks), *(p.chunk_count for p in pusher.head.root.pages)] == [
        17,
        48,
    ]


def test_pages_may_come_in_any_order() -> None:
    head = parse_head(MANY)
    table = ChunkTable(head.root)
    for page in reversed(head.root.pages):
        assert not table.complete
        rows = parse_page(MANY[page.offset : page.end], page, head.root.facts)
        table.add_page(page, rows)
        table.add_page(page, rows)  # once more is harmless
    assert table.complete
    assert list(table) == list(range(513))
    assert dict(table) == dict(open_table(lambda offset, n: MANY[offset : offset + n])[1])


def test_rows_are_judged_however_late_the_first_page_comes() -> None:
    count, chunks = many_chunks()
    chunks[20] = chunks[19]  # tile 18 twice, in page 1, and tile 19 never
    head = parse_head(b"".join(build_file(count, chunks)))
    data = b"".join(build_file(count, chunks))
    table = ChunkTable(head.root)
    one, two, three = (
        (page, parse_page(data[page.offset : page.end], page, head.root.facts))
        for page in head.root.pages
    )
    table.add_page(*three)
    table.add_page(*two)
    with pytest.raises(DamagedError, match="LEAF already"):
        table.add_page(*one)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_frames_hold_their_columns(columns: list[bytes]) -> None:
    packed, raw_bytes = pack_frame(columns)
    assert raw_bytes == sum(map(len, columns))
    raw = unpack_frame(
        packed,
        raw_bytes=raw_bytes,
        expected_hash=content_hash(packed),
        limit_bytes=raw_bytes,
        section="test",
    )
    assert raw == b"".join(columns)
    assert pack_frame(columns) == (packed, raw_bytes)


@pytest.mark.parametrize("sizes", [(), (1,), (5, 0, 7), (128 << 10,), (100_000, 200_000)])
def test_stored_frames_hold_their_columns(sizes: tuple[int, ...]) -> None:
    columns = [bytes(size) for size in sizes]
    packed = store_frame(columns)
    assert len(packed) > sum(sizes)
    raw = unpack_frame(
        packed,
        raw_bytes=sum(sizes),
        expected_hash=content_hash(packed),
        limit_bytes=sum(sizes),
        section="test",
    )
    assert raw == b"".join(columns)


def test_the_checksum_is_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_every_bit_of_the_header_is_checked() -> None:
    good = pack_header(Header(1000, 100, 200, bytes(range(16))))
    assert parse_header(good) == Header(1000, 100, 200, bytes(range(16)))
    for bit in range(8 * HEADER_BYTES):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(FormatError):
            parse_header(bad)


def test_the_scene_hash_changes_with_any_chunk(tmp_path: Path) -> None:
    count, chunks = many_chunks()
    other = [*chunks[:-1], leaf(1, 511, 1, count=1)]
    other[-1] = replace(other[-1], gain=2.0)
    hashes = {parse_head(b"".join(build_file(count, c))).scene_hash for c in (chunks, other)}
    assert len(hashes) == 2
    assert parse_head(MANY).scene_hash in hashes


def test_decode_stops_at_bytes_and_layers(tmp_path: Path) -> None:
    path = tmp_path / "random.exgs"
    path.write_bytes(RANDOM)
    _, arrived = parts_of(RANDOM)
    end = arrived[2][0].end
    assert fingerprint(decode(path, max_bytes=end)) == fingerprint(draw(RANDOM[:end]))
    assert fingerprint(decode(path, max_bytes=10**9)) == fingerprint(draw(RANDOM))
    first = [chunk for chunk, _ in arrived if chunk.layer == 0]
    leaves = sum(chunk.count for chunk in first if chunk.kind is ChunkKind.LEAF)
    drawn = decode(path, max_layer=0)
    assert np.count_nonzero(~drawn.is_proxy) == leaves
    with pytest.raises(TruncatedError):
        decode(path, max_bytes=0)
    assert len(decode(path, max_bytes=arrived[0][0].offset).gaussians) == 0
    assert isinstance(drawn.gaussians, Gaussians)
