"""A second decoder, written from spec/format.md alone: slow, plain, and nothing of exgs in it.

`read` gives the Gaussians that a prefix of a file draws, one at a time, in float64. Section numbers
are those of the spec.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.codec.reference_index import BASIS, EXTRA, FINE, LEAF, PROXY, SH, Index, Page, Row
from tests.codec.reference_payloads import (
    Fault,
    Splat,
    apply_fine,
    apply_sh,
    basis_rows,
    digest,
    geometry,
    need,
    unpack,
)

__all__ = ["Fault", "Splat", "arrays", "read"]

Place = tuple[int, int]  # layer, tile


@dataclass
class Cell:
    """What the rows say of one cell, and what has come of it."""

    rows: list[Row] = field(default_factory=list)
    groups: dict[int, list[list[Splat]]] = field(default_factory=dict)  # kind -> by child
    arrived: set[int] = field(default_factory=set)  # SH rows

    def of(self, *kinds: int) -> list[Row]:
        return [row for row in self.rows if row.kind in kinds]

    @property
    def here(self) -> bool:
        """Whether all that the cell is drawn with is here, section 8."""
        kinds = {row.kind for row in self.of(LEAF, PROXY)}
        joined = {row.number for row in self.of(SH) if row.is_joined}
        return bool(kinds) and kinds == self.groups.keys() and joined <= self.arrived


class Reader:
    """A file as far as it is here."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.index = Index(data)
        self.layers = self.index.layers
        self.cells: dict[Place, Cell] = {}
        self.basis_row: Row | None = None
        self.basis: list[list[list[float]]] | None = None
        self.listed = 0
        self.sums = [[0, 0] for _ in self.layers]
        self.free = 0  # Gaussians beyond a byte each

    def parent(self, place: Place) -> Place:
        layer, tile = place
        return layer - 1, tile >> self.layers[layer]["level"] - self.layers[layer - 1]["level"]

    def children(self, place: Place) -> list[Place]:
        """Section 1."""
        layer, tile = place
        if layer + 1 == len(self.layers):
            return []
        count = self.index.child_count(layer)
        return [(layer + 1, number) for number in range(tile * count, (tile + 1) * count)]

    def check_rows(self, rows: list[Row]) -> None:
        """The rules of section 6, for the rows of one table; those in front are known."""
        for row in rows:
            if row.kind >= EXTRA:
                continue
            if row.kind == BASIS:
                need(self.basis_row is None, "two BASIS")
                need((row.layer, row.tile, row.count) == (0, 0, 0), "BASIS in a cell")
                self.basis_row = row
                continue
            place = row.layer, row.tile
            cell = self.cells.setdefault(place, Cell())
            geometries = cell.of(LEAF, PROXY)
            if row.kind in (LEAF, PROXY):
                need(all(other.kind != row.kind for other in geometries), "twice")
                for other in geometries:
                    need(other.table == row.table and other.number + 1 == row.number, "apart")
                if row.layer and not geometries:
                    parent = self.cells.get(self.parent(place), Cell())
                    in_front = [r for r in parent.of(LEAF, PROXY) if r.offset < row.offset]
                    need(bool(in_front), "no parent")
                limits = self.layers[row.layer]["leaves"], self.layers[row.layer]["proxies"]
                self.sums[row.layer][row.kind] += row.count
                need(self.sums[row.layer][row.kind] <= limits[row.kind], "too many")
                self.free += max(row.count - row.packed, 0)
                need(self.free <= 1 << 12, "Gaussians", "limit")
            else:
                leaves = [r for r in cell.of(LEAF) if r.offset < row.offset]
                need(bool(leaves), "no leaves")
                need(leaves[0].count == row.count, "count")
                if row.kind == FINE:
                    need(not cell.of(FINE), "two FINE")
                else:
                    basis = self.basis_row
                    need(basis is not None and basis.offset < row.offset, "no BASIS")
                    need(len(cell.of(SH)) < 8, "SH chunks", "limit")
            cell.rows.append(row)
        self.listed += len(rows)
        if self.listed == self.index.total:
            for sums, layer in zip(self.sums, self.layers, strict=True):
                need(sums == [layer["leaves"], layer["proxies"]], "sums")
            cells = sum(1 << layer["level"] for layer in self.layers)
            need(sum(bool(cell.of(LEAF, PROXY)) for cell in self.cells.values()) == cells, "cells")

    def read_all(self, missing: Collection[int]) -> None:
        """What is whole, in file order, but for the chunks of these numbers."""
        index = self.index
        need(len(self.data) <= index.file_bytes, "behind the end")
        self.check_rows(index.root_rows)
        if len(self.data) >= index.poster_end:
            index.check_poster()
        rows = list(index.root_rows)
        for group in index.groups:
            here: list[Row] = []
            for page in group:
                if page.end <= len(self.data):
                    own = index.read_page(page)
                    self.check_rows(own)
                    here += own
            if all(page.end <= len(self.data) for page in group):
                self.check_area(group, here)
            rows += here
        for row in sorted(rows, key=lambda row: row.offset):
            if row.offset + row.packed <= len(self.data) and row.number not in missing:
                self.read_chunk(row)

    def check_area(self, group: list[Page], rows: list[Row]) -> None:
        """Section 6: no holes and no overlap."""
        position = group[0].area
        for row in sorted(rows, key=lambda row: row.offset):
            need(row.offset == position, "area")
            position += row.packed

    def read_chunk(self, row: Row) -> None:
        packed = self.data[row.offset : row.offset + row.packed]
        if row.kind >= EXTRA:
            need(digest(packed) == row.hash, "hash")
            return
        payload = unpack(packed, row.raw, row.hash)
        cell = self.cells.get((row.layer, row.tile), Cell())
        kind = row.kind
        if kind in (LEAF, PROXY):
            children = self.index.child_count(row.layer)
            cell.groups[kind] = geometry(
                payload, row.count, children, self.index.size, is_proxy=kind == PROXY
            )
        elif kind == BASIS:
            self.basis = basis_rows(payload, self.index.size)
        elif LEAF in cell.groups:
            leaves = [splat for group in cell.groups[LEAF] for splat in group]
            if kind == FINE:
                apply_fine(payload, leaves)
            elif self.basis is not None:
                apply_sh(payload, self.basis, self.index.size, leaves)
                cell.arrived.add(row.number)

    def draw(self) -> list[Splat]:
        """Section 8."""
        active: set[Place] = set()
        for place in sorted(self.cells):
            if self.cells[place].here and (place[0] == 0 or self.parent(place) in active):
                active.add(place)
        drawn = []
        for place in sorted(active):
            for kind, groups in sorted(self.cells[place].groups.items()):
                children = self.children(place) or [place]
                for child, group in zip(children, groups, strict=True):
                    if kind == PROXY and child != place and child in active:
                        continue
                    factor = 1.0
                    if kind == LEAF:
                        factor = self.layers[self.top_layer(place, child, active)]["amplification"]
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

    def top_layer(self, place: Place, child: Place, active: set[Place]) -> int:
        """The highest layer of which all cells are active that the child's tile covers."""
        top, _ = place
        while child != place and top + 1 < len(self.layers):
            shift = self.layers[top + 1]["level"] - self.layers[child[0]]["level"]
            tiles = range(child[1] << shift, (child[1] + 1) << shift)
            if not all((top + 1, tile) in active for tile in tiles):
                break
            top += 1
        return top


def read(data: bytes, missing: Collection[int] = ()) -> list[Splat]:
    """The Gaussians that `data`, a file or its first bytes, draws; raises Fault.

    The chunks numbered in `missing` are taken for not here.
    """
    reader = Reader(data)
    reader.read_all(missing)
    return reader.draw()


def arrays(splats: list[Splat]) -> dict[str, np.ndarray[Any, Any]]:
    """The same as arrays, in the order in which they are drawn."""
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
