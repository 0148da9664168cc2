"""Writes the dumps of spec/implementing.md: python -m tests.codec.hexdump.

Each stands between a comment that names it and the next fence's end. What the bytes mean is read
from the files by the second decoder and by the tables of the specification's types.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import msgpack
import zstandard

from tests.codec.reference_index import LAYER, PAGE, QUALITY, ROW, TYPES, Index

SPEC = Path(__file__).parents[2] / "spec"
DOCUMENT = SPEC / "implementing.md"
_WIDTH = 16  # bytes in a line
_SHAPE_COLUMNS = (
    "delta",
    "size_long",
    "size_drop",
    "size_drop_short",
    "turn_x",
    "turn_y",
    "turn_z",
    "opacity",
)
Entry = tuple[int, bytes, str]  # offset, bytes, what they mean


def dumps() -> dict[str, str]:
    """The text of each dump by its name."""
    one = (SPEC / "vectors" / "valid" / "one.exgs").read_bytes()
    regions = (SPEC / "vectors" / "valid" / "regions.exgs").read_bytes()
    index = Index(one)
    root_raw = zstandard.decompress(one[64 : index.root_end])
    (leaf,) = index.root_rows
    packed = one[leaf.offset : leaf.offset + leaf.packed]
    page = Index(regions).groups[1][1]
    page_frame = regions[page.offset : page.end]
    texts = {
        "header": _text(_header(one)),
        "root": _text(_map(root_raw)),
        "frame": _text(_frame(packed)),
        "leaf": _text(_leaf(zstandard.decompress(packed), leaf.count)),
        "page": _text(_map(zstandard.decompress(page_frame))),
    }
    return {name: f"```text\n{text}\n```" for name, text in texts.items()}


def with_dumps(document: str) -> str:
    """The document with the dumps as they should be."""
    for name, text in dumps().items():
        pattern = rf"(<!-- dump: {name} -->\n).*?\n```(?=\n)"
        document, count = re.subn(
            pattern, lambda found, text=text: found[1] + text, document, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"{count} places for the dump {name}")
    return document


def _text(entries: Iterator[Entry]) -> str:
    lines = []
    for offset, data, meaning in entries:
        for start in range(0, len(data), _WIDTH):
            shown = data[start : start + _WIDTH].hex(" ")
            lines.append(f"{offset + start:5}  {shown:{3 * _WIDTH}} {meaning if not start else ''}")
    return "\n".join(line.rstrip() for line in lines)


def _fields(data: bytes, fields: list[tuple[str, str]]) -> Iterator[Entry]:
    """Entries of consecutive fields: (struct format, name)."""
    offset = 0
    for code, name in fields:
        size = struct.calcsize("<" + code)
        part = data[offset : offset + size]
        values = struct.unpack("<" + code, part)
        shown = "" if code[-1] in "sx" else " " + ", ".join(f"{value:.6g}" for value in values)
        yield offset, part, f"{name}{shown}"
        offset += size


def _header(data: bytes) -> Iterator[Entry]:
    fields = [
        ("8s", "magic"),
        ("H", "major"),
        ("H", "minor"),
        ("I", "flags"),
        ("Q", "file_bytes"),
        ("I", "root_packed"),
        ("I", "root_raw"),
        ("16s", "root_hash"),
        ("H", "poster_bytes"),
        ("10s", "reserved"),
        ("4s", "crc of bytes 0 to 59"),
    ]
    yield from _fields(data, fields)


def _frame(frame: bytes) -> Iterator[Entry]:
    """A frame of one raw or compressed block with a content size of one byte."""
    descriptor = frame[4]
    if descriptor != 0x20:
        raise ValueError(f"a frame descriptor of {descriptor:#x}")
    yield 0, frame[:4], "magic of Zstandard"
    yield 4, frame[4:5], "descriptor: single segment, no checksum, no dictionary"
    yield 5, frame[5:6], f"content size {frame[5]}, which is the window, too"
    block = int.from_bytes(frame[6:9], "little")
    kind = ("raw", "RLE", "compressed")[block >> 1 & 3]
    last = "last " if block & 1 else ""
    yield 6, frame[6:9], f"{last}block, {kind}, {block >> 3} bytes"
    yield 9, frame[9:], "the block"


def _leaf(data: bytes, count: int) -> Iterator[Entry]:
    fields = [
        ("11B", "widths"),
        ("B", "reserved"),
        ("3f", "origin"),
        ("f", "position_step"),
        ("f", "scale_origin"),
        ("f", "scale_step"),
        ("B", "rotation_bits"),
        ("B", "opacity_bits"),
        ("B", "sh_components"),
        ("B", "reserved"),
        ("f", "luma_step"),
        ("f", "chroma_step"),
        ("I", "child_counts"),
    ]
    yield from _fields(data, fields)
    columns = (*_SHAPE_COLUMNS, "luma", "red_blue", "green")
    offset = 52
    for name, width in zip(columns, data[:11], strict=True):
        size = width * count
        if size:
            planes = "1 plane" if width == 1 else f"{width} planes"
            value = int.from_bytes(data[offset : offset + size], "little")
            yield offset, data[offset : offset + size], f"{name}, {planes}: {value:#x}"
        offset += size


def _map(data: bytes) -> Iterator[Entry]:
    """Keys of the outermost map, and those of tables, with their values."""
    yield 0, data[:1], f"map of {data[0] & 15}"
    position = 1
    values = msgpack.unpackb(data)
    for key, value in values.items():
        head = msgpack.packb(key)
        table = {"layers": LAYER, "quality": QUALITY, "chunks": ROW, "pages": PAGE}.get(key)
        if isinstance(value, dict) and table is not None:
            yield position, data[position : position + len(head) + 1], f"{key}: map of {len(value)}"
            position += len(head) + 1
            for name, column in value.items():
                yield from _pair(data, position, name, column, table, "  ")
                position += len(msgpack.packb(name)) + len(msgpack.packb(column))
        else:
            yield from _pair(data, position, key, value, ROW, "")
            position += len(head) + len(msgpack.packb(value))
    if position != len(data):
        raise ValueError(f"{len(data)} bytes, {position} of them shown")


def _pair(
    data: bytes, position: int, name: str, value: object, types: dict[str, str], indent: str
) -> Iterator[Entry]:
    size = len(msgpack.packb(name)) + len(msgpack.packb(value))
    part = data[position : position + size]
    if msgpack.packb(name) + msgpack.packb(value) != part:
        raise ValueError(f"{name} is coded in another way")
    yield position, part, f"{indent}{name}: {_shown(name, value, types)}"


def _shown(name: str, value: object, types: dict[str, str]) -> str:
    if not isinstance(value, bytes):
        return json.dumps(value)
    kind = {"low": "f32", "high": "f32"}.get(name, types.get(name, ""))
    if name == "hash" or not kind:
        return f"{len(value)} bytes"
    code = TYPES[kind]
    numbers = struct.unpack(f"<{len(value) // struct.calcsize('<' + code)}{code}", value)
    return f"{kind} " + " ".join(f"{number:g}" for number in numbers)


if __name__ == "__main__":
    DOCUMENT.write_text(with_dumps(DOCUMENT.read_text()))
