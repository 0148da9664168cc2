"""A second decoder, written from spec/format.md alone: slow, plain, and nothing of exgs in it.

`read` gives the Gaussians that a prefix of a file draws, one at a time, in float64. Section numbers
are those of the spec.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np
import zstandard

from tests.codec.reference_payloads import (
    HUGE,
    Fault,
    Splat,
    apply_fine,
    apply_sh,
    basis_rows,
    geometry,
    need,
)

__all__ = ["Fault", "Splat", "arrays", "read"]

TYPES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "f32": "f"}
ROW = {
    "kind": "u8",
    "layer": "u8",
    "tile": "u16",
    "count": "u32",
    "raw": "u32",
    "packed": "u32",
    "gain": "f32",
}
LEAF, PROXY, SH, BASIS, FINE, EXTRA = 0, 1, 2, 3, 4, 128


@dataclass
class Cell:
    """What has come of one cell."""

    expected: set[int] = field(default_factory=set)  # LEAF, PROXY
    joined: set[int] = field(default_factory=set)  # SH rows that it is drawn with
    arrived: set[int] = field(default_factory=set)  # SH rows
    page: int = 0
    last_row: int = 0
    leaf_count: int | None = None
    refinements: list[int] = field(default_factory=list)  # kinds of the SH and FINE rows
    groups: dict[int, list[list[Splat]]] = field(default_factory=dict)  # kind -> by finest tile


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def unpack(packed: bytes, raw: int, expected_hash: bytes) -> bytes:
    """Section 4."""
    need(digest(packed) == expected_hash, "hash")
    try:
        frame = zstandard.get_frame_parameters(packed)
        need(frame.dict_id == 0, "dictionary")
        need(frame.content_size == raw, "content size")
        need(frame.window_size <= max(raw, 1 << 23), "window", "limit")
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        data = decompressor.decompress(packed)
        need(decompressor.eof and not decompressor.unused_data, "behind the frame")
    except zstandard.ZstdError as error:
        raise Fault("damaged", str(error)) from error
    need(len(data) == raw, "length")
    return data


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


def table(value: Any, columns: dict[str, str], most: int, with_hash: bool) -> list[dict[str, Any]]:
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


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= HUGE


def is_vector(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))


class Reader:
    """A file as far as it is here."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.cells: dict[tuple[int, int], Cell] = {}
        self.basis: list[list[float]] | None = None
        self.basis_listed = False
        self.free = 0  # Gaussians beyond a byte each
        self.read_header()
        self.read_root()

    def read_header(self) -> None:
        """Section 3."""
        data = self.data
        magic = b"EXGS\r\n\x1a\n"
        need(data[:8] == magic[: len(data)], "magic")
        need(len(data) >= 64, "header", "truncated")
        (_, major, _, flags, self.file_bytes, self.root_packed, self.root_raw, self.root_hash) = (
            struct.unpack("<8sHHIQII16s", data[:48])
        )
        need(crc32c(data[:60]) == struct.unpack("<I", data[60:64])[0], "checksum")
        need(major == 1, "major", "unsupported")
        need(flags == 0 and not any(data[48:60]), "flags", "unsupported")
        need(max(self.root_raw, self.root_packed) <= 1 << 22, "root", "limit")
        need(self.file_bytes <= 1 << 40, "file length", "limit")
        need(self.file_bytes >= 64 + self.root_packed, "file length")

    def read_root(self) -> None:
        """Section 5."""
        end = 64 + self.root_packed
        need(len(self.data) >= end, "root index", "truncated")
        root = load_map(unpack(self.data[64:end], self.root_raw, self.root_hash))
        self.layers = table(
            root.get("layers"),
            {"level": "u8", "leaves": "u32", "proxies": "u32", "amplification": "f32"},
            64,
            False,
        )
        for name in ("name", "credit", "license", "encoder"):
            text = root.get(name)
            need(isinstance(text, str), name)
            need(len(text.encode()) <= 1 << 14, name, "limit")
            control = {*range(32), *range(0x7F, 0xA0)} - {9, 10}
            need(not any(ord(character) in control for character in text), name)
        for name, most in (("count", 1 << 28), ("sh_degree", 3)):
            need(type(root.get(name)) is int and root[name] >= 0, name)
            need(root[name] <= most, name, "limit")
        need(is_vector(root.get("up")), "up")
        if "home" in root:
            home = root["home"]
            need(isinstance(home, dict), "home")
            need(is_vector(home.get("eye")) and is_vector(home.get("forward")), "home")
            need(any(home["forward"]), "home")
            need(is_number(home.get("fov_y")) and 0 < home["fov_y"] < math.pi, "fov_y")
        self.size = 3 * (root["sh_degree"] + 1) ** 2
        levels = [layer["level"] for layer in self.layers]
        need(bool(levels) and levels == sorted(levels), "levels")
        need(levels[-1] <= 12, "level", "limit")
        self.finest = levels[-1]
        need(sum(layer["leaves"] for layer in self.layers) == root["count"], "count")
        need(all(2**-7 <= layer["amplification"] <= 2**7 for layer in self.layers), "amplification")
        bounds = root.get("bounds")
        need(isinstance(bounds, bytes) and len(bounds) == 24 << self.finest, "bounds")
        for low_high in struct.iter_unpack("<6f", bounds):
            need(all(abs(value) <= HUGE for value in low_high), "bounds")
            need(all(low_high[i] <= low_high[i + 3] for i in range(3)), "bounds")
        points = table(
            root.get("quality"), {"bytes": "u64", "psnr": "f32", "ssim": "f32"}, 1 << 10, False
        )
        for before, point in zip([None, *points], points, strict=False):
            need(math.isfinite(point["psnr"]) and -1 <= point["ssim"] <= 1, "quality")
            need(before is None or before["bytes"] < point["bytes"], "quality")
        page_columns = {"chunks": "u32", "bytes": "u64", "raw": "u32", "packed": "u32"}
        self.pages = table(root.get("pages"), page_columns, 1 << 12, True)
        self.root_rows = self.check_rows(root.get("chunks"), 0)
        position = end + sum(row["packed"] for row in self.root_rows)
        total = len(self.root_rows)
        for page in self.pages:
            need(max(page["raw"], page["packed"]) <= 1 << 22, "page", "limit")
            need(min(page["raw"], page["packed"], page["chunks"]) > 0, "page")
            position += page["packed"] + page["bytes"]
            total += page["chunks"]
        need(total <= 1 << 18, "chunks", "limit")
        need(total > 0 and position == self.file_bytes, "file length")
        self.total = total
        self.listed = 0
        self.sums = [[0, 0] for _ in self.layers]
        self.list_rows(self.root_rows, 0)

    def span(self, layer: int) -> int:
        return 1 << (self.finest - self.layers[layer]["level"])

    def parent(self, layer: int, tile: int) -> tuple[int, int]:
        return layer - 1, tile >> (self.layers[layer]["level"] - self.layers[layer - 1]["level"])

    def check_rows(self, value: Any, page: int) -> list[dict[str, Any]]:
        """Section 6, what each row says for itself."""
        rows = table(value, ROW, 1 << 18, True)
        for row in rows:
            kind, count, raw = row["kind"], row["count"], row["raw"]
            need(kind in (LEAF, PROXY, SH, BASIS, FINE) or kind >= EXTRA, "kind", "unsupported")
            need(row["layer"] < len(self.layers), "layer")
            need(row["tile"] < 1 << self.layers[row["layer"]]["level"], "tile")
            need(raw > 0 and row["packed"] > 0, "empty")
            need(math.isfinite(row["gain"]), "gain")
            need(max(raw, row["packed"]) <= 1 << 25, "chunk", "limit")
            need(count <= 1 << 18, "count", "limit")
            geometry = 48 + 4 * self.span(row["layer"])
            least_most = {
                LEAF: (geometry, geometry + 88 * count),
                PROXY: (geometry, geometry + 88 * count),
                SH: (8, 8 + self.size + (8 * self.size + (self.size + 7) // 8) * count),
                BASIS: (6, 6 + 2 * 64 * self.size**2),
                FINE: (28, 28 + 80 * count),
            }
            if kind < EXTRA:
                least, most = least_most[kind]
                need(least <= raw <= most, "raw")
        return rows

    def list_rows(self, rows: list[dict[str, Any]], page: int) -> None:
        """Section 6, the rules."""
        last_geometry = None  # the cell whose LEAF or PROXY is in front of a row
        for row in rows:
            kind, key = row["kind"], (row["layer"], row["tile"])
            if kind == BASIS:
                need(not self.basis_listed, "two BASIS")
                need(key == (0, 0) and row["count"] == 0, "BASIS in a cell")
                self.basis_listed = True
            elif kind in (LEAF, PROXY):
                if key not in self.cells:
                    need(key[0] == 0 or self.parent(*key) in self.cells, "no parent")
                    self.cells[key] = Cell(page=page)
                else:
                    need(kind not in self.cells[key].expected, "twice")
                    need(self.cells[key].page == page, "pages")
                    need(self.cells[key].last_row == self.listed - 1, "apart")
                cell = self.cells[key]
                cell.expected.add(kind)
                cell.last_row = self.listed
                self.sums[key[0]][kind] += row["count"]
                limits = self.layers[key[0]]["leaves"], self.layers[key[0]]["proxies"]
                need(self.sums[key[0]][kind] <= limits[kind], "too many")
                self.free += max(row["count"] - row["packed"], 0)
                need(self.free <= 1 << 12, "Gaussians", "limit")
                if kind == LEAF:
                    cell.leaf_count = row["count"]
            elif kind in (SH, FINE):
                need(key in self.cells, "no cell")
                cell = self.cells[key]
                need(cell.leaf_count == row["count"], "count")
                need(kind == SH or FINE not in cell.refinements, "two FINE")
                need(kind == FINE or self.basis_listed, "no BASIS")
                cell.refinements.append(kind)
                row["number"] = self.listed
                if kind == SH and last_geometry == key:
                    cell.joined.add(self.listed)
                need(cell.refinements.count(SH) <= 8, "SH chunks", "limit")
            self.listed += 1
            if kind != BASIS and kind < EXTRA:
                last_geometry = key if kind in (LEAF, PROXY) else None
        if self.listed == self.total:
            for sums, layer in zip(self.sums, self.layers, strict=True):
                need(sums == [layer["leaves"], layer["proxies"]], "sums")
            need(len(self.cells) == sum(1 << layer["level"] for layer in self.layers), "cells")

    def read_all(self, missing: Collection[int]) -> None:
        """Every chunk that is whole, but those of these numbers."""
        need(len(self.data) <= self.file_bytes, "behind the end")
        position = 64 + self.root_packed
        rows = self.root_rows
        chunk = 0
        for number in range(len(self.pages) + 1):
            for row in rows:
                packed = self.data[position : position + row["packed"]]
                if len(packed) < row["packed"]:
                    return
                if chunk not in missing:
                    self.read_chunk(row, packed)
                chunk += 1
                position += row["packed"]
            if number == len(self.pages):
                return
            page = self.pages[number]
            packed = self.data[position : position + page["packed"]]
            if len(packed) < page["packed"]:
                return
            position += page["packed"]
            rows = self.check_rows(load_map(unpack(packed, page["raw"], page["hash"])), number + 1)
            need(len(rows) == page["chunks"], "rows of the page")
            need(sum(row["packed"] for row in rows) == page["bytes"], "bytes of the page")
            self.list_rows(rows, number + 1)

    def read_chunk(self, row: dict[str, Any], packed: bytes) -> None:
        if row["kind"] >= EXTRA:
            need(digest(packed) == row["hash"], "hash")
            return
        payload = unpack(packed, row["raw"], row["hash"])
        cell = self.cells.get((row["layer"], row["tile"]), Cell())
        kind = row["kind"]
        if kind in (LEAF, PROXY):
            span = self.span(row["layer"])
            cell.groups[kind] = geometry(payload, row["count"], span, is_proxy=kind == PROXY)
        elif kind == BASIS:
            self.basis = basis_rows(payload, self.size)
        elif LEAF in cell.groups and (kind == FINE or self.basis is not None):
            leaves = [splat for group in cell.groups[LEAF] for splat in group]
            if kind == FINE:
                apply_fine(payload, leaves)
            else:
                apply_sh(payload, self.basis, self.size, leaves)
                cell.arrived.add(row["number"])

    def draw(self) -> list[Splat]:
        """Section 8."""
        active: set[tuple[int, int]] = set()
        top = [-1] * (1 << self.finest)
        for layer, tile in sorted(self.cells):
            cell = self.cells[layer, tile]
            here = cell.expected == cell.groups.keys() and cell.joined <= cell.arrived
            if here and (layer == 0 or self.parent(layer, tile) in active):
                active.add((layer, tile))
                span = self.span(layer)
                top[tile * span : (tile + 1) * span] = [layer] * span
        drawn = []
        for layer, tile in sorted(active):
            for kind, groups in sorted(self.cells[layer, tile].groups.items()):
                for number, group in enumerate(groups, start=tile * self.span(layer)):
                    if kind == PROXY and top[number] != layer:
                        continue
                    factor = 1.0 if kind == PROXY else self.layers[top[number]]["amplification"]
                    drawn += [
                        Splat(
                            s.mean,
                            s.quat,
                            [x * factor for x in s.scale],
                            s.opacity,
                            s.sh,
                            s.is_proxy,
                        )
                        for s in group
                    ]
        return drawn


def read(data: bytes, missing: Collection[int] = ()) -> list[Splat]:
    """The Gaussians that `data`, a file or its first bytes, draws; raises Fault.

    The chunks numbered in `missing` are taken for not here.
    """
    reader = Reader(data)
    reader.read_all(missing)
    return reader.draw()


def arrays(splats: list[Splat]) -> dict[str, np.ndarray[Any, Any]]:
    """The same as arrays, sorted so that two decoders can be compared."""
    k = max((len(s.sh) for s in splats), default=1)
    padded = [s.sh + [[0.0] * 3] * (k - len(s.sh)) for s in splats]
    sh = np.array(padded, np.float64).reshape(len(splats), k, 3)
    return {
        "means": np.array([s.mean for s in splats], np.float64).reshape(-1, 3),
        "quats": np.array([s.quat for s in splats], np.float64).reshape(-1, 4),
        "scales": np.array([s.scale for s in splats], np.float64).reshape(-1, 3),
        "opacities": np.array([s.opacity for s in splats], np.float64),
        "sh0": sh[:, 0],
        "shN": sh[:, 1:],
        "is_proxy": np.array([s.is_proxy for s in splats], bool),
    }
