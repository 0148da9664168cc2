"""spec/implementing.md tells the truth: its dumps, and its pieces of code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from exgs.codec.format.container import open_table
from exgs.codec.payload.morton import morton_decode
from tests.codec.hexdump import DOCUMENT, with_dumps

VALID = sorted((DOCUMENT.parent / "vectors" / "valid").glob("*.exgs"))


@pytest.fixture(scope="module")
def code() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for piece in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
        exec(piece, names)
    return names


def test_the_dumps_are_those_of_the_files() -> None:
    assert with_dumps(DOCUMENT.read_text()) == DOCUMENT.read_text()


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_offsets_and_frames_are_read_as_the_code_says(path: Path, code: dict[str, Any]) -> None:
    data = path.read_bytes()
    head, table = open_table(lambda offset, length: data[offset : offset + length])
    root, header = head.root, head.header
    pages = [(page.group, page.packed_bytes, page.chunk_bytes) for page in root.pages]
    found = code["page_offsets"](header.poster_end, [r.packed_bytes for r in root.chunks], pages)
    assert found == [(page.offset, page.area_start, page.area_end) for page in root.pages]
    for page in root.pages:
        rows = [table[page.first_chunk + i] for i in range(page.chunk_count)]
        ends = [page.area_start, *(row.end for row in rows)]
        gaps = [row.offset - end for row, end in zip(rows, ends, strict=False)]
        lengths = [row.packed_bytes for row in rows]
        offsets = code["chunk_offsets"](page.area_start, zip(gaps, lengths, strict=True))
        assert offsets == [row.offset for row in rows]
    frames = [data[64 : header.root_end], *(data[p.offset : p.end] for p in root.pages)]
    frames += [data[r.offset : r.end] for r in table.values() if r.kind < 128]
    for frame in frames:
        known = zstandard.get_frame_parameters(frame)
        size, window, _ = code["frame_head"](frame)
        assert (size, window) == (known.content_size, known.window_size)
        assert code["frame_end"](frame) == len(frame)


def test_frames_of_all_kinds_are_measured(code: dict[str, Any]) -> None:
    for size in (0, 1, 255, 256, 300, 65_791, 65_792, 300_000):
        noise = np.random.default_rng(size).bytes(size)
        for raw in (noise, bytes(size)):
            for options in ({}, {"write_checksum": True}, {"write_content_size": False}):
                frame = zstandard.ZstdCompressor(**options).compress(raw)
                known = zstandard.get_frame_parameters(frame)
                declared, window, _ = code["frame_head"](frame)
                assert window == known.window_size or declared is not None
                assert declared == (size if options.get("write_content_size", True) else None)
                assert code["frame_end"](frame) == len(frame)


def test_morton_codes_in_halves(code: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << 63, 500, np.uint64)
    for value, expected in zip(codes.tolist(), morton_decode(codes).tolist(), strict=True):
        assert list(code["grid"](value >> 32, value & code["MASK"])) == expected
    for one, other in codes.reshape(-1, 2).tolist():
        high, low = code["add"](one >> 32, one & code["MASK"], other >> 32, other & code["MASK"])
        assert high << 32 | low == (one + other) % (1 << 63)
