"""Header, root index and pages, read as sections 2 to 6 of spec/format.md say.

A part of the second decoder, reference_decoder.py. The rules for rows of several tables are there.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import msgpack

from tests.codec.reference_payloads import HUGE, Fault, digest, need, unpack

TYPES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "f32": "f"}
ROW = {
    "kind": "u8",
    "layer": "u8",
    "tile": "u16",
    "count": "u32",
    "raw": "u32",
    "packed": "u32",
    "gain": "f32",
    "gap": "u64",
}
PAGE = {
    "chunks": "u32",
    "bytes": "u64",
    "raw": "u32",
    "packed": "u32",
    "group": "u16",
    "level": "u8",
    "tile": "u16",
    "gain": "f32",
}
LAYER = {"level": "u8", "leaves": "u32", "proxies": "u32", "amplification": "f32"}
QUALITY = {"bytes": "u64", "psnr": "f32", "ssim": "f32"}
LEAF, PROXY, SH, BASIS, FINE, EXTRA = 0, 1, 2, 3, 4, 128
Corners = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass
class Row:
    """One row of the chunk table."""

    number: int  # of the chunk
    table: int  # 0 for the root, else the page
    kind: int
    layer: int
    tile: int
    count: int
    raw: int
    packed: int
    gain: float
    hash: bytes
    offset: int  # of the chunk in the file
    is_joined: bool = False  # an SH that its cell is drawn with
    box: Corners | None = None  # of its cell, where this is its first LEAF or PROXY


@dataclass
class Page:
    """One row of the table of pages."""

    number: int
    chunks: int
    bytes: int
    raw: int
    packed: int
    hash: bytes
    group: int
    level: int
    tile: int
    gain: float
    box: Corners
    first: int  # number of its first chunk
    offset: int = 0
    area: int = 0  # where the chunks of the group begin
    area_end: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.packed


class Index:
    """Header and root index; `read_page` reads a page."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read_header()
        self.read_root()

    def read_header(self) -> None:
        """Section 3."""
        data = self.data
        magic = b"EXGS\r\n\x1a\n"
        need(data[:8] == magic[: len(data)], "magic")
        need(len(data) >= 64, "header", "truncated")
        need(crc32c(data[:60]) == struct.unpack("<I", data[60:64])[0], "checksum")
        (_, major, _, flags, self.file_bytes, packed, raw, root_hash, self.poster_bytes) = (
            struct.unpack("<8sHHIQII16sH", data[:50])
        )
        need(major == 1, "major", "unsupported")
        need(flags == 0 and not any(data[50:60]), "flags", "unsupported")
        need(packed <= 16320 and raw <= 1 << 17, "root", "limit")
        need(self.poster_bytes <= 1 << 13, "poster", "limit")
        need(self.file_bytes <= 1 << 40, "file length", "limit")
        self.root_end = 64 + packed
        self.poster_end = self.root_end + self.poster_bytes
        need(self.file_bytes >= self.poster_end, "file length")
        need(len(data) >= self.root_end, "root index", "truncated")
        self.root = load_map(unpack(data[64 : self.root_end], raw, root_hash))

    def read_root(self) -> None:
        """Section 5."""
        root = self.root
        for name in ("name", "credit", "license", "encoder", *(["crs"] if "crs" in root else [])):
            check_text(root.get(name), name)
        for name, most in (("count", 1 << 28), ("sh_degree", 3)):
            need(type(root.get(name)) is int and root[name] >= 0, name)
            need(root[name] <= most, name, "limit")
        need(is_vector(root.get("up")), "up")
        need(is_vector(root.get("origin")), "origin")
        need(type(root.get("antialiased")) is bool, "antialiased")
        if "home" in root:
            check_home(root["home"])
        if self.poster_bytes or "poster_hash" in root:
            poster_hash = root.get("poster_hash")
            need(isinstance(poster_hash, bytes) and len(poster_hash) == 16, "poster_hash")
            need(self.poster_bytes > 0, "poster_hash without a poster")
        self.size = 3 * (root["sh_degree"] + 1) ** 2
        self.layers = table(root.get("layers"), LAYER, 64, with_hash=False)
        levels = [layer["level"] for layer in self.layers]
        need(bool(levels) and levels == sorted(levels), "levels")
        need(levels[-1] <= 16, "level", "limit")
        need(sum(layer["leaves"] for layer in self.layers) == root["count"], "count")
        need(all(2**-7 <= layer["amplification"] <= 2**7 for layer in self.layers), "amplification")
        points = table(root.get("quality"), QUALITY, 1 << 6, with_hash=False)
        for before, point in zip([None, *points], points, strict=False):
            need(math.isfinite(point["psnr"]) and -1 <= point["ssim"] <= 1, "quality")
            need(before is None or before["bytes"] < point["bytes"], "quality")
        self.root_rows = self.read_rows(root.get("chunks"), None)
        self.read_pages(root.get("pages"))

    def read_pages(self, value: Any) -> None:
        """Section 5, the table of pages, and the offsets."""
        values = table(value, PAGE, 1 << 10, with_hash=True)
        boxes = read_boxes(value, len(values))
        self.groups: list[list[Page]] = []
        first = len(self.root_rows)
        for number, (row, box) in enumerate(zip(values, boxes, strict=True), start=1):
            need(max(row["raw"], row["packed"]) <= 1 << 20, "page", "limit")
            need(min(row["raw"], row["packed"], row["chunks"]) > 0, "page")
            need(row["level"] <= self.layers[-1]["level"], "region")
            need(row["tile"] < 1 << row["level"], "region")
            need(math.isfinite(row["gain"]), "gain of a page")
            if row["group"] == len(self.groups):
                self.groups.append([])
            need(row["group"] == len(self.groups) - 1, "group")
            self.groups[-1].append(Page(number=number, first=first, box=box, **row))
            first += row["chunks"]
        position = self.poster_end + sum(row.packed for row in self.root_rows)
        for group in self.groups:
            for page in group:
                page.offset = position
                position += page.packed
            length = sum(page.bytes for page in group)
            for page in group:
                page.area, page.area_end = position, position + length
            position += length
        self.total = first
        need(self.total <= 1 << 19, "chunks", "limit")
        need(self.total > 0 and position == self.file_bytes, "file length")

    def check_poster(self) -> None:
        """Section 3."""
        if self.poster_bytes:
            poster = self.data[self.root_end : self.poster_end]
            need(digest(poster) == self.root["poster_hash"], "hash of the poster")

    def read_page(self, page: Page) -> list[Row]:
        """Section 6: its rows."""
        packed = self.data[page.offset : page.end]
        rows = self.read_rows(load_map(unpack(packed, page.raw, page.hash)), page)
        need(len(rows) == page.chunks, "rows of the page")
        need(sum(row.packed for row in rows) == page.bytes, "bytes of the page")
        return rows

    def read_rows(self, value: Any, page: Page | None) -> list[Row]:
        """Section 6, what each row says for itself."""
        region = (page.level, page.tile) if page else (0, 0)
        end = page.area if page else self.poster_end
        firsts = []
        rows: list[Row] = []
        before: Row | None = None
        for fields in table(value, ROW, 1 << 19, with_hash=True):
            kind = fields["kind"]
            need(kind in (LEAF, PROXY, SH, BASIS, FINE) or kind >= EXTRA, "kind", "unsupported")
            gap = fields.pop("gap")
            number = (page.first if page else 0) + len(rows)
            row = Row(number=number, table=page.number if page else 0, offset=end + gap, **fields)
            need(row.layer < len(self.layers), "layer")
            level = self.layers[row.layer]["level"]
            need(row.tile < 1 << level, "tile")
            if kind == BASIS:
                need(region[0] == 0, "BASIS in a page of a part")
            else:
                need(level >= region[0] and row.tile >> (level - region[0]) == region[1], "region")
            need(row.raw > 0 and row.packed > 0, "empty")
            need(math.isfinite(row.gain), "gain")
            need(max(row.raw, row.packed) <= 1 << 25, "chunk", "limit")
            need(row.count <= 1 << 18, "count", "limit")
            end = row.offset + row.packed
            need(gap == 0 if page is None else end <= page.area_end, "outside of its area")
            if kind < EXTRA:
                least, most = self.raw_lengths(row)
                need(least <= row.raw <= most, "raw")
            if kind == SH and before is not None and before.kind in (LEAF, PROXY):
                row.is_joined = (before.layer, before.tile) == (row.layer, row.tile)
            if kind != BASIS and kind < EXTRA:
                before = row
            if kind in (LEAF, PROXY) and all(
                (other.layer, other.tile) != (row.layer, row.tile) for other in firsts
            ):
                firsts.append(row)
            rows.append(row)
        for row, box in zip(firsts, read_boxes(value, len(firsts)), strict=True):
            row.box = box
        return rows

    def raw_lengths(self, row: Row) -> tuple[int, int]:
        """Rule 8 of section 6."""
        count = row.count
        geometry = 48 + 4 * self.child_count(row.layer)
        size = self.size
        sh = 8 + size + (8 * size + (size + 7) // 8) * count
        return {
            LEAF: (geometry, geometry + 88 * count),
            PROXY: (geometry, geometry + 88 * count + 2 * size**2 + sh),
            SH: (8, sh),
            BASIS: (6, 6 + 2 * 64 * size**2),
            FINE: (28, 28 + 80 * count),
        }[row.kind]

    def child_count(self, layer: int) -> int:
        """Section 1."""
        if layer + 1 == len(self.layers):
            return 1
        return 1 << (self.layers[layer + 1]["level"] - self.layers[layer]["level"])


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def load_map(data: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(all(type(key) is str for key, _ in pairs), "a key")
        need(len(dict(pairs)) == len(pairs), "a key twice")
        return dict(pairs)

    try:
        value = msgpack.unpackb(data, object_pairs_hook=once, strict_map_key=True)
    except (ValueError, msgpack.UnpackException) as error:
        raise Fault("damaged", str(error)) from error
    need(isinstance(value, dict), "not a map")
    level: list[Any] = [value]
    for _ in range(16):
        inner = [x for v in level for x in (v.values() if isinstance(v, dict) else v)]
        level = [x for x in inner if isinstance(x, (dict, list))]
    need(not level, "nesting")
    return value


def table(
    value: Any, columns: dict[str, str], most: int, *, with_hash: bool
) -> list[dict[str, Any]]:
    need(isinstance(value, dict), "a table is a map")
    rows: list[dict[str, Any]] | None = None
    for name, kind in columns.items():
        column = value.get(name)
        size = struct.calcsize("<" + TYPES[kind])
        need(isinstance(column, bytes) and len(column) % size == 0, name)
        need(len(column) // size <= most, name, "limit")
        values = struct.unpack(f"<{len(column) // size}{TYPES[kind]}", column)
        rows = [{} for _ in values] if rows is None else rows
        need(len(rows) == len(values), "columns differ")
        for row, item in zip(rows, values, strict=True):
            row[name] = item
    assert rows is not None
    if with_hash:
        column = value.get("hash")
        need(isinstance(column, bytes) and len(column) == 16 * len(rows), "hashes")
        for number, row in enumerate(rows):
            row["hash"] = column[16 * number : 16 * number + 16]
    return rows


def read_boxes(value: dict[str, Any], count: int) -> list[Corners]:
    """The columns low and high of a table that has so many boxes."""
    corners = []
    for name in ("low", "high"):
        column = value.get(name)
        need(isinstance(column, bytes) and len(column) == 12 * count, name)
        corners.append(list(struct.iter_unpack("<3f", column)))
        need(all(abs(x) <= HUGE for corner in corners[-1] for x in corner), name)
    for low, high in zip(*corners, strict=True):
        need(all(a <= b for a, b in zip(low, high, strict=True)), "box upside down")
    return list(zip(*corners, strict=True))


def check_text(text: Any, name: str) -> None:
    need(isinstance(text, str), name)
    need(len(text.encode()) <= 1 << 10, name, "limit")
    control = {*range(32), *range(0x7F, 0xA0)} - {9, 10}
    need(not any(ord(character) in control for character in text), name)


def check_home(home: Any) -> None:
    need(isinstance(home, dict), "home")
    need(is_vector(home.get("eye")) and is_vector(home.get("forward")), "home")
    need(any(home["forward"]), "home")
    need(is_number(home.get("fov_y")) and 0 < home["fov_y"] < math.pi, "fov_y")


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= HUGE


def is_vector(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))
