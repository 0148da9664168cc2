"""Files to refuse for what the rows of the chunk table say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from exgs.codec.constants import ChunkKind
from tests.codec.forge import PAGE_TYPES, Case, Root, Row, alter, assemble, layers
from tests.codec.forged_files import small_file

LEAF, PROXY, SH, BASIS, FINE = (int(kind) for kind in list(ChunkKind)[:5])


def row_cases() -> Iterator[Case]:
    """All of them."""
    for cases in (_tables, _rules):
        yield from cases()


def _tables() -> Iterator[Case]:
    """Pages, and what a row says for itself."""

    def page(**fields: Any) -> bytes:
        parts = small_file()

        def edit(root: Root) -> None:
            for name, change in fields.items():
                column = np.frombuffer(root["pages"][name], PAGE_TYPES[name])
                root["pages"][name] = change(column).astype(PAGE_TYPES[name]).tobytes()

        parts.edit_index = edit
        return assemble(parts)

    yield "page-huge", "limit", "a page of 4 GiB", page(raw=lambda c: c * 0 + 0xFFFFFFFF)
    yield (
        "page-packed-huge",
        "limit",
        "a page of 1 MiB + 1 in the file",
        page(packed=lambda c: c * 0 + (1 << 20) + 1),
    )
    yield "page-raw-zero", "damaged", "a page of no bytes", page(raw=lambda c: c * 0)
    yield "page-rows-zero", "damaged", "a page of no rows", page(chunks=lambda c: c * 0)
    yield "page-rows", "damaged", "a row more than the page has", page(chunks=lambda c: c + 1)
    yield (
        "page-rows-many",
        "limit",
        "2^32 - 1 chunks in a page",
        page(chunks=lambda c: c * 0 + 0xFFFFFFFF),
    )
    yield "page-raw", "damaged", "the page unpacks to another length", page(raw=lambda c: c + 1)
    yield (
        "page-length",
        "damaged",
        "the page's chunks are longer than the file",
        page(bytes=lambda c: c + (1 << 40)),
    )
    parts = small_file()
    parts.edit_index = lambda root: root.update(
        pages={
            **{name: bytes(int(kind[2]) * 1025) for name, kind in PAGE_TYPES.items()},
            **{name: bytes(12 * 1025) for name in ("low", "high")},
            "hash": bytes(16 * 1025),
        }
    )
    yield "pages-many", "limit", "1025 pages", assemble(parts)
    parts = small_file()
    parts.edit_index = lambda root: root["pages"].update(hash=bytes(15))
    yield "pages-hash-cut", "damaged", "a page's hash is cut", assemble(parts)
    parts = small_file()
    parts.edit_page = lambda table: table.update(hash=table["hash"][:-16])
    yield "rows-hash-missing", "damaged", "a row has no hash", assemble(parts)
    parts = small_file()
    parts.edit_page = lambda table: table.update(tile=table["tile"][:-1])
    yield "rows-cut", "damaged", "a column of a page is cut", assemble(parts)
    parts = small_file()
    parts.edit_page = lambda table: table.pop("gain")
    yield "rows-column-missing", "damaged", "a page lacks a column", assemble(parts)
    parts = small_file()
    first, second = parts.pages[1][:2]
    parts.pages[1][:2] = [
        replace(first, packed=len(first.data) + 1),
        replace(second, packed=len(second.data)),
    ]
    yield "page-bytes", "damaged", "the page's lengths add up to more", assemble(parts)
    parts = small_file()
    parts.pages = [[]]
    yield "rows-none", "damaged", "a file of no chunks", assemble(parts)

    for name, error, problem, kind, lies in (
        ("kind-unknown", "unsupported", "kind 5", SH, {"kind": 5}),
        ("kind-127", "unsupported", "kind 127", SH, {"kind": 127}),
        ("layer-beyond", "damaged", "layer 2 of two", LEAF, {"layer": 2}),
        ("tile-beyond", "damaged", "tile 1 of a layer of one", LEAF, {"tile": 1}),
        (
            "extra-beyond",
            "damaged",
            "a kind to leave out, in no cell",
            FINE,
            {"kind": 255, "tile": 9},
        ),
        (
            "row-count-huge",
            "limit",
            "2^18 + 1 Gaussians in a chunk",
            LEAF,
            {"count": (1 << 18) + 1},
        ),
        ("row-raw-huge", "limit", "32 MiB + 1 unpacked", LEAF, {"raw": (32 << 20) + 1}),
        ("row-raw-zero", "damaged", "no bytes unpacked", LEAF, {"raw": 0}),
        ("row-packed-huge", "limit", "32 MiB + 1 packed", LEAF, {"packed": (32 << 20) + 1}),
        ("row-packed-zero", "damaged", "no bytes packed", LEAF, {"packed": 0}),
        ("row-gain-nan", "damaged", "the gain is not a number", LEAF, {"gain": float("nan")}),
        ("row-gain-inf", "damaged", "the gain is infinite", SH, {"gain": float("inf")}),
        ("leaf-too-small", "damaged", "a LEAF shorter than its head", LEAF, {"raw": 55}),
        ("leaf-too-large", "damaged", "a LEAF of 89 bytes a Gaussian", LEAF, {"raw": 57 + 88 * 2}),
        ("sh-too-large", "damaged", "an SH chunk of 16 MiB for 2 leaves", SH, {"raw": 16 << 20}),
        ("fine-too-large", "damaged", "a FINE of 81 bytes a leaf", FINE, {"raw": 29 + 80 * 2}),
        (
            "basis-too-large",
            "damaged",
            "a BASIS of more than 64 bases of D rows",
            BASIS,
            {"raw": 7 + 2 * 64 * 144},
        ),
    ):
        parts = small_file()
        alter(parts, kind, **lies)
        yield name, error, problem, assemble(parts)


def _rules() -> Iterator[Case]:
    """Rows that contradict each other."""

    def arranged(change: Callable[[list[Row]], list[Row]]) -> bytes:
        """All rows in the root, rearranged."""
        parts = small_file()
        parts.pages = [change([row for page in parts.pages for row in page])]
        return assemble(parts)

    def place(rows: list[Row], kind: int, layer: int = 0) -> int:
        return next(i for i, row in enumerate(rows) if (row.kind, row.layer) == (kind, layer))

    def doubled(kind: int) -> Callable[[list[Row]], list[Row]]:
        return lambda rows: [
            *rows[: place(rows, kind)],
            replace(rows[place(rows, kind)], count=0) if kind == PROXY else rows[place(rows, kind)],
            *rows[place(rows, kind) :],
        ]

    def moved(kind: int, to: int, layer: int = 0) -> Callable[[list[Row]], list[Row]]:
        def change(rows: list[Row]) -> list[Row]:
            row = rows.pop(place(rows, kind, layer))
            rows.insert(to, row)
            return rows

        return change

    yield "twice-leaf", "damaged", "a cell has two LEAF", arranged(doubled(LEAF))
    yield "twice-proxy", "damaged", "a cell has two PROXY", arranged(lambda rows: [rows[0], *rows])
    yield "twice-fine", "damaged", "a cell has two FINE", arranged(doubled(FINE))
    yield "twice-basis", "damaged", "a file has two BASIS", arranged(doubled(BASIS))
    yield (
        "nine-sh",
        "limit",
        "a cell has nine SH",
        arranged(lambda rows: rows + [rows[place(rows, SH)]] * 8),
    )
    yield (
        "basis-in-cell",
        "damaged",
        "a BASIS in tile 1",
        arranged(
            lambda rows: [replace(r, layer=1, tile=1) if r.kind == BASIS else r for r in rows]
        ),
    )
    yield (
        "basis-count",
        "damaged",
        "a BASIS of 3 Gaussians",
        arranged(lambda rows: [replace(r, count=3) if r.kind == BASIS else r for r in rows]),
    )
    yield "apart", "damaged", "PROXY and LEAF of a cell apart", arranged(moved(PROXY, 3))
    parts = small_file()
    rows = [row for page in parts.pages for row in page]
    parts.pages = [rows[:1], rows[1:]]
    yield "apart-pages", "damaged", "PROXY and LEAF of a cell in two pages", assemble(parts)
    yield "child-first", "damaged", "a cell before its parent", arranged(moved(LEAF, 0, layer=1))
    yield "sh-first", "damaged", "SH before the LEAF", arranged(moved(SH, 1))
    yield "fine-first", "damaged", "FINE before the LEAF", arranged(moved(FINE, 1))
    yield "basis-late", "damaged", "the BASIS after an SH", arranged(moved(BASIS, 3))
    yield (
        "basis-none",
        "damaged",
        "SH without a BASIS",
        arranged(lambda rows: [row for row in rows if row.kind != BASIS]),
    )
    yield (
        "sh-count",
        "damaged",
        "SH for more leaves than there are",
        arranged(lambda rows: [replace(r, count=r.count + 1) if r.kind == SH else r for r in rows]),
    )
    yield (
        "fine-count",
        "damaged",
        "FINE for fewer leaves than there are",
        arranged(
            lambda rows: [
                replace(r, count=1) if (r.kind, r.layer) == (FINE, 0) else r for r in rows
            ]
        ),
    )
    parts = small_file()
    parts.pages = [[row for page in parts.pages for row in page if row.tile == 0]]
    left = sum(row.count for row in parts.pages[0] if (row.kind, row.layer) == (LEAF, 1))
    parts.root.update(count=2 + left, layers=layers([(0, 2, 1, 1.0), (1, left, 0, 1.0)]))
    yield "cell-none", "damaged", "a cell without a chunk", assemble(parts)
    parts = small_file()
    parts.root["layers"] = layers([(0, 1, 1, 1.0), (1, 4, 0, 1.0)])
    yield "leaves-many", "damaged", "a layer has more leaves than it says", assemble(parts)
    parts = small_file()
    parts.root.update(count=6, layers=layers([(0, 2, 1, 1.0), (1, 4, 0, 1.0)]))
    yield "leaves-few", "damaged", "a layer has fewer leaves than it says", assemble(parts)
    parts = small_file()
    parts.root["layers"] = layers([(0, 2, 0, 1.0), (1, 3, 0, 1.0)])
    yield "proxies-many", "damaged", "a layer has more proxies than it says", assemble(parts)
    parts = small_file()
    parts.root["layers"] = layers([(0, 2, 2, 1.0), (1, 3, 0, 1.0)])
    yield "proxies-few", "damaged", "a layer has fewer proxies than it says", assemble(parts)
