"""Reading and writing the root index and the pages: MessagePack maps inside zstd frames.

Tables are columns of little-endian integers, one byte string each. Every value is checked before
it is used: types, ranges, lengths, limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import msgpack
import numpy as np

from exgs.codec.constants import (
    HASH_BYTES,
    HEADER_BYTES,
    MAX_CHUNK_COUNT,
    MAX_CHUNK_RAW_BYTES,
    MAX_CHUNKS,
    MAX_LAYERS,
    MAX_PAGE_RAW_BYTES,
    MAX_PAGES,
    MAX_ROOT_RAW_BYTES,
    MAX_SCENE_COUNT,
    MAX_TEXT_BYTES,
    MAX_TILE_LEVEL,
    ChunkKind,
)
from exgs.codec.errors import DamagedError, FormatError, LimitError
from exgs.codec.frame import Buffer, pack_frame, unpack_frame
from exgs.codec.header import Header
from exgs.codec.index import (
    ChunkRef,
    HomeView,
    Layer,
    PageRef,
    QualityPoint,
    RootIndex,
    SceneFacts,
)

T = TypeVar("T")

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
    fields = _Fields(_load(raw, section, offset), section, offset)
    layers = fields.table("layers", _LAYER_COLUMNS, MAX_LAYERS)
    facts = SceneFacts(
        name=fields.text("name"),
        credit=fields.text("credit"),
        license=fields.text("license"),
        encoder=fields.text("encoder"),
        leaf_count=fields.integer("count", MAX_SCENE_COUNT),
        sh_degree=fields.integer("sh_degree", 3),
        up=fields.vector("up"),
        layers=tuple(Layer(*row) for row in layers),
        tile_bounds=fields.bounds("bounds"),
        quality=tuple(
            QualityPoint(*row) for row in fields.table("quality", _QUALITY_COLUMNS, 1 << 12)
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
        if not packed_bytes:
            raise fields.damaged(f"page {number} is empty")
        page_refs.append(
            PageRef(number, first_chunk, count, total, raw_bytes, packed_bytes, digest, position)
        )
        first_chunk += count
        position += packed_bytes + total
    if first_chunk > MAX_CHUNKS:
        raise LimitError(f"{first_chunk} chunks", section=section, offset=offset)
    if position != header.file_bytes:
        raise fields.damaged(f"chunks end at {position}, the file at {header.file_bytes}")
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
    fields = _Fields(_load(raw, page.section, page.offset), page.section, page.offset)
    chunks = _read_chunks(fields, facts, page.first_chunk, page.end)
    end = chunks[-1].end if chunks else page.end
    if len(chunks) != page.chunk_count or end != page.end + page.chunk_bytes:
        raise fields.damaged("its chunks are not those that the root index announces")
    return chunks


def _read_home(fields: _Fields) -> HomeView:
    home = HomeView(fields.vector("eye"), fields.vector("forward"), fields.get("fov_y", float))
    if not any(home.forward) or not 0 < home.fov_y < math.pi:
        raise fields.damaged("the home view is none")
    return home


def _check_facts(facts: SceneFacts, fields: _Fields) -> None:
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
    if not all(0.01 <= layer.amplification <= 100 for layer in facts.layers):
        raise fields.damaged("an amplification is not between 0.01 and 100")
    if sum(layer.leaf_count for layer in facts.layers) != facts.leaf_count:
        raise fields.damaged("the layers do not add up to the scene")


def _read_chunks(
    fields: _Fields, facts: SceneFacts, first_id: int, offset: int
) -> tuple[ChunkRef, ...]:
    rows = fields.columns(_CHUNK_COLUMNS, MAX_CHUNKS)
    chunks = []
    for number, (row, digest) in enumerate(
        zip(rows, fields.hashes(len(rows)), strict=True), start=first_id
    ):
        kind, layer, tile, count, raw_bytes, packed_bytes, gain = row
        if kind not in _KINDS:
            raise fields.damaged(f"chunk {number} is of unknown kind {kind}")
        if layer >= len(facts.layers) or tile >= 1 << facts.layers[layer].tile_level:
            raise fields.damaged(f"chunk {number} lies in no cell ({layer}, {tile})")
        if not packed_bytes:
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
            number,
            ChunkKind(kind),
            layer,
            tile,
            count,
            raw_bytes,
            packed_bytes,
            gain,
            digest,
            offset,
        )
        chunks.append(ref)
        offset = ref.end
    return tuple(chunks)


def _load(raw: bytes, section: str, offset: int) -> dict[str, Any]:
    try:
        value = msgpack.unpackb(raw, raw=False, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise DamagedError(f"MessagePack: {error}", section=section, offset=offset) from error
    if not isinstance(value, dict):
        raise DamagedError("not a map", section=section, offset=offset)
    return value


class _Fields:
    """Typed access to one decoded map; every fault names its section."""

    def __init__(self, values: dict[str, Any], section: str, offset: int) -> None:
        self.values = values
        self.section = section
        self.offset = offset

    def damaged(self, problem: str) -> FormatError:
        return DamagedError(problem, section=self.section, offset=self.offset)

    def get(self, name: str, kind: type[T]) -> T:
        value = self.values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.damaged(f"{name!r} is missing or of the wrong type")
        return value

    def text(self, name: str) -> str:
        value = self.get(name, str)
        if len(value.encode()) > MAX_TEXT_BYTES:
            raise LimitError(f"{name!r} is too long", section=self.section, offset=self.offset)
        return value

    def integer(self, name: str, limit: int) -> int:
        value = self.get(name, int)
        if value < 0:
            raise self.damaged(f"{name!r} is negative")
        if value > limit:
            raise LimitError(
                f"{name!r} is {value}, the limit is {limit}",
                section=self.section,
                offset=self.offset,
            )
        return value

    def vector(self, name: str) -> tuple[float, float, float]:
        value = self.get(name, list)
        if len(value) != 3 or not all(
            isinstance(v, int | float) and math.isfinite(v) for v in value
        ):
            raise self.damaged(f"{name!r} is not three numbers")
        return float(value[0]), float(value[1]), float(value[2])

    def bounds(self, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        value = self.get(name, bytes)
        if len(value) % 24:
            raise self.damaged(f"{name!r} is not a whole number of boxes")
        array = np.frombuffer(value, "<f4").reshape(-1, 2, 3)
        if not np.isfinite(array).all():
            raise self.damaged(f"{name!r} is not finite")
        return array

    def nested(self, name: str) -> _Fields:
        return _Fields(self.get(name, dict), self.section, self.offset)

    def table(self, name: str, columns: dict[str, str], limit: int) -> list[tuple[Any, ...]]:
        return self.nested(name).columns(columns, limit)

    def columns(self, columns: dict[str, str], limit: int) -> list[tuple[Any, ...]]:
        arrays = []
        for name, dtype in columns.items():
            value = self.get(name, bytes)
            size = np.dtype(dtype).itemsize
            if len(value) % size:
                raise self.damaged(f"column {name!r} is cut")
            if len(value) // size > limit:
                raise LimitError(
                    f"{len(value) // size} rows in column {name!r}, the limit is {limit}",
                    section=self.section,
                    offset=self.offset,
                )
            arrays.append(np.frombuffer(value, dtype).tolist())
        if len({len(array) for array in arrays}) > 1:
            raise self.damaged("columns differ in length")
        return list(zip(*arrays, strict=True))

    def hashes(self, count: int) -> list[bytes]:
        value = self.get("hash", bytes)
        if len(value) != count * HASH_BYTES:
            raise self.damaged("the hash column has the wrong length")
        return [value[i : i + HASH_BYTES] for i in range(0, len(value), HASH_BYTES)]
