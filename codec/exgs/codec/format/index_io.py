"""Reads and writes the root index and the pages: MessagePack maps in Zstandard frames.

Tables are columns of little-endian values, one byte string each. The type, range, length and limit
of every value are checked before it is used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import msgpack
import numpy as np

from exgs.codec.constants import (
    AMPLIFICATION_MAX,
    AMPLIFICATION_MIN,
    HEADER_BYTES,
    MAX_CHUNKS,
    MAX_LAYERS,
    MAX_PAGE_RAW_BYTES,
    MAX_PAGES,
    MAX_QUALITY_POINTS,
    MAX_ROOT_RAW_BYTES,
    MAX_SCENE_COUNT,
    MAX_SH_DEGREE,
    MAX_TILE_LEVEL,
)
from exgs.codec.errors import LimitError
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.facts import HomeView, Layer, QualityPoint, SceneFacts
from exgs.codec.format.fields import Fields, load_fields
from exgs.codec.format.frame import Buffer, pack_frame, unpack_frame
from exgs.codec.format.header import Header
from exgs.codec.format.index import RootIndex
from exgs.codec.format.row_reading import CHUNK_COLUMNS, read_rows
from exgs.codec.format.rows import Box, ChunkRef, PageRef, Region

_PAGE_COLUMNS = {
    "chunks": "<u4",
    "bytes": "<u8",
    "raw": "<u4",
    "packed": "<u4",
    "group": "<u2",
    "level": "<u1",
    "tile": "<u2",
    "gain": "<f4",
}
_LAYER_COLUMNS = {"level": "<u1", "leaves": "<u4", "proxies": "<u4", "amplification": "<f4"}
_QUALITY_COLUMNS = {"bytes": "<u8", "psnr": "<f4", "ssim": "<f4"}

# --- Writing ----------------------------------------------------------------------------------


def pack_page(
    rows: Sequence[ChunkRef], area_start: int, *, thorough: bool = True
) -> tuple[bytes, int]:
    """Pack one page; return the frame and its raw length.

    `area_start` is the offset of the area of its group's chunks.
    """
    return pack_frame([_dump(_chunk_table(rows, area_start))], thorough=thorough)


def pack_root(
    facts: SceneFacts, rows: Sequence[ChunkRef], pages: Sequence[PageRef], first_offset: int
) -> tuple[bytes, int]:
    """Pack the root index; return the frame and its raw length.

    `first_offset` is the offset of its first chunk.
    """
    root = {
        "name": facts.name,
        "credit": facts.credit,
        "license": facts.license,
        "encoder": facts.encoder,
        "count": facts.leaf_count,
        "sh_degree": facts.sh_degree,
        "up": list(facts.up),
        **({"home": _home(facts.home)} if facts.home else {}),
        "antialiased": facts.antialiased,
        "origin": list(facts.origin),
        **({"crs": facts.crs} if facts.crs else {}),
        **({"poster_hash": facts.poster_hash} if facts.poster_hash else {}),
        "layers": _pack_columns(
            _LAYER_COLUMNS,
            [(x.tile_level, x.leaf_count, x.proxy_count, x.amplification) for x in facts.layers],
        ),
        "quality": _pack_columns(
            _QUALITY_COLUMNS, [(p.body_bytes, p.psnr_db, p.ssim) for p in facts.quality]
        ),
        "chunks": _chunk_table(rows, first_offset),
        "pages": {
            **_pack_columns(_PAGE_COLUMNS, [_page_row(page) for page in pages]),
            **_pack_boxes([page.box for page in pages]),
            "hash": b"".join(page.hash for page in pages),
        },
    }
    return pack_frame([_dump(root)])


def _page_row(page: PageRef) -> tuple[float, ...]:
    return (
        page.chunk_count,
        page.chunk_bytes,
        page.raw_bytes,
        page.packed_bytes,
        page.group,
        page.region.level,
        page.region.tile,
        page.gain,
    )


def _home(home: HomeView) -> dict[str, object]:
    return {"eye": list(home.eye), "forward": list(home.forward), "fov_y": home.fov_y}


def _chunk_table(chunks: Sequence[ChunkRef], start: int) -> dict[str, bytes]:
    rows = []
    for chunk in chunks:
        rows.append(
            (
                int(chunk.kind),
                chunk.layer,
                chunk.tile,
                chunk.count,
                chunk.raw_bytes,
                chunk.packed_bytes,
                chunk.gain,
                chunk.offset - start,
            )
        )
        start = chunk.end
    return {
        **_pack_columns(CHUNK_COLUMNS, rows),
        **_pack_boxes([chunk.box for chunk in chunks if chunk.box is not None]),
        "hash": b"".join(chunk.hash for chunk in chunks),
    }


def _pack_boxes(boxes: Sequence[Box]) -> dict[str, bytes]:
    return {
        "low": np.array([box.low for box in boxes], "<f4").tobytes(),
        "high": np.array([box.high for box in boxes], "<f4").tobytes(),
    }


def _pack_columns(columns: dict[str, str], rows: Sequence[tuple[float, ...]]) -> dict[str, bytes]:
    return {
        name: np.array([row[i] for row in rows], dtype).tobytes()
        for i, (name, dtype) in enumerate(columns.items())
    }


def _dump(value: object) -> bytes:
    data: bytes = msgpack.packb(value, use_bin_type=True)
    return data


# --- Reading ----------------------------------------------------------------------------------


def parse_root(packed: Buffer, header: Header) -> RootIndex:
    """Verify and read the root index.

    Raises DamagedError, LimitError.
    """
    section, offset = "root index", HEADER_BYTES
    raw = unpack_frame(
        packed,
        raw_bytes=header.root_raw_bytes,
        expected_hash=header.root_hash,
        limit_bytes=MAX_ROOT_RAW_BYTES,
        section=section,
        offset=offset,
    )
    fields = load_fields(raw, section, offset)
    layers = fields.table("layers", _LAYER_COLUMNS, MAX_LAYERS)
    facts = SceneFacts(
        name=fields.text("name"),
        credit=fields.text("credit"),
        license=fields.text("license"),
        encoder=fields.text("encoder"),
        leaf_count=fields.integer("count", MAX_SCENE_COUNT),
        sh_degree=fields.integer("sh_degree", MAX_SH_DEGREE),
        up=fields.vector("up"),
        layers=tuple(Layer(*row) for row in layers),
        quality=tuple(
            QualityPoint(*row)
            for row in fields.table("quality", _QUALITY_COLUMNS, MAX_QUALITY_POINTS)
        ),
        home=_read_home(fields.nested("home")) if "home" in fields.values else None,
        antialiased=fields.boolean("antialiased"),
        origin=fields.vector("origin"),
        crs=fields.text("crs") if "crs" in fields.values else "",
        poster_hash=fields.hash("poster_hash") if "poster_hash" in fields.values else b"",
    )
    _check_facts(facts, fields)
    if bool(facts.poster_hash) != bool(header.poster_bytes):
        raise fields.damaged("there is a poster without a hash, or a hash without a poster")
    chunks = read_rows(fields.nested("chunks"), facts, Region(), 0, header.poster_end, None)
    pages = _read_pages(fields, facts, chunks, header)
    chunk_count = len(chunks) + sum(page.chunk_count for page in pages)
    if chunk_count > MAX_CHUNKS:
        raise LimitError(f"{chunk_count} chunks", section=section, offset=offset)
    if not chunk_count:
        raise fields.damaged("there are no chunks")
    return RootIndex(facts, chunks, pages, chunk_count, header.file_bytes)


def _read_pages(
    fields: Fields, facts: SceneFacts, chunks: ChunkRows, header: Header
) -> tuple[PageRef, ...]:
    """Read the rows of pages and compute their offsets."""
    table = fields.nested("pages")
    rows = table.columns(_PAGE_COLUMNS, MAX_PAGES)
    hashes = table.hashes(len(rows))
    boxes = table.boxes("low", "high", len(rows))
    position = chunks[-1].end if chunks else header.poster_end
    first_chunk = len(chunks)
    pages: list[PageRef] = []
    for group, members in itertools.groupby(enumerate(rows), key=lambda item: item[1][4]):
        if group != (pages[-1].group + 1 if pages else 0):
            raise fields.damaged("the groups of pages do not count from 0")
        numbered = list(members)
        area_start = position + sum(row[3] for _, row in numbered)
        area_end = area_start + sum(row[1] for _, row in numbered)
        for place, (count, total, raw_bytes, packed_bytes, _, level, tile, gain) in numbered:
            number = place + 1
            if raw_bytes > MAX_PAGE_RAW_BYTES or packed_bytes > MAX_PAGE_RAW_BYTES:
                raise LimitError(
                    f"page {number} is too large", section=fields.section, offset=fields.offset
                )
            if not raw_bytes or not packed_bytes or not count:
                raise fields.damaged(f"page {number} is empty")
            if level > facts.tile_level or tile >> level:
                raise fields.damaged(f"page {number} has no valid region ({level}, {tile})")
            if not math.isfinite(gain):
                raise fields.damaged(f"page {number} has gain {gain}")
            pages.append(
                PageRef(
                    id=number,
                    first_chunk=first_chunk,
                    chunk_count=count,
                    chunk_bytes=total,
                    raw_bytes=raw_bytes,
                    packed_bytes=packed_bytes,
                    hash=hashes[place],
                    offset=position,
                    group=group,
                    region=Region(level, tile),
                    box=boxes[place],
                    gain=gain,
                    area_start=area_start,
                    area_end=area_end,
                )
            )
            first_chunk += count
            position += packed_bytes
        position = area_end
    if position != header.file_bytes:
        raise fields.damaged(f"chunks end at {position}, the file at {header.file_bytes}")
    return tuple(pages)


def parse_page(packed: Buffer, page: PageRef, facts: SceneFacts) -> ChunkRows:
    """Verify and read one page of the chunk table.

    Raises DamagedError, LimitError.
    """
    raw = unpack_frame(
        packed,
        raw_bytes=page.raw_bytes,
        expected_hash=page.hash,
        limit_bytes=MAX_PAGE_RAW_BYTES,
        section=page.section,
        offset=page.offset,
    )
    fields = load_fields(raw, page.section, page.offset)
    chunks = read_rows(fields, facts, page.region, page.first_chunk, page.area_start, page.area_end)
    total = int(chunks.packed_bytes.sum(dtype=np.int64))
    if len(chunks) != page.chunk_count or total != page.chunk_bytes:
        raise fields.damaged("its chunks are not those that the root index announces")
    return chunks


def _read_home(fields: Fields) -> HomeView:
    home = HomeView(fields.vector("eye"), fields.vector("forward"), fields.number("fov_y"))
    if not any(home.forward) or not 0 < home.fov_y < math.pi:
        raise fields.damaged("the home view is not valid")
    return home


def _check_facts(facts: SceneFacts, fields: Fields) -> None:
    levels = [layer.tile_level for layer in facts.layers]
    if not levels:
        raise fields.damaged("there are no layers")
    if levels != sorted(levels):
        raise fields.damaged("tile levels decrease from one layer to the next")
    if levels[-1] > MAX_TILE_LEVEL:
        raise LimitError(
            f"tile level {levels[-1]}, the limit is {MAX_TILE_LEVEL}",
            section=fields.section,
            offset=fields.offset,
        )
    factors = [layer.amplification for layer in facts.layers]
    if not all(AMPLIFICATION_MIN <= factor <= AMPLIFICATION_MAX for factor in factors):
        raise fields.damaged(
            f"an amplification is not between {AMPLIFICATION_MIN} and {AMPLIFICATION_MAX}"
        )
    if sum(layer.leaf_count for layer in facts.layers) != facts.leaf_count:
        raise fields.damaged("the layers do not add up to the scene")
    before = -1
    for point in facts.quality:
        if not math.isfinite(point.psnr_db) or not -1 <= point.ssim <= 1:
            raise fields.damaged("a quality point is not a number")
        if point.body_bytes <= before:
            raise fields.damaged("the quality points do not rise")
        before = point.body_bytes
