"""A file comes out of any source as it went in: pushed in any cut, or read by ranges."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.constants import HEAD_BYTES, HEADER_BYTES, ChunkKind
from exgs.codec.decoding.decode import decode, open_scene, verify
from exgs.codec.errors import DamagedError, FormatError, LimitError, TruncatedError
from exgs.codec.format import packing
from exgs.codec.format.container import (
    FilePusher,
    PackedChunk,
    build_file,
    open_head,
    open_table,
    parse_head,
    read_chunk,
    read_poster,
    unpack_chunk,
)
from exgs.codec.format.facts import HomeView, Layer, QualityPoint, SceneFacts
from exgs.codec.format.frame import content_hash, pack_frame, store_frame, unpack_frame
from exgs.codec.format.header import Header, crc32c, pack_header, parse_header
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.index_io import parse_page
from exgs.codec.format.rows import Box, ChunkRef, PageRef, Region, union
from exgs.codec.payload.geometry import GeometrySteps, pack_geometry
from exgs.codec.payload.scale_levels import SizeSteps
from exgs.scene.gaussians import Gaussians
from tests.codec.drawing import draw, fingerprint, packed_chunk, parts_of
from tests.codec.forge import assemble
from tests.codec.forged_files import divided_file, random_file, random_scene

Rows = tuple[ChunkRef, ...]

STEPS = GeometrySteps(0.01, SizeSteps(0.1), 8, 8, 0.05, 0.05)


def facts(layers: tuple[Layer, ...], **changes: object) -> SceneFacts:
    plain = SceneFacts(
        name="scène",
        credit="someone",
        license="CC0-1.0",
        encoder="test",
        leaf_count=sum(layer.leaf_count for layer in layers),
        sh_degree=0,
        up=(0.0, -1.0, 0.0),
        layers=layers,
        quality=(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def leaf(
    layer: int, tile: int, children: int, count: int = 1, kind: int = ChunkKind.LEAF
) -> PackedChunk:
    scene = random_scene(count, layer * 100 + tile, 0)
    packed = pack_geometry(scene, np.zeros(count, np.int64), children, STEPS)
    return packed_chunk(kind, layer, tile, count, packed.columns)


def box_of(level: int, tile: int) -> Box:
    """A box for each tile: a slice of the unit cube."""
    return Box((tile / (1 << level), 0.0, 0.0), ((tile + 1) / (1 << level), 1.0, 1.0))


def build(facts: SceneFacts, chunks: list[PackedChunk], poster: bytes = b"") -> bytes:
    return b"".join(build_file(facts, chunks, box_of, poster))


def many_chunks() -> tuple[SceneFacts, list[PackedChunk]]:
    """2048 cells in a second layer under one in the first, neighbours far apart in the file."""
    return facts((Layer(0, 1, 0), Layer(11, 2048, 0))), list(MANY_CHUNKS)


MANY_CHUNKS = [leaf(0, 0, 2048), *(leaf(1, 7 * place % 2048, 1) for place in range(2048))]
MANY = build(*many_chunks())
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


def test_groups_grow_and_are_cut_by_region() -> None:
    pusher, arrived = parts_of(MANY)
    assert pusher.head is not None
    assert pusher.table is not None
    root = pusher.head.root
    assert pusher.table.complete
    rows: dict[int, int] = {}
    for page in root.pages:
        rows[page.group] = rows.get(page.group, 0) + page.chunk_count
    assert [len(root.chunks), *rows.values()] == [16, 64, 256, 512, 1201]
    assert [page.region for page in root.pages if page.group < 2] == [Region(), Region()]
    last = [page for page in root.pages if page.group == 3]
    assert [page.region for page in last] == [Region(4, tile) for tile in range(16)]
    assert all(page.chunk_count <= 64 for page in root.pages if page.group == 2)
    position = pusher.head.header.root_end
    parts = sorted([*root.pages, *(chunk for chunk, _ in arrived)], key=lambda part: part.offset)
    for part in parts:
        assert part.offset == position
        position = part.end
    assert position == len(MANY) == pusher.head.header.file_bytes
    # The order of the file is the one in which the chunks went in.
    assert [chunk.tile for chunk, _ in arrived[1:]] == [7 * n % 2048 for n in range(2048)]
    assert [chunk.id for chunk, _ in arrived] != sorted(chunk.id for chunk, _ in arrived)
    for page in last:
        own = [c for c, _ in arrived if 0 <= c.id - page.first_chunk < page.chunk_count]
        assert all(page.region.covers(11, chunk.tile) for chunk in own)
        assert page.box == union([chunk.box for chunk in own if chunk.box is not None])
        assert page.gain == sum(chunk.gain for chunk in own)
        assert page.chunk_bytes == sum(chunk.packed_bytes for chunk in own)


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


def test_a_head_costs_one_request() -> None:
    for data in (RANDOM, MANY):
        asked: list[tuple[int, int]] = []

        def read(offset: int, length: int, data: bytes = data) -> bytes:
            asked.append((offset, length))  # noqa: B023
            return data[offset : offset + length]

        assert open_head(read).header.file_bytes == len(data)
        assert asked == [(0, HEAD_BYTES)]


def test_a_full_root_index_makes_pages_larger_and_is_refused_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    names = ("name", "credit", "license", "encoder", "crs")
    texts = {name: "".join(map(chr, rng.integers(0x4E00, 0x9FFF, 341))) for name in names}
    points = zip(np.cumsum(rng.integers(1, 1 << 40, 64)), rng.random((64, 2)), strict=True)
    plain, chunks = many_chunks()
    crowded = replace(
        plain,
        **texts,
        quality=tuple(QualityPoint(int(n), *map(float, values)) for n, values in points),
    )
    data = build(crowded, chunks)
    head = parse_head(data)
    assert head.root.facts.name == texts["name"]
    assert len(head.root.pages) == len(parse_head(MANY).root.pages)
    room = head.header.root_packed_bytes
    for limit in (room - 1, room - 80):
        monkeypatch.setattr(packing, "MAX_ROOT_PACKED_BYTES", limit)
        tight = parse_head(build(crowded, chunks))
        assert tight.header.root_packed_bytes <= limit
        assert len(tight.root.pages) < len(head.root.pages)
    monkeypatch.setattr(packing, "MAX_ROOT_PACKED_BYTES", room - 1000)
    with pytest.raises(LimitError, match="root index"):
        build(crowded, chunks)


def test_the_poster_lies_behind_the_root_index() -> None:
    poster = b"\xff\xd8\xff picture"
    plain = facts((Layer(0, 1, 0),))
    data = build(replace(plain, poster_hash=content_hash(poster)), [leaf(0, 0, 1)], poster)
    assert read_poster(lambda offset, n: data[offset : offset + n]) == poster
    header = parse_head(data).header
    assert data[header.root_end : header.poster_end] == poster
    pusher = FilePusher()
    assert not pusher.receive_data(data[: header.poster_end - 1])
    assert pusher.poster is None
    assert len(pusher.receive_data(data[header.poster_end - 1 :])) == 1
    assert pusher.poster == poster
    damaged = data.replace(b"picture", b"Picture")
    with pytest.raises(DamagedError, match="poster"):
        FilePusher().receive_data(damaged)
    with pytest.raises(DamagedError, match="poster"):
        read_poster(lambda offset, n: damaged[offset : offset + n])
    with pytest.raises(TruncatedError):
        read_poster(lambda offset, n: data[: header.root_end][offset : offset + n])
    without = build(plain, [leaf(0, 0, 1)])
    assert read_poster(lambda offset, n: without[offset : offset + n]) == b""


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
        antialiased=True,
        origin=(2600000.25, 1.2e6, -0.1),
        crs="EPSG:2056",
    )
    chunks = [leaf(0, 0, 2, 2, ChunkKind.PROXY), leaf(0, 0, 2), leaf(1, 0, 1), leaf(1, 1, 1)]
    assert repr(parse_head(build(whole, chunks)).root.facts) == repr(whole)


@pytest.mark.parametrize("first", [ChunkKind.LEAF, ChunkKind.PROXY])
def test_leaf_and_proxy_of_a_cell_stay_in_one_page(first: ChunkKind) -> None:
    second = ChunkKind.LEAF if first is ChunkKind.PROXY else ChunkKind.PROXY
    chunks = [leaf(0, 0, 32)]
    for tile in range(32):
        chunks += [leaf(1, tile, 1, kind=first), leaf(1, tile, 1, kind=second)]
    data = build(facts((Layer(0, 1, 0), Layer(5, 32, 32))), chunks)
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
    assert list(table) == list(range(2049))
    assert dict(table) == dict(open_table(lambda offset, n: MANY[offset : offset + n])[1])


def test_rows_are_checked_however_late_the_first_page_comes() -> None:
    count, chunks = many_chunks()
    chunks[20] = chunks[19]  # a tile twice, in page 1, and another never
    data = build(count, chunks)
    head = parse_head(data)
    table = ChunkTable(head.root)
    first, *others = (
        (page, parse_page(data[page.offset : page.end], page, head.root.facts))
        for page in head.root.pages
    )
    for page, rows in reversed(others):
        table.add_page(page, rows)
    with pytest.raises(DamagedError, match="LEAF already"):
        table.add_page(*first)


def test_pages_of_one_corner_are_enough_to_check_it() -> None:
    """A fault in another corner is not found before its page comes."""
    count, chunks = many_chunks()
    # Of the last group: a cell of the first region twice, another of it never.
    late = [n for n, c in enumerate(chunks) if n > 900 and c.layer and c.tile < 128]
    chunks[late[1]] = chunks[late[0]]
    data = build(count, chunks)
    head = parse_head(data)
    table = ChunkTable(head.root)
    bad, *others = [page for page in head.root.pages if page.group == 3]
    early = [page for page in head.root.pages if page.group < 3]
    assert bad.region == Region(4, 0)
    for page in [*early, *others]:
        table.add_page(page, parse_page(data[page.offset : page.end], page, head.root.facts))
    with pytest.raises(DamagedError, match="LEAF already"):
        table.add_page(bad, parse_page(data[bad.offset : bad.end], bad, head.root.facts))


def _divided_table(missing: set[int]) -> tuple[ChunkTable, list[tuple[PageRef, Rows]]]:
    """The table of a file of three levels of regions without some pages, and all pages."""
    data = assemble(divided_file())
    root = parse_head(data).root
    pages = [
        (page, parse_page(data[page.offset : page.end], page, root.facts)) for page in root.pages
    ]
    table = ChunkTable(root)
    for page, rows in pages:
        if page.id not in missing:
            table.add_page(page, rows)
    return table, pages


def test_a_row_is_checked_without_the_pages_beside_its_cell() -> None:
    """Page 6, of tile 0 of level 1, refines tile 1 of level 2: page 3 lists that, page 2 tile 0."""
    table, pages = _divided_table({2, 6})
    page, rows = pages[5]
    assert page.region == Region(1, 0)
    assert {row.tile for row in rows} == {1}
    worse = tuple(replace(row, count=row.count + 1) for row in rows)
    with pytest.raises(DamagedError, match="rows for"):
        table.add_page(page, worse)
    table, _ = _divided_table({3, 6})
    table.add_page(page, worse)  # what tile 1 has is not known yet
    with pytest.raises(DamagedError, match="rows for"):
        table.add_page(*pages[2])


@pytest.mark.parametrize("seed", range(20))
def test_sound_pages_are_sound_in_any_order(seed: int) -> None:
    table, pages = _divided_table(set(range(1, 12)))
    for number in np.random.default_rng(seed).permutation(len(pages)):
        table.add_page(*pages[number])
    assert table.complete


def test_sums_are_held_against_whatever_has_come() -> None:
    table, pages = _divided_table(set(range(1, 12)))
    page, rows = pages[-1]
    many = tuple(replace(row, count=4000) if row.kind is ChunkKind.LEAF else row for row in rows)
    with pytest.raises(DamagedError, match="more than"):
        table.add_page(page, many)


def test_chunks_of_a_group_neither_overlap_nor_leave_holes() -> None:
    head = parse_head(MANY)
    pages = [page for page in head.root.pages if page.group == 3]
    parsed = [
        (page, parse_page(MANY[page.offset : page.end], page, head.root.facts)) for page in pages
    ]
    page, rows = parsed[1]
    for moved in (rows[5].offset - 1, rows[5].offset + 1, rows[4].offset):
        table = ChunkTable(head.root)
        changed = (*rows[:5], replace(rows[5], offset=moved), *rows[6:])
        for other in [parsed[0], *parsed[2:]]:
            table.add_page(*other)
        with pytest.raises(DamagedError, match="the chunk before it ends"):
            table.add_page(page, changed)


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
    good = pack_header(Header(1000, 100, 200, bytes(range(16)), 300))
    assert parse_header(good) == Header(1000, 100, 200, bytes(range(16)), 300)
    for bit in range(8 * HEADER_BYTES):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(FormatError):
            parse_header(bad)


def test_the_scene_hash_changes_with_any_chunk(tmp_path: Path) -> None:
    count, chunks = many_chunks()
    other = [*chunks[:-1], replace(chunks[-1], gain=2.0)]
    hashes = {parse_head(build(count, c)).scene_hash for c in (chunks, other)}
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


def test_the_root_index_knows_the_box_of_the_scene() -> None:
    assert parse_head(MANY).root.box == Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
