"""Assembles files from their parts, so that any part can be wrong while all hashes are right.

`forged_files` returns the parts of valid files. A test changes some of them, and `assemble` makes
the bytes. A `Row` states what the chunk table says of a chunk, which need not be true.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
import numpy as np
import zstandard

from exgs.codec.constants import ChunkKind
from exgs.codec.format.header import crc32c

Root = dict[str, Any]
Case = tuple[str, str, str, bytes]  # name, error class, what is wrong, file
Corners = tuple[tuple[float, float, float], tuple[float, float, float]]  # minimum, maximum
Region = tuple[int, int]  # level, tile

_ROW_TYPES = {
    "kind": "<u1",
    "layer": "<u1",
    "tile": "<u2",
    "count": "<u4",
    "raw": "<u4",
    "packed": "<u4",
    "gain": "<f4",
    "gap": "<u8",
}
PAGE_TYPES = {
    "chunks": "<u4",
    "bytes": "<u8",
    "raw": "<u4",
    "packed": "<u4",
    "group": "<u2",
    "level": "<u1",
    "tile": "<u2",
    "gain": "<f4",
}
_HEADER = "<8sHHIQII16sH10s"
_GEOMETRY = (ChunkKind.LEAF, ChunkKind.PROXY)
JPEG = b"\xff\xd8\xff\xe0" + b"not a picture"  # a poster, as far as a reader of files looks


@dataclass(frozen=True)
class Row:
    """One chunk: its bytes, and what its row says."""

    kind: int
    layer: int
    tile: int
    count: int
    data: bytes
    raw: int
    gain: float = 1.0
    packed: int | None = None  # length in the row, if it lies
    hash: bytes | None = None
    gap: int | None = None
    box: Corners | None = None  # of the cell, in place of the tile's own


@dataclass
class Parts:
    """A file before it is put together."""

    root: Root  # without chunks and pages
    pages: list[list[Row]]  # those of the root first
    groups: list[int] | None = None  # of the pages behind the root; None: one each
    regions: list[Region] | None = None  # of the same; None: the whole scene
    order: list[Row] | None = None  # all chunks as they lie in the file; None: page by page
    poster: bytes = b""
    edit_index: Callable[[Root], object] = lambda root: None  # the whole root index
    edit_page: Callable[[Root], object] = lambda page: None  # every page
    dump_page: Callable[[Root], bytes] = lambda page: msgpack.packb(page, use_bin_type=True)
    wrap_root: Callable[[bytes], bytes] = lambda raw: squeeze(raw)
    dump_root: Callable[[Root], bytes] = lambda root: msgpack.packb(root, use_bin_type=True)
    header: dict[str, Any] = field(default_factory=dict)  # fields that lie


def squeeze(raw: bytes, **options: Any) -> bytes:
    """One sound frame."""
    return zstandard.ZstdCompressor(level=19, **options).compress(raw)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def chunk(kind: int, layer: int, tile: int, count: int, payload: bytes, **lies: Any) -> Row:
    """A row that is true but for `lies`."""
    return replace(Row(kind, layer, tile, count, squeeze(payload), len(payload)), **lies)


def columns(types: dict[str, str], rows: Sequence[dict[str, Any]]) -> Root:
    """A table of the index."""
    return {name: np.array([r[name] for r in rows], t).tobytes() for name, t in types.items()}


def layers(rows: Sequence[tuple[int, int, int, float]]) -> Root:
    """The layers of the index: (level, leaves, proxies, amplification)."""
    names = {"level": "<u1", "leaves": "<u4", "proxies": "<u4", "amplification": "<f4"}
    return columns(names, [dict(zip(names, row, strict=True)) for row in rows])


def quality(rows: Sequence[tuple[int, float, float]]) -> Root:
    """The measured quality of the index: (bytes, psnr, ssim)."""
    names = {"bytes": "<u8", "psnr": "<f4", "ssim": "<f4"}
    return columns(names, [dict(zip(names, row, strict=True)) for row in rows])


def in_space(
    rows: Sequence[Row], levels: Sequence[int], regions: Sequence[Region]
) -> list[list[Row]]:
    """The rows of cells on a page for each region: the smallest one that holds them."""
    pages: list[list[Row]] = [[] for _ in regions]
    for row in rows:
        own = levels[row.layer]
        holds = [
            (level, number)
            for number, (level, tile) in enumerate(regions)
            if own >= level and row.tile >> (own - level) == tile
        ]
        pages[max(holds)[1]].append(row)
    return pages


def tile_box(level: int, tile: int) -> Corners:
    """Tile `tile` of `level` where x, y and z of the unit cube are halved in turn."""
    low, high = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    for step in range(level):
        middle = (low[step % 3] + high[step % 3]) / 2
        half = high if tile >> (level - 1 - step) & 1 == 0 else low
        half[step % 3] = middle
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def assemble(parts: Parts) -> bytes:
    """The bytes of the file."""
    groups = parts.groups or list(range(len(parts.pages) - 1))
    regions = parts.regions or [(0, 0)] * len(groups)
    levels = list(parts.root["layers"]["level"]) if "layers" in parts.root else []
    root_table, body = _laid_out(parts, levels, [parts.pages[0]])
    page_rows: list[dict[str, Any]] = []
    boxes: list[Corners] = []
    rest = body
    for group in sorted(set(groups)):
        numbers = [number for number, own in enumerate(groups, start=1) if own == group]
        members = [parts.pages[number] for number in numbers]
        tables, area = _laid_out(parts, levels, members)
        for number, rows, table in zip(numbers, members, tables, strict=True):
            parts.edit_page(table)
            raw = parts.dump_page(table)
            frame = squeeze(raw)
            level, tile = regions[number - 1]
            page_rows.append(
                {
                    "chunks": len(rows),
                    "bytes": sum(len(row.data) for row in rows),
                    "raw": len(raw),
                    "packed": len(frame),
                    "hash": digest(frame),
                    "group": group,
                    "level": level,
                    "tile": tile,
                    "gain": sum(row.gain for row in rows),
                }
            )
            boxes.append(
                _around([_box(row, levels) for row in rows if row.kind != ChunkKind.BASIS])
            )
            rest += frame
        rest += area
    pages = {**columns(PAGE_TYPES, page_rows), **_corners(boxes)}
    pages["hash"] = b"".join(row["hash"] for row in page_rows)
    root = {**parts.root, "chunks": root_table[0], "pages": pages}
    if parts.poster:
        root.setdefault("poster_hash", digest(parts.poster))
    parts.edit_index(root)
    raw = parts.dump_root(root)
    packed = parts.wrap_root(raw)
    file_bytes = 64 + len(packed) + len(parts.poster) + len(rest)
    lies = {"poster_bytes": len(parts.poster), **parts.header}
    return header(packed, len(raw), file_bytes, lies) + packed + parts.poster + rest


def _laid_out(
    parts: Parts, levels: Sequence[int], pages: Sequence[list[Row]]
) -> tuple[list[Root], bytes]:
    """The tables of pages that share an area, and the area."""
    rows = [row for page in pages for row in page]
    if parts.order is not None:
        place = {id(row): number for number, row in enumerate(parts.order)}
        rows.sort(key=lambda row: place[id(row)])
    starts = np.cumsum([0, *(len(row.data) for row in rows)]).tolist()
    offsets = [(row, start) for row, start in zip(rows, starts, strict=False)]
    tables = []
    for page in pages:
        left = list(offsets)
        end = 0
        values = []
        for row in page:
            found = next(i for i, (other, _) in enumerate(left) if other is row)
            _, offset = left.pop(found)
            values.append(
                {
                    **{name: getattr(row, name) for name in _ROW_TYPES},
                    "packed": len(row.data) if row.packed is None else row.packed,
                    "gap": offset - end if row.gap is None else row.gap,
                }
            )
            end = offset + len(row.data)
        table = columns(_ROW_TYPES, values)
        cells: dict[tuple[int, int], Corners] = {}
        for row in page:
            if row.kind in _GEOMETRY:
                cells.setdefault((row.layer, row.tile), _box(row, levels))
        table.update(_corners(list(cells.values())))
        table["hash"] = b"".join(row.hash or digest(row.data) for row in page)
        tables.append(table)
    return tables, b"".join(row.data for row in rows)


def _box(row: Row, levels: Sequence[int]) -> Corners:
    level = levels[row.layer] if row.layer < len(levels) else 0
    return row.box or tile_box(level, row.tile)


def _around(boxes: Sequence[Corners]) -> Corners:
    corners = np.array(boxes or [((0.0,) * 3, (0.0,) * 3)])
    low, high = corners[:, 0].min(axis=0).tolist(), corners[:, 1].max(axis=0).tolist()
    return tuple(low), tuple(high)


def _corners(boxes: Sequence[Corners]) -> Root:
    return {
        "low": np.array([low for low, _ in boxes], "<f4").tobytes(),
        "high": np.array([high for _, high in boxes], "<f4").tobytes(),
    }


def alter(parts: Parts, which: int, **changes: Any) -> None:
    """Change what the first row of this kind says."""
    for page in parts.pages:
        for i, row in enumerate(page):
            if row.kind == which:
                page[i] = replace(row, **changes)
                return


def header(packed: bytes, raw_bytes: int, file_bytes: int, lies: dict[str, Any]) -> bytes:
    """A header with a right checksum."""
    values = {
        "magic": b"EXGS\r\n\x1a\n",
        "major": 1,
        "minor": 0,
        "flags": 0,
        "file_bytes": file_bytes,
        "root_packed": len(packed),
        "root_raw": raw_bytes,
        "root_hash": digest(packed),
        "poster_bytes": 0,
        "reserved": bytes(10),
    }
    body = struct.pack(_HEADER, *{**values, **lies}.values())
    return body + struct.pack("<I", crc32c(body))
