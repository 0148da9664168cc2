"""The growing scene: chunks in, the Gaussians to draw out.

The rules of spec/format.md, section 8: a cell is active when its LEAF and PROXY chunks and the SH
joined to them are here and its parent is active. Drawn are the leaves of active cells, and their
proxies except in children that are active cells of the next layer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.errors import DamagedError, FormatError
from exgs.codec.format.container import unpack_chunk
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.frame import Buffer, check_hash
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.rows import ChunkRef
from exgs.codec.payload.fine import unpack_fine
from exgs.codec.payload.geometry import unpack_geometry
from exgs.codec.payload.sh import ShBasis, unpack_basis, unpack_sh, with_vectors
from exgs.scene.gaussians import FloatArray, Gaussians

Cell = tuple[int, int]  # (layer, tile)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class DrawnScene:
    """What the chunks received so far give to draw."""

    gaussians: Gaussians
    is_proxy: npt.NDArray[np.bool_]  # [N] merged Gaussian, stands for what has not come yet
    sh_pending: npt.NDArray[np.bool_]  # [N] leaf whose view dependence has not all come yet


def is_complete(drawn: DrawnScene, facts: SceneFacts) -> bool:
    """Whether every Gaussian of the file is drawn with all its detail."""
    leaf_count = int(np.count_nonzero(~drawn.is_proxy))
    return leaf_count == facts.leaf_count and not drawn.sh_pending.any()


@dataclass(slots=True)
class _Cell:
    """What has arrived of one cell, and what the chunk table says belongs to it."""

    expected: set[ChunkKind] = field(default_factory=set)
    sh_expected: set[int] = field(default_factory=set)  # chunk ids
    sh_applied: set[int] = field(default_factory=set)
    leaves: Gaussians | None = None
    leaf_counts: npt.NDArray[np.uint32] | None = None  # leaves in each child
    proxies: Gaussians | None = None
    proxy_counts: npt.NDArray[np.uint32] | None = None
    is_fine: bool = False  # the FINE chunk is in `leaves`
    sh_sum: FloatArray | None = None  # [n, D] residual vectors of the SH chunks so far
    waiting: dict[int, tuple[ChunkRef, bytes]] = field(default_factory=dict)  # SH, FINE; packed
    active: bool = False


class SceneBuilder:
    """Decodes chunks in any order and keeps the set of Gaussians to draw.

    The chunk table may still grow while chunks come (pages): a cell is judged by the rows that
    are known, and the file order puts a cell's rows in one page or in pages before its chunks.
    """

    def __init__(self, facts: SceneFacts, table: ChunkTable) -> None:
        self.facts = facts
        self.version = 0  # rises whenever what is drawn changes
        self._table = table
        self._rows_seen = 0
        self._cells: dict[Cell, _Cell] = {}
        self._received: set[int] = set()
        self._basis: ShBasis | None = None
        self._top = np.full(
            1 << facts.tile_level, -1, np.int8
        )  # highest active layer per finest tile
        self._drawn: tuple[int, DrawnScene] | None = None

    @property
    def layer(self) -> int:
        """The highest layer whose cells are all active, -1 before the first."""
        return int(self._top.min())

    def has(self, chunk_id: int) -> bool:
        """Whether this chunk has been added."""
        return chunk_id in self._received

    def add(self, chunk: ChunkRef, packed: Buffer) -> None:
        """Verify, decode and enter one chunk; adding it again is harmless.

        Raises FormatError for this chunk or one that waited for it, which is then left out.
        """
        if chunk.id in self._received:
            return
        self._learn_rows()
        cell = self._cells.setdefault((chunk.layer, chunk.tile), _Cell())
        match chunk.kind:
            case ChunkKind.LEAF:
                _once(chunk, cell.leaves)
                cell.leaves, cell.leaf_counts = self._geometry(chunk, packed)
            case ChunkKind.PROXY:
                _once(chunk, cell.proxies)
                cell.proxies, cell.proxy_counts = self._geometry(chunk, packed)
            case ChunkKind.BASIS:
                _once(chunk, self._basis)
                self._basis = unpack_basis(
                    unpack_chunk(chunk, packed),
                    sh_degree=self.facts.sh_degree,
                    section=chunk.section,
                )
            case ChunkKind.SH | ChunkKind.FINE:
                if not self._refine(cell, chunk, packed):
                    check_hash(packed, chunk.hash, section=chunk.section, offset=chunk.offset)
                    cell.waiting[chunk.id] = chunk, bytes(packed)
            case ChunkKind.EXTRA:
                check_hash(packed, chunk.hash, section=chunk.section, offset=chunk.offset)
        self._received.add(chunk.id)
        basis_came = chunk.kind is ChunkKind.BASIS
        faults = []
        for place in sorted(self._cells) if basis_came else [(chunk.layer, chunk.tile)]:
            faults += self._refine_waiting(self._cells[place])
            self._activate(*place)
        if faults:
            raise faults[0]

    def drop(self, cells: Collection[Cell]) -> None:
        """Forget all chunks of these cells; their tiles show the layer below until they come again.

        Cells above a dropped one are not shown meanwhile, dropped or not.
        """
        for layer, tile in cells:
            self._deactivate(layer, tile)
            old = self._cells.get((layer, tile), _Cell())
            self._cells[layer, tile] = _Cell(old.expected, old.sh_expected)
        self._received -= {
            row.id
            for row in self._table.values()
            if (row.layer, row.tile) in cells and row.kind is not ChunkKind.BASIS
        }
        self.version += 1

    def drawn(self) -> DrawnScene:
        """The Gaussians to draw now; the same object until `version` rises."""
        if self._drawn is None or self._drawn[0] != self.version:
            self._drawn = (self.version, self._assemble())
        return self._drawn[1]

    def _learn_rows(self) -> None:
        if len(self._table) == self._rows_seen:
            return
        self._rows_seen = len(self._table)
        for row in self._table.values():
            if row.kind is ChunkKind.BASIS:
                continue
            cell = self._cells.setdefault((row.layer, row.tile), _Cell())
            cell.expected.add(row.kind)
            if row.kind is ChunkKind.SH:
                cell.sh_expected.add(row.id)

    def _geometry(
        self, chunk: ChunkRef, packed: Buffer
    ) -> tuple[Gaussians, npt.NDArray[np.uint32]]:
        return unpack_geometry(
            unpack_chunk(chunk, packed),
            child_count=self.facts.child_count(chunk.layer),
            count=chunk.count,
            section=chunk.section,
        )

    def _refine(self, cell: _Cell, chunk: ChunkRef, packed: Buffer) -> bool:
        """Apply a FINE or SH chunk; False where the leaves or the basis have not come yet."""
        basis = self._basis
        if cell.leaves is None or (chunk.kind is ChunkKind.SH and basis is None):
            return False
        if chunk.count != len(cell.leaves):
            raise DamagedError(
                f"{chunk.count} rows for {len(cell.leaves)} leaves", section=chunk.section
            )
        payload = unpack_chunk(chunk, packed)
        if chunk.kind is ChunkKind.FINE:
            _once(chunk, cell.is_fine or None)
            cell.leaves = unpack_fine(payload, cell.leaves, section=chunk.section)
            cell.is_fine = True
        elif basis is not None:
            vectors = unpack_sh(payload, basis, count=chunk.count, section=chunk.section)
            cell.sh_sum = vectors if cell.sh_sum is None else cell.sh_sum + vectors
            cell.sh_applied.add(chunk.id)
        self.version += cell.active
        return True

    def _refine_waiting(self, cell: _Cell) -> list[FormatError]:
        """Apply what came before the cell's leaves or the basis; returns the faults in it."""
        faults = []
        for chunk, packed in list(cell.waiting.values()):
            try:
                if self._refine(cell, chunk, packed):
                    del cell.waiting[chunk.id]
            except FormatError as fault:
                del cell.waiting[chunk.id]
                self._received.discard(chunk.id)
                faults.append(fault)
        return faults

    def _activate(self, layer: int, tile: int) -> None:
        """Activate this cell if it can be, then those that waited for it."""
        pending = [(layer, tile)]
        while pending:
            layer, tile = pending.pop()
            cell = self._cells.get((layer, tile), _Cell())
            if cell.active or not self._ready(layer, tile, cell):
                continue
            cell.active = True
            self._cells[layer, tile] = cell
            self._fine_tops(layer, tile)[:] = layer
            self.version += 1
            pending += self._children(layer, tile)

    def _deactivate(self, layer: int, tile: int) -> None:
        """Show the layer below in this cell's tile instead."""
        pending = [(layer, tile)]
        while pending:
            above = pending.pop()
            cell = self._cells.get(above)
            if cell is not None and cell.active:
                cell.active = False
                pending += self._children(*above)
        tops = self._fine_tops(layer, tile)
        np.minimum(tops, layer - 1, out=tops)

    def _children(self, layer: int, tile: int) -> list[Cell]:
        if layer + 1 == len(self.facts.layers):
            return []
        step = self.facts.child_shift(layer)
        return [(layer + 1, child) for child in range(tile << step, (tile + 1) << step)]

    def _ready(self, layer: int, tile: int, cell: _Cell) -> bool:
        if ChunkKind.LEAF in cell.expected and cell.leaves is None:
            return False
        if ChunkKind.PROXY in cell.expected and cell.proxies is None:
            return False
        if cell.leaves is None and cell.proxies is None:
            return False
        if not cell.sh_expected & self._table.joined_sh <= cell.sh_applied:
            return False
        if layer == 0:
            return True
        below = self._cells.get((layer - 1, tile >> self.facts.child_shift(layer - 1)))
        return below is not None and below.active

    def _fine_tops(self, layer: int, tile: int) -> npt.NDArray[np.int8]:
        """The highest active layers of the finest tiles in a cell; writable."""
        span = 1 << (self.facts.tile_level - self.facts.layers[layer].tile_level)
        return self._top[tile * span : (tile + 1) * span]

    def _assemble(self) -> DrawnScene:
        parts = [Gaussians.empty()]
        proxy_flags = [np.zeros(0, bool)]
        pending_flags = [np.zeros(0, bool)]

        def enter(part: Gaussians, *, proxy: bool, pending: bool) -> None:
            parts.append(part)
            proxy_flags.append(np.full(len(part), proxy))
            pending_flags.append(np.full(len(part), pending))

        layers = self.facts.layers
        factors = np.array([layer.amplification for layer in layers], np.float32)
        for (layer, tile), cell in sorted(self._cells.items()):
            if not cell.active:
                continue
            top = (
                self._fine_tops(layer, tile).reshape(self.facts.child_count(layer), -1).min(axis=1)
            )
            if cell.leaves is not None and cell.leaf_counts is not None:
                leaves = cell.leaves
                if cell.sh_sum is not None:
                    leaves = with_vectors(leaves, cell.sh_sum)
                if (factors[top] != 1).any():
                    factor = np.repeat(factors[top], cell.leaf_counts)[:, None]
                    leaves = replace(leaves, scales=leaves.scales * factor)
                pending = not cell.sh_expected <= cell.sh_applied
                enter(leaves, proxy=False, pending=pending)
            if cell.proxies is not None and cell.proxy_counts is not None:
                keep = np.repeat(top == layer, cell.proxy_counts)
                enter(cell.proxies.select(keep), proxy=True, pending=False)
        return DrawnScene(
            Gaussians.concatenate(parts),
            np.concatenate(proxy_flags),
            np.concatenate(pending_flags),
        )


def _once(chunk: ChunkRef, before: object | None) -> None:
    if before is not None:
        raise DamagedError(f"there is a {chunk.kind.name} already", section=chunk.section)
