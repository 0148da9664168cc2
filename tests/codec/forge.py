"""Files put together by hand, so that each part can lie while all hashes around it are right.

`small_file` gives the parts of a sound file; a test changes some of them, and `assemble` makes the
bytes. Rows say what the chunk table shall say of a chunk, which need not be true.
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
from exgs.codec.payload.fine import pack_fine
from exgs.codec.payload.geometry import GeometrySteps, pack_geometry, unpack_geometry
from exgs.codec.payload.scale_levels import SizeSteps
from exgs.codec.payload.sh import ShBasis, pack_basis, pack_sh
from exgs.scene.gaussians import Gaussians

Root = dict[str, Any]
Case = tuple[str, str, str, bytes]  # name, error class, what is wrong, file

_ROW_TYPES = {
    "kind": "<u1",
    "layer": "<u1",
    "tile": "<u2",
    "count": "<u4",
    "raw": "<u4",
    "packed": "<u4",
    "gain": "<f4",
}
_PAGE_TYPES = {"chunks": "<u4", "bytes": "<u8", "raw": "<u4", "packed": "<u4"}
_HEADER = "<8sHHIQII16s12s"


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


@dataclass
class Parts:
    """A file before it is put together."""

    root: Root  # without chunks and pages
    pages: list[list[Row]]  # those of the root first
    edit_index: Callable[[Root], object] = lambda root: None  # the whole root index
    edit_page: Callable[[Root], object] = lambda page: None  # every page
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


def assemble(parts: Parts) -> bytes:
    """The bytes of the file."""
    tables = [_table(rows) for rows in parts.pages]
    bodies = [b"".join(row.data for row in rows) for rows in parts.pages]
    frames = []
    page_rows = []
    for rows, table, body in zip(parts.pages[1:], tables[1:], bodies[1:], strict=True):
        parts.edit_page(table)
        raw = msgpack.packb(table, use_bin_type=True)
        frames.append(squeeze(raw))
        page_rows.append(
            {
                "chunks": len(rows),
                "bytes": len(body),
                "raw": len(raw),
                "packed": len(frames[-1]),
                "hash": digest(frames[-1]),
            }
        )
    pages = columns(_PAGE_TYPES, page_rows)
    pages["hash"] = b"".join(row["hash"] for row in page_rows)
    root = {**parts.root, "chunks": tables[0], "pages": pages}
    parts.edit_index(root)
    raw = parts.dump_root(root)
    packed = parts.wrap_root(raw)
    rest = bodies[0] + b"".join(f + b for f, b in zip(frames, bodies[1:], strict=True))
    file_bytes = 64 + len(packed) + len(rest)
    return header(packed, len(raw), file_bytes, parts.header) + packed + rest


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
        "reserved": bytes(12),
    }
    body = struct.pack(_HEADER, *{**values, **lies}.values())
    return body + struct.pack("<I", crc32c(body))


def _table(rows: Sequence[Row]) -> Root:
    table = columns(
        _ROW_TYPES,
        [
            {
                **{name: getattr(row, name) for name in _ROW_TYPES},
                "packed": len(row.data) if row.packed is None else row.packed,
            }
            for row in rows
        ],
    )
    table["hash"] = b"".join(row.hash or digest(row.data) for row in rows)
    return table


# --- A small scene in its parts ---------------------------------------------------------------

COARSE = GeometrySteps(0.01, SizeSteps(0.1), 6, 5, 0.05, 0.1)
FINER = GeometrySteps(0.001, SizeSteps(0.01), 10, 8, 0.05, 0.1)


def random_scene(count: int, seed: int, sh_degree: int) -> Gaussians:
    """Gaussians in the unit cube."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4))
    values = (
        rng.random((count, 3)),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(rng.normal(-3, 0.5, (count, 3))),
        rng.uniform(0.05, 1, count),
        rng.normal(0, 0.8, (count, 3)),
        rng.normal(0, 0.2, (count, (sh_degree + 1) ** 2 - 1, 3)),
    )
    return Gaussians(*(np.asarray(value, np.float32) for value in values))


def random_file(
    *,
    counts: Sequence[int] = (2, 2),
    proxies: Sequence[int] = (1, 0),
    levels: Sequence[int] = (0, 1),
    amplification: Sequence[float] = (1.0, 1.0),
    sh_degree: int = 1,
    sh_passes: int = 1,
    bases: int = 1,
    fine: bool = True,
    refined: int = 64,
    seed: int = 0,
    rows_per_page: int = 5,
) -> Parts:
    """The parts of a sound file of random Gaussians; cells of few Gaussians may be empty.

    The first `refined` layers have SH and FINE.
    """
    rng = np.random.default_rng(seed)
    size = 3 * (sh_degree + 1) ** 2
    random = rng.normal(0, 0.4, (bases, max(size // 2, 1), size))
    basis = ShBasis(random.astype(np.float16).astype("<f4"))
    rows: list[Row] = []
    finest = levels[-1]
    for layer, (count, stand_ins, level) in enumerate(zip(counts, proxies, levels, strict=True)):
        span = 1 << (finest - level)
        leaf_tile = np.sort(rng.integers(0, 1 << finest, count))
        proxy_tile = np.sort(rng.integers(0, 1 << finest, stand_ins))
        for tile in range(1 << level):
            tiles = range(tile * span, (tile + 1) * span)
            cell = (layer, tile, tiles, rng)
            stand_in = _geometry(ChunkKind.PROXY, proxy_tile, *cell)
            leaf = _geometry(ChunkKind.LEAF, leaf_tile, *cell)
            rows += [row for row in (stand_in, leaf) if row.count] or [leaf]
            if not leaf.count or layer >= refined:
                continue
            if sh_degree and not any(row.kind == ChunkKind.BASIS for row in rows):
                rows.append(chunk(ChunkKind.BASIS, 0, 0, 0, b"".join(pack_basis(basis))))
            for number in range(sh_passes if sh_degree else 0):
                spread = 3 / np.arange(
                    1, basis.rows.shape[1] + 1
                )  # dense columns, then sparse ones
                values = np.rint(rng.normal(0, spread, (leaf.count, len(spread)))).astype(np.int64)
                sh = b"".join(pack_sh(values, 0.1 / (number + 1), (tile + number) % bases))
                rows.append(chunk(ChunkKind.SH, layer, tile, leaf.count, sh))
            if fine:
                payload = _fine(leaf, tiles, rng)
                rows.append(chunk(ChunkKind.FINE, layer, tile, leaf.count, payload))
    bounds = np.tile(np.array([[0, 0, 0], [1, 1, 1]], "<f4"), (1 << finest, 1, 1))
    root: Root = {
        "name": "a",
        "credit": "",
        "license": "CC0-1.0",
        "encoder": "by hand",
        "count": sum(counts),
        "sh_degree": sh_degree,
        "up": [0.0, -1.0, 0.0],
        "layers": layers(list(zip(levels, counts, proxies, amplification, strict=True))),
        "bounds": bounds.tobytes(),
        "quality": quality([(100, 20.0, 0.5)]),
    }
    return Parts(root, _in_pages(rows, rows_per_page))


def _geometry(
    kind: int,
    owner: np.ndarray[Any, Any],
    layer: int,
    tile: int,
    tiles: range,
    rng: np.random.Generator,
) -> Row:
    here = owner[np.isin(owner, tiles)]
    scene = random_scene(len(here), int(rng.integers(1 << 30)), 0)
    payload = b"".join(pack_geometry(scene, here, tiles, COARSE).columns)
    return chunk(kind, layer, tile, len(here), payload)


def _fine(leaf: Row, tiles: range, rng: np.random.Generator) -> bytes:
    payload = zstandard.ZstdDecompressor().decompress(leaf.data)
    coarse, _ = unpack_geometry(payload, count=leaf.count, tiles=tiles, section="test")
    moved = coarse.means + rng.normal(0, 0.004, coarse.means.shape)
    target = replace(coarse, means=moved.astype(np.float32), scales=coarse.scales * np.float32(1.1))
    return b"".join(pack_fine(target, coarse, FINER))


def _in_pages(rows: list[Row], limit: int) -> list[list[Row]]:
    pages: list[list[Row]] = [[]]
    for row in rows:
        paired = row.kind == ChunkKind.LEAF and pages[-1] and pages[-1][-1].kind == ChunkKind.PROXY
        if len(pages[-1]) >= limit and not paired:
            pages.append([])
        pages[-1].append(row)
    return pages


def tiny_file() -> Parts:
    """One Gaussian of degree 0: header, root index, LEAF."""
    return random_file(
        counts=(1,), proxies=(0,), levels=(0,), amplification=(1.0,), sh_degree=0, fine=False
    )


def small_file() -> Parts:
    """Two layers of one and two tiles; a proxy, SH and FINE in the first; two pages."""
    return random_file(counts=(2, 3), seed=0, refined=1)
