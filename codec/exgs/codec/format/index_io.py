"""Reading and writing the root index and the pages: MessagePack maps inside zstd frames.

Tables are columns of little-endian integers, one byte string each. Every value is checked before
it is used: types, ranges, lengths, limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgpack
import numpy as np

from exgs.codec.constants import (
    AMPLIFICATION_MAX,
    AMPLIFICATION_MIN,
    HEADER_BYTES,
    MAX_CHUNK_COUNT,
    MAX_CHUNK_RAW_BYTES,
    MAX_CHUNKS,
    MAX_LAYERS,
    MAX_PAGE_RAW_BYTES,
    MAX_PAGES,
    MAX_QUALITY_POINTS,
    MAX_ROOT_RAW_BYTES,
    MAX_SCENE_COUNT,
    MAX_SH_DEGREE,
    MAX_TILE_LEVEL,
    ChunkKind,
)
from exgs.codec.errors import LimitError, UnsupportedError
from exgs.codec.format.facts import HomeView, Layer, QualityPoint, SceneFacts
from exgs.codec.format.fields import Fields, load_fields
from exgs.codec.format.frame import Buffer, pack_frame, unpack_frame
from exgs.codec.format.header import Header
from exgs.codec.format.index import RootIndex
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.codec.format.rules import TableRules, can_unpack_to

_CHUNK_COLUMNS = {
    "kind": "<u1",
    "layer": "<u1",
    "tile": "<u2",
    "count": "<u4",
    "raw": "<u4",
    "packed": "<u4",
    "gain": "<f4",
}
_KINDS = frozenset(ChunkKind)
_PAGE_COLUMNS = {"chunks": "<u4", "bytes": "<u8", "raw": "<u4", "packed": "<u4"}
_LAYER_COLUMNS = {"level": "<u1", "leaves": "<u4", "proxies": "<u4", "amplification": "<f4"}
_QUALITY_COLUMNS = {"bytes": "<u8", "psnr": "<f4", "ssim": "<f4"}

# --- Writing ----------------------------------------------------------------------------------


def pack_page(chunks: Sequence[ChunkRef]) -> tuple[bytes, int]:
    """The frame of one page with its raw length."""
    return pack_frame([_dump(_chunk_table(chunks))])


def pack_root(
    facts: SceneFacts, chunks: Sequence[ChunkRef], pages: Sequence[PageRef]
) -> tuple[bytes, int]:
    """The frame of the root index with its raw length."""
    bounds = np.ascontiguousarray(facts.tile_bounds, "<f4")
    root = {
        "name": facts.name,
        "credit": facts.credit,
        "license": facts.license,
        "encoder": facts.encoder,
        "count": facts.leaf_count,
        "sh_degree": facts.sh_degree,
        "up": list(facts.up),
        **({"home": _home(facts.home)} if facts.home else {}),
        "layers": _pack_columns(
            _LAYER_COLUMNS,
            [(x.tile_level, x.leaf_count, x.proxy_count, x.amplification) for x in facts.layers],
        ),
        "bounds": bounds.tobytes(),
        "quality": _pack_columns(
            _QUALITY_COLUMNS, [(p.body_bytes, p.psnr_db, p.ssim) for p in facts.quality]
        ),
        "chunks": _chunk_table(chunks),
        "pages": {
            **_pack_columns(
                _PAGE_COLUMNS,
                [(p.chunk_count, p.chunk_bytes, p.raw_bytes, p.packed_bytes) for p in pages],
            ),
            "hash": b"".join(page.hash for page in pages),
        },
    }
    return pack_frame([_dump(root)])


def _home(home: HomeView) -> dict[str, object]:
    return {"eye": list(home.eye), "forward": list(home.forward), "fov_y": home.fov_y}


def _chunk_table(chunks: Sequence[ChunkRef]) -> dict[str, bytes]:
    rows = [
        (int(c.kind), c.layer, c.tile, c.count, c.raw_bytes, c.packed_bytes, c.gain) for c in chunks
    ]
    return {
        **_pack_columns(_CHUNK_COLUMNS, rows),
        "hash": b"".join(chunk.hash for chunk in chunks),
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
        tile_bounds=fields.bounds("bounds"),
        quality=tuple(
            QualityPoint(*row)
            for row in fields.table("quality", _QUALITY_COLUMNS, MAX_QUALITY_POINTS)
        ),
        home=_read_home(fields.nested("home")) if "home" in fields.values else None,
    )
    _check_facts(facts, fields)
    pages = fields.table("pages", _PAGE_COLUMNS, MAX_PAGES)
    page_hashes = fields.nested("pages").hashes(len(pages))
    chunks = _read_chunks(fields.nested("chunks"), facts, 0, header.root_end)
    position = chunks[-1].end if chunks else header.root_end
    first_chunk = len(chunks)
    page_refs = []
    for number, ((count, total, raw_bytes, packed_bytes), digest) in enumerate(
        zip(pages, page_hashes, strict=True), start=1
    ):
        if raw_bytes > MAX_PAGE_RAW_BYTES or packed_bytes > MAX_PAGE_RAW_BYTES:
            raise LimitError(f"page {number} is too large", section=section, offset=offset)
        if not raw_bytes or not packed_bytes or not count:
            raise fields.damaged(f"page {number} is empty")
        page_refs.append(
            PageRef(number, first_chunk, count, total, raw_bytes, packed_bytes, digest, position)
        )
        first_chunk += count
        position += packed_bytes + total
    if first_chunk > MAX_CHUNKS:
        raise LimitError(f"{first_chunk} chunks", section=section, offset=offset)
    if not first_chunk:
        raise fields.damaged("there are no chunks")
    if position != header.file_bytes:
        raise fields.damaged(f"chunks end at {position}, the file at {header.file_bytes}")
    TableRules(facts, first_chunk).enter(0, chunks)
    return RootIndex(facts, chunks, tuple(page_refs), first_chunk, header.file_bytes)


def parse_page(packed: Buffer, page: PageRef, facts: SceneFacts) -> tuple[ChunkRef, ...]:
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
    chunks = _read_chunks(fields, facts, page.first_chunk, page.end)
    end = chunks[-1].end if chunks else page.end
    if len(chunks) != page.chunk_count or end != page.end + page.chunk_bytes:
        raise fields.damaged("its chunks are not those that the root index announces")
    return chunks


def _read_home(fields: Fields) -> HomeView:
    home = HomeView(fields.vector("eye"), fields.vector("forward"), fields.number("fov_y"))
    if not any(home.forward) or not 0 < home.fov_y < math.pi:
        raise fields.damaged("the home view is none")
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
    if len(facts.tile_bounds) != 1 << levels[-1]:
        raise fields.damaged(f"{len(facts.tile_bounds)} tile bounds, level {levels[-1]}")
    factors = [layer.amplification for layer in facts.layers]
    if not all(AMPLIFICATION_MIN <= factor <= AMPLIFICATION_MAX for factor in factors):
        raise fields.damaged(
            f"an amplification is not between {AMPLIFICATION_MIN} and {AMPLIFICATION_MAX}"
        )
    if sum(layer.leaf_count for layer in facts.layers) != facts.leaf_count:
        raise fields.damaged("the layers do not add up to the scene")
    if (facts.tile_bounds[:, 0] > facts.tile_bounds[:, 1]).any():
        raise fields.damaged("a tile's bounds are upside down")
    before = -1
    for point in facts.quality:
        if not math.isfinite(point.psnr_db) or not -1 <= point.ssim <= 1:
            raise fields.damaged("a quality point is not a number")
        if point.body_bytes <= before:
            raise fields.damaged("the quality points do not rise")
        before = point.body_bytes


def _read_chunks(
    fields: Fields, facts: SceneFacts, first_id: int, offset: int
) -> tuple[ChunkRef, ...]:
    rows = fields.columns(_CHUNK_COLUMNS, MAX_CHUNKS)
    chunks = []
    for number, (row, digest) in enumerate(
        zip(rows, fields.hashes(len(rows)), strict=True), start=first_id
    ):
        kind, layer, tile, count, raw_bytes, packed_bytes, gain = row
        if kind not in _KINDS and kind < ChunkKind.EXTRA:
            raise UnsupportedError(
                f"chunk {number} is of unknown kind {kind}; update exgs",
                section=fields.section,
                offset=fields.offset,
            )
        kind = ChunkKind(min(kind, ChunkKind.EXTRA))
        if layer >= len(facts.layers) or tile >= 1 << facts.layers[layer].tile_level:
            raise fields.damaged(f"chunk {number} lies in no cell ({layer}, {tile})")
        if not raw_bytes or not packed_bytes:
            raise fields.damaged(f"chunk {number} is empty")
        if not math.isfinite(gain):
            raise fields.damaged(f"chunk {number} has gain {gain}")
        if raw_bytes > MAX_CHUNK_RAW_BYTES or packed_bytes > MAX_CHUNK_RAW_BYTES:
            raise LimitError(
                f"chunk {number} has {max(raw_bytes, packed_bytes)} bytes",
                section=fields.section,
                offset=fields.offset,
            )
        if count > MAX_CHUNK_COUNT:
            raise LimitError(
                f"chunk {number} has {count} Gaussians",
                section=fields.section,
                offset=fields.offset,
            )
        ref = ChunkRef(
            number, kind, layer, tile, count, raw_bytes, packed_bytes, gain, digest, offset
        )
        if not can_unpack_to(ref, facts):
            raise fields.damaged(f"chunk {number} cannot have {raw_bytes} bytes unpacked")
        chunks.append(ref)
        offset = ref.end
    return tuple(chunks)
