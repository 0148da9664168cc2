"""Rows that are checked as columns meet the same faults as rows that are checked one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from exgs.codec.constants import ChunkKind
from exgs.codec.errors import FormatError
from exgs.codec.format import row_reading, rules
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.container import open_head
from exgs.codec.format.fields import Fields
from exgs.codec.format.index import ChunkTable, joined_sh
from exgs.codec.format.index_io import parse_page
from exgs.codec.format.row_reading import CHUNK_COLUMNS
from exgs.codec.format.rows import PageRef, Region
from exgs.codec.format.rules import TableRules
from tests.codec.forge import assemble
from tests.codec.forged_files import divided_file, paged_file

Page = tuple[PageRef, ChunkRows]

FILES = [assemble(divided_file()), assemble(paged_file())]


def _pages(data: bytes) -> tuple[ChunkTable, list[Page]]:
    head = open_head(lambda offset, length: data[offset : offset + length])
    pages = [
        (page, parse_page(data[page.offset : page.end], page, head.root.facts))
        for page in head.root.pages
    ]
    return ChunkTable(head.root), pages


def _outcome(call: Callable[[], object]) -> tuple[str, str]:
    try:
        call()
    except FormatError as error:
        return type(error).__name__, str(error)
    return "", ""


def _spoilt(rows: ChunkRows, rng: np.random.Generator) -> ChunkRows:
    """The rows with a value or two changed, or two rows swapped."""
    columns = {
        name: np.array(getattr(rows, name))
        for name in ("kind", "layer", "tile", "counts", "packed_bytes")
    }
    for _ in range(int(rng.integers(1, 3))):
        place, other = rng.integers(len(rows), size=2)
        match rng.integers(4):
            case 0:
                columns["kind"][place] = rng.choice(list(ChunkKind))
            case 1:
                columns["tile"][place] = columns["tile"][other] & columns["tile"][place]
            case 2:
                columns["counts"][place] += rng.integers(0, 3)
            case 3:
                for column in columns.values():
                    column[[place, other]] = column[[other, place]]
    return ChunkRows(
        first_id=rows.first_id,
        raw_bytes=rows.raw_bytes,
        gain=rows.gain,
        offset=rows.offset,
        hashes=rows.hashes,
        boxed=rows.boxed,
        low=rows.low,
        high=rows.high,
        **columns,
    )


@pytest.mark.parametrize("seed", range(150))
def test_rules_find_the_same_fault(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    table, pages = _pages(FILES[seed % 2])
    facts = table.root.facts
    order = rng.permutation(len(pages)) if rng.random() < 0.3 else np.arange(len(pages))
    if rng.random() < 0.9:
        bad = int(rng.integers(len(pages)))
        pages[bad] = (pages[bad][0], _spoilt(pages[bad][1], rng))

    def enter() -> None:
        found = TableRules(facts, table.root.pages)
        found.enter(0, table.root.chunks)
        for number in order:
            found.enter(pages[number][0].id, pages[number][1])

    at_once = _outcome(enter)
    monkeypatch.setattr(TableRules, "_pass", lambda *_: False)
    assert _outcome(enter) == at_once


def test_sound_pages_are_checked_as_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a row was checked alone")

    monkeypatch.setattr(rules.TableRules, "_check", refuse)
    for data in FILES:
        table, pages = _pages(data)
        for page, rows in pages:
            table.add_page(page, rows)
        assert table.complete


@pytest.mark.parametrize("seed", range(300))
def test_reading_finds_the_same_fault(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    table, pages = _pages(FILES[seed % 2])
    page, rows = pages[int(rng.integers(len(pages)))]
    ends = rows.offset + rows.packed_bytes
    gaps = rows.offset - np.array([page.area_start, *ends[:-1]])
    values = {
        "kind": rows.kind,
        "layer": rows.layer,
        "tile": rows.tile,
        "count": rows.counts,
        "raw": rows.raw_bytes,
        "packed": rows.packed_bytes,
        "gain": rows.gain,
        "gap": gaps,
    }
    columns = {name: np.array(values[name], dtype) for name, dtype in CHUNK_COLUMNS.items()}
    for _ in range(int(rng.integers(0, 3))):
        column = columns[str(rng.choice(list(columns)))]
        values_to_try: list[float] = [np.nan, np.inf, -1.0]
        if column.dtype.kind == "u":
            limit = int(np.iinfo(column.dtype).max)
            values_to_try = [0, 1, limit, limit // 2, min(int(column[0]) + 1, limit)]
        column[rng.integers(len(column))] = values_to_try[rng.integers(len(values_to_try))]
    packed = {name: column.tobytes() for name, column in columns.items()}
    packed |= {"hash": rows.hashes, "low": rows.low.tobytes(), "high": rows.high.tobytes()}
    region = page.region if rng.random() < 0.8 else Region(1, int(rng.integers(2)))
    area_end = None if rng.random() < 0.2 else page.area_end

    def read() -> object:
        fields = Fields(packed, page.section, page.offset)
        facts = table.root.facts
        return row_reading.read_rows(
            fields, facts, region, page.first_chunk, page.area_start, area_end
        )

    at_once = _outcome(read)
    monkeypatch.setattr(row_reading, "_are_sound", lambda *_: False)
    assert _outcome(read) == at_once
    if not at_once[0]:
        assert ChunkRows.of(tuple(rows)) == rows
        assert rows.ids[rows.is_joined].tolist() == [row.id for row in joined_sh(rows)]
