"""Decodes a file cell by cell, in memory for one cell and the index.

The chunk table determines what is drawn of each cell, so payloads are read in order of cells, each
once, and not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.drawing import DrawnPart
from exgs.codec.decoding.top_layers import TopLayers
from exgs.codec.format.cell_numbers import CellNumbers
from exgs.codec.format.container import ReadRange, read_chunk
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.rows import Cell, ChunkRef
from exgs.codec.payload.fine import unpack_fine
from exgs.codec.payload.geometry import unpack_geometry
from exgs.codec.payload.proxy_sh import unpack_proxies
from exgs.codec.payload.sh import ShBasis, unpack_basis, unpack_sh
from exgs.scene.gaussians import Gaussians


@dataclass(slots=True)
class _Rows:
    """The chunks of one cell that have arrived, as places in the table."""

    leaf: int = -1
    proxy: int = -1
    fine: int = -1
    sh: list[int] = field(default_factory=list)
    missing: bool = False  # chunks that it needs to be drawn are missing
    has_basis: bool = True


class Drawn(NamedTuple):
    """The drawn leaves or proxies of one cell."""

    cell: Cell
    gaussians: Gaussians
    is_proxy: bool


class CellReader:
    """Reads the first `end` bytes of a file, or its layers up to one of them.

    The whole table must be known. Chunks are verified as they are read.
    """

    def __init__(
        self,
        read: ReadRange,
        facts: SceneFacts,
        table: ChunkTable,
        end: int,
        max_layer: int | None = None,
    ) -> None:
        self._read = read
        self._facts = facts
        self._table = table
        self._basis_row = -1
        self._basis: ShBasis | None = None
        self._cells: dict[Cell, _Rows] = {}
        last = len(facts.layers) - 1 if max_layer is None else max_layer
        for rows in table.batches:
            joined = rows.is_joined
            arrived = (rows.offset + rows.packed_bytes <= end) & (rows.layer <= last)
            columns = (rows.kind, rows.layer, rows.tile, arrived, joined)
            listed = zip(*(column.tolist() for column in columns), strict=True)
            for place, (kind, layer, tile, here, is_joined) in enumerate(listed):
                if kind == ChunkKind.BASIS:
                    self._basis_row = rows.first_id + place if here else -1
                elif kind < ChunkKind.EXTRA:
                    self._enter((layer, tile), kind, rows.first_id + place, here, is_joined)
        if self._basis_row < 0:
            for cell in self._cells.values():
                cell.missing |= not cell.has_basis
        self._tops = TopLayers(facts)
        self._active: list[Cell] = []
        self._activate()

    def _enter(self, cell: Cell, kind: int, number: int, here: bool, joined: bool) -> None:
        known = self._cells.setdefault(cell, _Rows())
        if joined:
            known.has_basis = False  # it needs one
        if not here:
            known.missing |= joined or kind in (ChunkKind.LEAF, ChunkKind.PROXY)
        elif kind == ChunkKind.LEAF:
            known.leaf = number
        elif kind == ChunkKind.PROXY:
            known.proxy = number
        elif kind == ChunkKind.FINE:
            known.fine = number
        else:
            known.sh.append(number)

    def _activate(self) -> None:
        """Find the cells that are drawn, and the top layer of each finest tile."""
        numbers = CellNumbers(self._facts)
        active = np.zeros(numbers.count, bool)
        for layer, tile in sorted(self._cells):
            cell = self._cells[layer, tile]
            if cell.missing or (layer and not active[numbers.parent(layer, tile)]):
                continue
            active[numbers.starts[layer] + tile] = True
            self._active.append((layer, tile))
            self._tops.within(layer, tile)[:] = layer

    def drawn(self) -> Iterator[Drawn]:
        """The drawn Gaussians, cell by cell, leaves before proxies. Raises FormatError, OSError."""
        for layer, tile in self._active:
            cell = self._cells[layer, tile]
            tops = self._tops.of_children(layer, tile)
            if cell.leaf >= 0:
                part, counts = self._leaves(layer, cell)
                factors = self._tops.amplification(tops)
                if factors is not None:
                    part = replace(part, factors=np.repeat(factors, counts))
                if len(part):
                    yield Drawn((layer, tile), self._gaussians(part), False)
            if cell.proxy >= 0:
                part, counts = self._proxies(layer, cell)
                shown = np.flatnonzero(np.repeat(tops == layer, counts))
                if len(shown):
                    yield Drawn((layer, tile), self._gaussians(replace(part, shown=shown)), True)

    def count(self) -> int:
        """The number of Gaussians that `drawn` yields. Reads the proxies of cells that are split.

        Raises FormatError, OSError.
        """
        total = 0
        for layer, tile in self._active:
            cell = self._cells[layer, tile]
            if cell.leaf >= 0:
                total += self._table[cell.leaf].count
            if cell.proxy >= 0:
                shown = self._tops.of_children(layer, tile) == layer
                if shown.all():
                    total += self._table[cell.proxy].count
                elif shown.any():
                    _, counts = self._proxies(layer, cell)
                    total += int(counts[shown].sum())
        return total

    @property
    def has_sh(self) -> bool:
        """Whether any leaves are drawn with SH."""
        return self._basis_row >= 0 and any(self._cells[cell].sh for cell in self._active)

    def leaves(self, cell: Cell) -> Gaussians:
        """The leaves of a cell with all arrived chunks, whether it is drawn or not."""
        known = self._cells.get(cell, _Rows())
        if known.leaf < 0:
            return Gaussians.empty(self._facts.sh_degree)
        part, _ = self._leaves(cell[0], known)
        return self._gaussians(part)

    def leaf_cells(self) -> list[tuple[Cell, int]]:
        """The cells with leaves, in order, and their numbers of leaves."""
        return [
            (cell, self._table[known.leaf].count)
            for cell, known in sorted(self._cells.items())
            if known.leaf >= 0 and self._table[known.leaf].count
        ]

    def check(self, progress: Callable[[float], None] = lambda share: None) -> None:
        """Decode every chunk that has arrived. Raises FormatError at the first fault."""
        if self._basis_row >= 0:
            self._bases()
        for done, (layer, tile) in enumerate(sorted(self._cells)):
            progress(done / len(self._cells))
            cell = self._cells[layer, tile]
            if cell.leaf >= 0:
                self._leaves(layer, cell)
            if cell.proxy >= 0:
                self._proxies(layer, cell)

    def _gaussians(self, part: DrawnPart) -> Gaussians:
        return part.gaussians(self._facts.sh_degree if part.vectors is not None else 0)

    def _leaves(self, layer: int, cell: _Rows) -> tuple[DrawnPart, np.ndarray]:
        row = self._table[cell.leaf]
        leaves, counts = unpack_geometry(
            self._payload(row),
            child_count=self._facts.child_count(layer),
            count=row.count,
            section=row.section,
        )
        if cell.fine >= 0:
            fine = self._table[cell.fine]
            leaves = unpack_fine(self._payload(fine), leaves, section=fine.section)
        vectors = None
        if cell.sh and self._basis_row >= 0:
            basis = self._bases()
            for number in sorted(cell.sh, key=lambda row: self._table[row].offset):
                sh = self._table[number]
                found = unpack_sh(self._payload(sh), basis, count=sh.count, section=sh.section)
                vectors = found if vectors is None else vectors + found
        return DrawnPart(leaves, vectors=vectors), counts

    def _proxies(self, layer: int, cell: _Rows) -> tuple[DrawnPart, np.ndarray]:
        row = self._table[cell.proxy]
        proxies, counts, vectors = unpack_proxies(
            self._payload(row),
            child_count=self._facts.child_count(layer),
            count=row.count,
            sh_degree=self._facts.sh_degree,
            section=row.section,
        )
        return DrawnPart(proxies, vectors=vectors), counts

    def _bases(self) -> ShBasis:
        if self._basis is None:
            row = self._table[self._basis_row]
            self._basis = unpack_basis(
                self._payload(row), sh_degree=self._facts.sh_degree, section=row.section
            )
        return self._basis

    def _payload(self, row: ChunkRef) -> bytes:
        return read_chunk(self._read, row)
