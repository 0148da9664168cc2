"""Files to refuse for where their rows lie: groups of pages, regions, gaps and boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from exgs.codec.constants import ChunkKind
from tests.codec.forge import PAGE_TYPES, Case, Parts, Root, Row, assemble, chunk
from tests.codec.forged_files import paired_file, random_file, small_file

LEAF, PROXY, SH, BASIS, FINE = (int(kind) for kind in list(ChunkKind)[:5])
_WRAP = 1 << 64


def space_cases() -> Iterator[Case]:
    """All of them."""
    for cases in (_groups, _gaps, _regions, _in_front, _boxes):
        yield from cases()


def _paged(change: Callable[[Root], object]) -> bytes:
    """Two pages of one group whose table of pages is changed."""
    parts = paired_file()
    parts.edit_index = lambda root: change(root["pages"])
    return assemble(parts)


def _column(name: str, values: list[float]) -> Callable[[Root], object]:
    return lambda pages: pages.update({name: np.array(values, PAGE_TYPES[name]).tobytes()})


def _groups() -> Iterator[Case]:
    yield "group-one", "damaged", "the first group is 1", _paged(_column("group", [1, 1]))
    yield "group-gap", "damaged", "group 2 follows group 0", _paged(_column("group", [0, 2]))
    parts = random_file(counts=(2, 3), refined=1, rows_per_page=2)
    groups = [0, 1, *[0] * (len(parts.pages) - 3)]
    parts.edit_index = lambda root: _column("group", groups)(root["pages"])
    yield "group-back", "damaged", "group 0 follows group 1", assemble(parts)
    yield (
        "group-apart",
        "damaged",
        "the pages of a group lie in two",
        _paged(_column("group", [0, 1])),
    )
    yield (
        "group-missing",
        "damaged",
        "the table of pages lacks the groups",
        _paged(lambda pages: pages.pop("group")),
    )
    for name, value in (("nan", float("nan")), ("inf", float("inf"))):
        yield (
            f"page-gain-{name}",
            "damaged",
            f"the gain of a page is {value}",
            _paged(_column("gain", [1.0, value])),
        )


def _gapped(changes: dict[tuple[int, int], Callable[[Parts, Row], int]]) -> bytes:
    """Pages of a group with other gaps: (page, row) -> gap."""
    parts = paired_file()
    pages = [list(page) for page in parts.pages]
    for (page, row), gap in changes.items():
        old = parts.pages[page][row]
        pages[page][row] = replace(old, gap=gap(parts, old))
    _renew(parts, pages)
    return assemble(parts)


def _renew(parts: Parts, pages: list[list[Row]]) -> None:
    """Put other rows in the places of the old ones, in the order of the file too."""
    assert parts.order is not None
    new = {
        id(old): row
        for page, others in zip(parts.pages, pages, strict=True)
        for old, row in zip(page, others, strict=True)
    }
    parts.order = [new[id(row)] for row in parts.order]
    parts.pages = pages


def _gaps() -> Iterator[Case]:
    def same(row: int, which: tuple[int, int]) -> bytes:
        """Two pages whose chunks are alike; those of one row are the same bytes."""
        parts = paired_file()
        one, other = parts.pages[1:]
        alike = [replace(b, data=a.data, raw=a.raw) for a, b in zip(one, other, strict=True)]
        sizes = [len(a.data) for a in one]
        alike[row] = replace(alike[row], gap=which[0])
        if row + 1 < len(alike):
            alike[row + 1] = replace(alike[row + 1], gap=sizes[row] + which[1])
        _renew(parts, [parts.pages[0], one, alike])
        return assemble(parts)

    sizes = [len(row.data) for row in paired_file().pages[1]]
    yield (
        "area-overlap",
        "damaged",
        "the pages of a group list the same bytes, and others not at all",
        same(0, (0, sizes[1])),
    )
    yield (
        "area-hole",
        "damaged",
        "no chunk holds the last bytes of a group",
        same(2, (0, 0)),
    )
    yield (
        "gap-beyond",
        "damaged",
        "a chunk ends a byte behind its area",
        _gapped({(2, 2): lambda parts, row: len(parts.pages[1][2].data) + 1}),
    )
    yield (
        "gap-huge",
        "damaged",
        "a gap of 2^64 - 1 bytes",
        _gapped({(1, 1): lambda parts, row: _WRAP - 1}),
    )
    parts = paired_file()
    leaf, sh, fine = parts.pages[1]
    assert parts.order is not None
    # FINE stands in front of the SH in the table and lies behind it in the file.
    between = sum(
        len(row.data) for row in parts.order[parts.order.index(sh) : parts.order.index(fine)]
    )
    ahead = sum(
        len(row.data) for row in parts.order[parts.order.index(leaf) + 1 : parts.order.index(fine)]
    )
    last = replace(fine, gap=ahead)
    back = replace(sh, gap=_WRAP - between - len(fine.data))
    parts.order = [{id(fine): last, id(sh): back}.get(id(row), row) for row in parts.order]
    parts.pages[1] = [leaf, last, back]
    yield "gap-wraps", "damaged", "a gap that is right modulo 2^64", assemble(parts)
    parts = small_file()
    parts.pages[0][1] = replace(parts.pages[0][1], gap=1)
    yield "gap-root", "damaged", "a gap in the root index", assemble(parts)
    parts = small_file()
    parts.pages[1][0] = replace(parts.pages[1][0], gap=1)
    yield "gap-alone", "damaged", "a gap in a page that is alone in its group", assemble(parts)
    parts = small_file()
    parts.edit_page = lambda table: table.pop("gap")
    yield "gap-missing", "damaged", "a page lacks the gaps", assemble(parts)


def _regions() -> Iterator[Case]:
    yield "region-level", "damaged", "a region of level 2 of 1", _paged(_column("level", [1, 2]))
    yield "region-none", "damaged", "tile 2 of level 1", _paged(_column("tile", [0, 2]))
    yield "region-tile", "damaged", "tile 1 of level 0", _paged(_column("level", [0, 0]))
    yield "region-other", "damaged", "rows of the region beside", _paged(_column("tile", [1, 0]))
    parts = paired_file()
    parts.pages[1].append(chunk(200, 1, 1, 0, b"whatever"))
    assert parts.order is not None
    parts.order.append(parts.pages[1][-1])
    yield (
        "region-extra",
        "damaged",
        "a kind to leave out, outside of the page's region",
        assemble(parts),
    )
    parts = paired_file()
    moved = parts.pages[0].pop()
    parts.pages[1].insert(0, moved)
    assert moved.layer == 0
    yield (
        "region-coarse",
        "damaged",
        "a cell that is larger than the page's region",
        assemble(parts),
    )
    parts = paired_file()
    (basis,) = [row for row in parts.pages[0] if row.kind == BASIS]
    later = [row for row in parts.pages[0] if row.kind in (SH, FINE)]
    parts.pages[0] = [row for row in parts.pages[0] if row not in (basis, *later)]
    parts.pages[1].insert(0, basis)
    parts.pages.append(later)
    parts.groups, parts.regions = [0, 0, 1], [(1, 0), (1, 1), (0, 0)]
    parts.order = [basis, *(row for row in parts.order or [] if row is not basis)]
    yield "basis-in-part", "damaged", "a BASIS in a page of half the scene", assemble(parts)


def _in_front() -> Iterator[Case]:
    """What lies in front of a row, where pages of a group share an area."""

    def arranged(
        pages: Callable[[list[Row]], list[list[Row]]],
        regions: list[tuple[int, int]],
        order: Callable[[list[Row]], list[Row]] = lambda rows: rows,
        **options: Any,
    ) -> bytes:
        """All rows on pages of one group but for PROXY and LEAF of the first layer."""
        parts = paired_file(**options)
        rows = [row for page in parts.pages for row in page]
        parts.pages = pages(rows)
        parts.groups = [0] * (len(parts.pages) - 1)
        parts.regions = regions
        parts.order = order(rows)
        # The rows of a page stand in the order of the file.
        for page in parts.pages:
            page.sort(key=_place(parts.order))
        return assemble(parts)

    def of(rows: list[Row], layer: int, tile: int) -> list[Row]:
        return [row for row in rows if (row.layer, row.tile) == (layer, tile)]

    halves = [(0, 0), (1, 0), (1, 1)]

    def by_cell(rows: list[Row]) -> list[list[Row]]:
        return [[], of(rows, 0, 0), of(rows, 1, 0), of(rows, 1, 1)]

    def first(*wanted: tuple[int, int, int]) -> Callable[[list[Row]], list[Row]]:
        """Rows of these kinds, layers and tiles in front of all others."""
        return lambda rows: sorted(
            rows, key=lambda row: (row.kind, row.layer, row.tile) not in wanted
        )

    yield (
        "child-offset",
        "damaged",
        "a cell lies before its parent, which an earlier page lists",
        arranged(by_cell, halves, first((LEAF, 1, 0))),
    )
    yield (
        "parent-page",
        "damaged",
        "a later page lists the parent of a cell",
        arranged(
            lambda rows: [[], of(rows, 1, 0), of(rows, 0, 0), of(rows, 1, 1)],
            [(1, 0), (0, 0), (1, 1)],
        ),
    )

    def refinements_apart(rows: list[Row]) -> list[list[Row]]:
        """SH and FINE of the second layer on pages of their own."""
        late = [row for row in rows if row.layer == 1 and row.kind in (SH, FINE)]
        early = [row for row in rows if row not in late]
        return [[], early, of(late, 1, 0), of(late, 1, 1)]

    yield (
        "sh-offset",
        "damaged",
        "an SH lies before its LEAF, which an earlier page lists",
        arranged(
            refinements_apart,
            halves,
            lambda rows: first((BASIS, 0, 0))(first((SH, 1, 0))(rows)),
        ),
    )
    yield (
        "fine-offset",
        "damaged",
        "a FINE lies before its LEAF, which an earlier page lists",
        arranged(refinements_apart, halves, first((FINE, 1, 1))),
    )

    def basis_last(rows: list[Row]) -> list[Row]:
        (basis,) = [row for row in rows if row.kind == BASIS]
        return [*(row for row in rows if row is not basis), basis]

    yield (
        "basis-offset",
        "damaged",
        "the BASIS lies behind an SH, on an earlier page",
        arranged(by_cell, halves, basis_last, refined=2),
    )
    yield (
        "apart-group",
        "damaged",
        "PROXY and LEAF of a cell on two pages of a group",
        arranged(
            lambda rows: [
                [],
                [row for row in rows if row.kind == PROXY],
                [row for row in of(rows, 0, 0) if row.kind != PROXY],
                of(rows, 1, 0),
                of(rows, 1, 1),
            ],
            [(0, 0), *halves],
        ),
    )
    parts = paired_file()
    parts.pages.append([parts.pages[1][0]])
    parts.groups, parts.regions = [0, 0, 1], [(1, 0), (1, 1), (0, 0)]
    parts.order = None
    yield "twice-leaf-pages", "damaged", "two pages list a cell's LEAF", assemble(parts)


def _place(order: list[Row]) -> Callable[[Row], int]:
    places = {id(row): place for place, row in enumerate(order)}
    return lambda row: places[id(row)]


def _boxes() -> Iterator[Case]:
    nan, inf = float("nan"), float("inf")
    beyond = float(np.nextafter(np.float32(2.0**99), np.float32(inf)))
    faults: list[tuple[str, str, Callable[[Root], object]]] = [
        ("low", "no minima", lambda table: table.pop("low")),
        ("high", "no maxima", lambda table: table.pop("high")),
        ("few", "a box less", lambda table: table.update(_cut(table, 12))),
        ("cut", "a box is cut", lambda table: table.update(_cut(table, 1))),
        (
            "many",
            "a box more",
            lambda table: table.update({n: table[n] + bytes(12) for n in ("low", "high")}),
        ),
        (
            "nan",
            "a minimum is not a number",
            lambda table: table.update(_corner(table, "low", nan)),
        ),
        ("inf", "a maximum is infinite", lambda table: table.update(_corner(table, "high", inf))),
        ("huge", "just beyond 2^99", lambda table: table.update(_corner(table, "high", beyond))),
        ("turned", "minimum above maximum", lambda table: table.update(_corner(table, "low", 2.0))),
    ]
    for name, problem, change in faults:
        parts = small_file()
        parts.edit_index = lambda root, change=change: change(root["chunks"])
        yield f"box-root-{name}", "damaged", f"boxes of the root index: {problem}", assemble(parts)
        parts = small_file()
        parts.edit_page = change
        yield f"box-page-{name}", "damaged", f"boxes of a page: {problem}", assemble(parts)
        parts = small_file()
        parts.edit_index = lambda root, change=change: change(root["pages"])
        yield f"box-pages-{name}", "damaged", f"the pages' boxes: {problem}", assemble(parts)


def _cut(table: Root, size: int) -> Root:
    return {name: table[name][:-size] for name in ("low", "high")}


def _corner(table: Root, name: str, value: float) -> Root:
    """The last number of a column of boxes is another."""
    column = np.frombuffer(table[name], "<f4").copy()
    column[-1] = value
    return {name: column.tobytes()}
