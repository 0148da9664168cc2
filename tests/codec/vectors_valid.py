"""Sound files for spec/vectors/valid: the corners of the format that a reader must know."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgpack
import zstandard

from exgs.codec.constants import MAX_NESTING, ChunkKind
from tests.codec.drawing import parts_of
from tests.codec.forge import Parts, Root, Row, assemble, chunk, squeeze
from tests.codec.forged_files import divided_file, random_file, tiny_file
from tests.codec.vectors_extreme import extremes

LEAF, PROXY, SH, BASIS, FINE = (int(kind) for kind in list(ChunkKind)[:5])

# A picture of one pixel.
WEBP = bytes.fromhex("524946461a000000574542505650384c0d0000002f00000010071011118888fe0700")


class Valid(NamedTuple):
    """A sound file."""

    name: str
    shows: str
    data: bytes
    prefixes: Sequence[int] = ()  # to decode besides the whole
    missing: Sequence[int] = ()  # chunks, each of which is left out once


def valid_files() -> Iterator[Valid]:
    """All of them."""
    one = assemble(tiny_file())
    yield Valid("one", "one Gaussian of degree 0: header, root index, one LEAF", one)

    full = random_file(
        counts=(0, 12, 20),
        proxies=(8, 5, 0),
        levels=(0, 1, 2),
        amplification=(1.0, 1.0, 1.0),
        sh_degree=2,
        sh_passes=2,
        seed=2,
    )
    full.root["home"] = {"eye": [0.5, 0.5, -2.0], "forward": [0.0, 0.0, 3.0], "fov_y": 1.0}
    data = assemble(full)
    yield Valid(
        "full",
        "three layers, proxies, four tiles, SH twice, FINE, pages",
        data,
        [len(data) * part // 5 for part in (2, 3, 4)],
        [ref.id for ref, _ in parts_of(data)[1] if ref.kind in (LEAF, PROXY) and ref.layer == 1],
    )

    pruned = random_file(
        counts=(3, 5, 8),
        proxies=(0, 0, 0),
        levels=(0, 2, 3),
        amplification=(1.5, 1.25, 1.0),
        sh_degree=0,
        seed=4,
    )
    data = assemble(pruned)
    yield Valid(
        "pruned",
        "no proxies, amplified leaves, empty cells, FINE without SH",
        data,
        [len(data) * part // 4 for part in (2, 3)],
    )

    harmonics = random_file(
        counts=(6,),
        proxies=(0,),
        levels=(0,),
        amplification=(1.0,),
        sh_degree=3,
        sh_passes=8,
        seed=5,
    )
    yield Valid("harmonics", "degree 3, as many SH chunks as a cell may have", assemble(harmonics))

    seen = random_file(
        counts=(2, 5, 9),
        proxies=(5, 4, 0),
        levels=(0, 1, 2),
        amplification=(1.0, 1.0, 1.0),
        sh_degree=2,
        proxy_rows=5,
        fine=False,
        seed=31,
    )
    data = assemble(seen)
    ends = [ref.end for ref, _ in parts_of(data)[1]]
    yield Valid("seen", "proxies with SH in bases of their own", data, [ends[3], ends[6], ends[9]])

    bases = random_file(counts=(0, 4), proxies=(1, 0), levels=(0, 1), bases=3, fine=False, seed=9)
    yield Valid("bases", "three SH bases, of which each chunk names one", assemble(bases))

    order = random_file(counts=(4, 6), proxies=(3, 0), sh_passes=2, seed=6, rows_per_page=100)
    rows = order.pages[0]
    proxy = next(row for row in rows if row.kind == PROXY)
    basis = next(row for row in rows if row.kind == BASIS)
    leaf, *others = [row for row in rows if row not in (proxy, basis)]
    others.sort(key=lambda row: (row.kind == SH, row.kind == FINE, row.layer))
    order.pages = [[], [basis, leaf, proxy], others]
    yield Valid("order", "an empty root table, BASIS first, LEAF before PROXY", assemble(order))

    joined = random_file(counts=(2, 8), proxies=(1, 0), seed=7, rows_per_page=100)
    rows = joined.pages[0]
    apart = next(row for row in rows if row.kind == SH and (row.layer, row.tile) == (1, 0))
    last = next(row for row in rows if row.kind == SH and (row.layer, row.tile) == (1, 1))
    rest = [row for row in rows if row not in (apart, last)]
    (fine,) = [row for row in rest if row.kind == FINE and (row.layer, row.tile) == (1, 1)]
    rest.remove(fine)
    joined.pages = [[*rest, apart], [last, fine]]
    data = assemble(joined)
    yield Valid(
        "joined",
        "a first SH that LEAF waits for behind BASIS, one behind FINE and one in the next page",
        data,
        [ref.end for ref, _ in parts_of(data)[1][1:7:2]],
    )

    later = random_file(counts=(2, 3), seed=1)
    later.header["minor"] = 7
    later.root["mood"] = {"deep": [None, True, 1.5, b"x"]}
    deepest: object = {}
    for _ in range(MAX_NESTING - 2):
        deepest = [deepest]
    later.root["depth"] = deepest
    later.root["name"] = "späterhin\n\t…"
    later.root["up"] = [0, -1, 0]
    later.pages[0].append(chunk(200, 0, 0, 9, b"whatever"))
    later.pages[1].insert(1, replace(chunk(128, 1, 1, 0, b"x"), data=b"not a frame"))
    later.edit_index = lambda root: root["chunks"].update(color=b"unknown column")
    yield Valid("later", "a later minor version: unknown keys, kinds to leave out", assemble(later))

    loose = random_file(counts=(2, 3), seed=1)
    loose.dump_root = _loosely
    loose.wrap_root = lambda raw: squeeze(raw, write_checksum=True)
    loose.pages = [[_wider(row) for row in page] for page in loose.pages]
    yield Valid("loose", "long integers, wide columns, checksums, windows", assemble(loose))

    data = assemble(_between())
    yield Valid(
        "between",
        "an SH joined over a row to leave out, one that is not since a page lies between",
        data,
        [ref.end for ref, _ in parts_of(data)[1]][3:6],
        [0],
    )

    data = assemble(divided_file())
    pusher, arrived = parts_of(data)
    ends = [ref.end for ref, _ in arrived]
    assert pusher.head is not None
    yield Valid(
        "regions",
        "groups of several pages, regions of three levels, chunks of pages between each other",
        data,
        [pusher.head.root.pages[3].end, ends[12], ends[16], ends[25]],
        [arrived[7][0].id, arrived[20][0].id],
    )

    data = assemble(divided_file(coarse_gain=900.0))
    yield Valid("coarse", "as regions; the page of the largest region has the most gain", data)

    placed = random_file(counts=(2, 3), seed=3)
    placed.poster = WEBP
    placed.root.update(antialiased=True, origin=[2600000, 1.2e6, -0.1], crs="EPSG:2056")
    data = assemble(placed)
    pusher, arrived = parts_of(data)
    assert pusher.head is not None
    header = pusher.head.header
    yield Valid(
        "placed",
        "a poster, compensation, an origin far off, a coordinate reference system",
        data,
        [header.root_end, header.poster_end - 1, arrived[1][0].end],
    )

    jumps = random_file(
        counts=(3, 20, 9, 40),
        proxies=(6, 9, 8, 0),
        levels=(0, 3, 3, 6),
        amplification=(1.5, 1.25, 1.125, 1.0),
        sh_degree=0,
        fine=False,
        seed=21,
        rows_per_page=40,
    )
    data = assemble(jumps)
    ends = [ref.end for ref, _ in parts_of(data)[1]]
    yield Valid(
        "jumps",
        "layers whose tile levels rise by 3, by 0 and by 3",
        data,
        [ends[10], ends[20], ends[50]],
    )

    data = assemble(_amplified())
    ends = [ref.end for ref, _ in parts_of(data)[1]]
    yield Valid(
        "amplified",
        "the top layer of a child: the cells that it covers come one by one",
        data,
        [ends[i] for i in (0, 1, 2, 5, 6, 9)],
        [3],
    )

    data = assemble(extremes())
    yield Valid(
        "extremes",
        "codes of 63 bits, longest turns, numbers beyond every clamp, amplification at its ends",
        data,
        [ref.end for ref, _ in parts_of(data)[1]][1:6:2],
    )


def _between() -> Parts:
    """BASIS, PROXY and LEAF of the first cell, EXTRA, its SH, a LEAF; on the next page its SH."""
    parts = random_file(
        counts=(3, 4), proxies=(2, 0), levels=(0, 0), fine=False, seed=11, rows_per_page=100
    )
    proxy, leaf, basis, sh, above, its_sh = parts.pages[0]
    extra = chunk(200, 0, 0, 3, b"whatever")
    parts.pages = [[basis, proxy, leaf, extra, sh, above], [its_sh]]
    return parts


def _amplified() -> Parts:
    """Layers of 1, 2 and 8 tiles, each with its amplification, no proxies."""
    return random_file(
        counts=(8, 8, 16),
        proxies=(0, 0, 0),
        levels=(0, 1, 3),
        amplification=(4.0, 2.0, 1.0),
        sh_degree=0,
        fine=False,
        seed=23,
        rows_per_page=100,
    )


def _loosely(root: Root) -> bytes:
    """The same map with integers in nine bytes."""
    packer = msgpack.Packer(use_bin_type=True)
    out = packer.pack_map_header(len(root))
    for key, value in root.items():
        out += packer.pack(key)
        is_int = type(value) is int
        out += b"\xcf" + struct.pack(">Q", value) if is_int else packer.pack(value)
    return bytes(out)


def _wider(row: Row) -> Row:
    """The same chunk with the first column in 8 planes, packed with a window descriptor."""
    if row.kind == BASIS:
        return row
    raw = zstandard.ZstdDecompressor().decompress(row.data)
    start = {LEAF: 0, PROXY: 0, FINE: 0, SH: 8}[row.kind]
    head = {LEAF: 0, PROXY: 0, FINE: 28, SH: 8}[row.kind]
    if row.kind in (LEAF, PROXY):
        widths = raw[:11]
        head = len(raw) - sum(widths) * row.count
    else:
        widths = raw[start : start + (10 if row.kind == FINE else raw[0])]
        head += len(widths) if row.kind == SH else 0
    wide = raw
    if widths and widths[0] <= 8:
        first = widths[0] * row.count
        pad = bytes((8 - widths[0]) * row.count)
        wide = raw[:start] + b"\x08" + raw[start + 1 : head + first] + pad + raw[head + first :]
    options = zstandard.ZstdCompressionParameters(window_log=10, write_content_size=True)
    packed = zstandard.ZstdCompressor(compression_params=options).compress(wide)
    return replace(row, data=packed, raw=len(wide))
