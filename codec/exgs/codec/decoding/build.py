"""Builds the Gaussians to draw from chunks in any order (spec/format.md, section 8).

A cell is active when its LEAF, its PROXY and the SH joined to them have arrived and its parent is
active. The leaves of active cells are drawn. So are their proxies, except in children that are
active cells of the next layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.drawing import DrawnPart, Part, assemble
from exgs.codec.decoding.drawing import DrawnScene as DrawnScene
from exgs.codec.decoding.own_pages import own_copy, own_gaussians
from exgs.codec.decoding.top_layers import TopLayers
from exgs.codec.errors import DamagedError, FormatError
from exgs.codec.format.container import unpack_chunk
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.frame import Buffer, check_hash
from exgs.codec.format.index import ChunkTable, joined_sh
from exgs.codec.format.rows import Cell, ChunkRef
from exgs.codec.payload.fine import unpack_fine
from exgs.codec.payload.geometry import unpack_geometry
from exgs.codec.payload.proxy_sh import unpack_proxies
from exgs.codec.payload.sh import ShBasis, unpack_basis, unpack_sh
from exgs.scene.gaussians import FloatArray, Gaussians


def is_complete(drawn: DrawnScene, facts: SceneFacts) -> bool:
    """Whether all leaves of the file are drawn with all of their SH."""
    leaf_count = int(np.count_nonzero(~drawn.is_proxy))
    return leaf_count == facts.leaf_count and not drawn.sh_pending.any()


@dataclass(frozen=True, slots=True)
class Changes:
    """The parts whose drawing has changed."""

    added: frozenset[Part] = frozenset()
    replaced: frozenset[Part] = frozenset()  # other rows are drawn, or with another amplification
    refined: frozenset[Part] = frozenset()  # the same Gaussians with better values
    dropped: frozenset[Part] = frozenset()  # not drawn any more

    def __bool__(self) -> bool:
        return bool(self.added or self.replaced or self.refined or self.dropped)


@dataclass(slots=True)
class _Cell:
    """The content of one cell that has arrived, and its rows in the chunk table."""

    rows: set[int] = field(default_factory=set)  # chunk ids
    expected: set[ChunkKind] = field(default_factory=set)
    sh_expected: set[int] = field(default_factory=set)  # chunk ids
    sh_joined: set[int] = field(default_factory=set)  # SH that must arrive before the cell is drawn
    sh_applied: set[int] = field(default_factory=set)
    leaves: Gaussians | None = None
    leaf_counts: npt.NDArray[np.uint32] | None = None  # number of leaves in each child
    proxies: Gaussians | None = None
    proxy_counts: npt.NDArray[np.uint32] | None = None
    proxy_vectors: FloatArray | None = None  # [n, D] residual vectors of their SH
    is_fine: bool = False  # whether the FINE chunk has been applied to `leaves`
    sh_sum: FloatArray | None = None  # [n, D] residual vectors of the SH chunks so far
    waiting: dict[int, tuple[ChunkRef, bytes]] = field(default_factory=dict)  # SH, FINE; packed
    active: bool = False
    version: int = 0  # rises with each change of `leaves` or `sh_sum`; unique among cells

    def emptied(self) -> _Cell:
        """The same cell without any content."""
        return _Cell(self.rows, self.expected, self.sh_expected, self.sh_joined)


_Shown = tuple[int, bytes]  # version of a cell that is drawn, and the state of its children


class SceneBuilder:
    """Decodes chunks in any order and maintains the set of Gaussians to draw.

    It uses the known rows of the chunk table: those of `table`, which may grow while chunks arrive,
    or those passed to `learn`.
    """

    def __init__(self, facts: SceneFacts, table: ChunkTable | None = None) -> None:
        self.facts = facts
        self.version = 0  # rises whenever what is drawn changes
        self._table = table
        self._batches_seen = 0  # of the table
        self._cells: dict[Cell, _Cell] = {}
        self._received: set[int] = set()
        self._basis: ShBasis | None = None
        self._tops = TopLayers(facts)
        self._shown: dict[Part, _Shown] = {}  # as of the last `take_changes`
        self._dirty: set[Cell] = set()  # cells whose drawing may have changed
        self._drawn: tuple[int, DrawnScene] | None = None

    @property
    def layer(self) -> int:
        """The highest layer whose cells are all active; -1 if there is none."""
        return self._tops.lowest

    def has(self, chunk_id: int) -> bool:
        """Whether this chunk has been added."""
        return chunk_id in self._received

    def learn(self, rows: Iterable[ChunkRef]) -> None:
        """Add the rows of the root index or of a page of the chunk table."""
        rows = tuple(rows)
        for row in rows:
            if row.kind is ChunkKind.BASIS:
                continue
            cell = self._cells.setdefault((row.layer, row.tile), _Cell())
            cell.rows.add(row.id)
            cell.expected.add(row.kind)
            if row.kind is ChunkKind.SH:
                cell.sh_expected.add(row.id)
        for row in joined_sh(rows):
            self._cells[row.layer, row.tile].sh_joined.add(row.id)

    def add(self, chunk: ChunkRef, packed: Buffer, *, verified: bool = False) -> None:
        """Verify, decode and add one chunk. Adding it again has no effect.

        `verified` means that its hash has been checked. Raises FormatError for this chunk or one
        that waited for it; that chunk is then ignored.
        """
        if chunk.id in self._received:
            return
        self._learn_table()
        cell = self._cells.setdefault((chunk.layer, chunk.tile), _Cell())
        if not verified:
            check_hash(packed, chunk.hash, section=chunk.section, offset=chunk.offset)
        match chunk.kind:
            case ChunkKind.LEAF:
                _once(chunk, cell.leaves)
                leaves, cell.leaf_counts = self._geometry(chunk, packed)
                cell.leaves = own_gaussians(leaves)
            case ChunkKind.PROXY:
                _once(chunk, cell.proxies)
                proxies, cell.proxy_counts, vectors = self._proxies(chunk, packed)
                cell.proxies = own_gaussians(proxies)
                cell.proxy_vectors = None if vectors is None else own_copy(vectors)
            case ChunkKind.BASIS:
                _once(chunk, self._basis)
                self._basis = unpack_basis(
                    unpack_chunk(chunk, packed, verified=True),
                    sh_degree=self.facts.sh_degree,
                    section=chunk.section,
                )
            case ChunkKind.SH | ChunkKind.FINE:
                if not self._refine(cell, chunk, packed):
                    cell.waiting[chunk.id] = chunk, bytes(packed)
            case ChunkKind.EXTRA:
                pass
        self._received.add(chunk.id)
        basis_came = chunk.kind is ChunkKind.BASIS
        faults = []
        for place in sorted(self._cells) if basis_came else [(chunk.layer, chunk.tile)]:
            faults += self._refine_waiting(self._cells[place])
            self._activate(*place)
        if faults:
            raise faults[0]

    def drop(self, cells: Collection[Cell]) -> None:
        """Forget all chunks of these cells. Their tiles show the layer below until they come again.

        Descendants of a dropped cell are not drawn during that time.
        """
        for layer, tile in cells:
            self._deactivate(layer, tile)
            old = self._cells.get((layer, tile), _Cell())
            self._cells[layer, tile] = old.emptied()
            self._received -= old.rows
        self.version += 1

    def drawn(self) -> DrawnScene:
        """The Gaussians to draw now, sorted by layer and tile.

        Returns the same object until `version` rises.
        """
        if self._drawn is None or self._drawn[0] != self.version:
            parts = {
                part: self.part(part)
                for (layer, tile), cell in self._cells.items()
                if cell.active
                for part in (Part(layer, tile, False), Part(layer, tile, True))
                if self._how(part) is not None
            }
            self._drawn = (self.version, assemble(parts, self.facts.sh_degree))
        return self._drawn[1]

    def take_changes(self) -> Changes:
        """The parts that have changed since the last call. Takes time in proportion to them."""
        added: set[Part] = set()
        replaced: set[Part] = set()
        refined: set[Part] = set()
        dropped: set[Part] = set()
        for layer, tile in self._dirty:
            for part in (Part(layer, tile, False), Part(layer, tile, True)):
                before, now = self._shown.get(part), self._how(part)
                if now is None:
                    if before is not None:
                        dropped.add(part)
                        del self._shown[part]
                    continue
                if before is None:
                    added.add(part)
                elif before[1] != now[1]:
                    replaced.add(part)
                elif before[0] != now[0]:
                    refined.add(part)
                self._shown[part] = now
        self._dirty.clear()
        return Changes(
            frozenset(added), frozenset(replaced), frozenset(refined), frozenset(dropped)
        )

    def part(self, part: Part) -> DrawnPart:
        """The drawn content of a part. Raises KeyError if the part is not drawn."""
        cell = self._cells[part.layer, part.tile]
        tops = self._tops.of_children(part.layer, part.tile)
        if part.is_proxy:
            if cell.proxies is None or cell.proxy_counts is None:
                raise KeyError(part)
            shown = tops == part.layer
            rows = None if shown.all() else np.flatnonzero(np.repeat(shown, cell.proxy_counts))
            return DrawnPart(cell.proxies, vectors=cell.proxy_vectors, shown=rows)
        if cell.leaves is None or cell.leaf_counts is None:
            raise KeyError(part)
        factors = self._tops.amplification(tops)
        return DrawnPart(
            cell.leaves,
            sh_pending=not cell.sh_expected <= cell.sh_applied,
            vectors=cell.sh_sum,
            factors=None if factors is None else np.repeat(factors, cell.leaf_counts),
        )

    def _how(self, part: Part) -> _Shown | None:
        """The state in which a part is drawn now; None if it is not drawn."""
        cell = self._cells.get((part.layer, part.tile))
        if cell is None or not cell.active:
            return None
        tops = self._tops.of_children(part.layer, part.tile)
        if not part.is_proxy:
            factors = self._tops.amplification(tops)
            how = b"" if factors is None else factors.tobytes()
            return (cell.version, how) if cell.leaves is not None and len(cell.leaves) else None
        if cell.proxy_counts is None:
            return None
        shown = tops == part.layer
        return (cell.version, shown.tobytes()) if cell.proxy_counts[shown].any() else None

    def _learn_table(self) -> None:
        if self._table is not None:
            for rows in self._table.batches[self._batches_seen :]:
                self.learn(rows)
            self._batches_seen = len(self._table.batches)

    def _changed(self, layer: int, tile: int) -> None:
        """Mark a cell as changed, and its ancestors, whose drawing depends on it."""
        self.version += 1
        for below in range(layer, -1, -1):
            self._dirty.add((below, tile))
            tile >>= self.facts.child_shift(below - 1) if below else 0

    def _geometry(
        self, chunk: ChunkRef, packed: Buffer
    ) -> tuple[Gaussians, npt.NDArray[np.uint32]]:
        return unpack_geometry(
            unpack_chunk(chunk, packed, verified=True),
            child_count=self.facts.child_count(chunk.layer),
            count=chunk.count,
            section=chunk.section,
        )

    def _proxies(
        self, chunk: ChunkRef, packed: Buffer
    ) -> tuple[Gaussians, npt.NDArray[np.uint32], FloatArray | None]:
        return unpack_proxies(
            unpack_chunk(chunk, packed, verified=True),
            child_count=self.facts.child_count(chunk.layer),
            count=chunk.count,
            sh_degree=self.facts.sh_degree,
            section=chunk.section,
        )

    def _refine(self, cell: _Cell, chunk: ChunkRef, packed: Buffer) -> bool:
        """Apply a FINE or SH chunk. Returns False if the leaves or the basis have not arrived."""
        basis = self._basis
        if cell.leaves is None or (chunk.kind is ChunkKind.SH and basis is None):
            return False
        if chunk.count != len(cell.leaves):
            raise DamagedError(
                f"{chunk.count} rows for {len(cell.leaves)} leaves", section=chunk.section
            )
        payload = unpack_chunk(chunk, packed, verified=True)
        if chunk.kind is ChunkKind.FINE:
            _once(chunk, cell.is_fine or None)
            cell.leaves = own_gaussians(unpack_fine(payload, cell.leaves, section=chunk.section))
            cell.is_fine = True
        elif basis is not None:
            vectors = unpack_sh(payload, basis, count=chunk.count, section=chunk.section)
            cell.sh_sum = own_copy(vectors if cell.sh_sum is None else cell.sh_sum + vectors)
            cell.sh_applied.add(chunk.id)
        cell.version = self.version + 1
        if cell.active:
            self._changed(chunk.layer, chunk.tile)
        return True

    def _refine_waiting(self, cell: _Cell) -> list[FormatError]:
        """Apply chunks that arrived before the cell's leaves or the basis; return their errors."""
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
        """Activate this cell if possible, then its descendants."""
        pending = [(layer, tile)]
        while pending:
            layer, tile = pending.pop()
            cell = self._cells.get((layer, tile), _Cell())
            if cell.active or not self._ready(layer, tile, cell):
                continue
            cell.active = True
            self._cells[layer, tile] = cell
            self._tops.within(layer, tile)[:] = layer
            self._changed(layer, tile)
            pending += self._children(layer, tile)

    def _deactivate(self, layer: int, tile: int) -> None:
        """Deactivate this cell and its descendants."""
        pending = [(layer, tile)]
        while pending:
            above = pending.pop()
            cell = self._cells.get(above)
            if cell is not None and cell.active:
                cell.active = False
                self._changed(*above)
                pending += self._children(*above)
        tops = self._tops.within(layer, tile)
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
        if not cell.sh_joined <= cell.sh_applied:
            return False
        if layer == 0:
            return True
        below = self._cells.get((layer - 1, tile >> self.facts.child_shift(layer - 1)))
        return below is not None and below.active


def _once(chunk: ChunkRef, before: object | None) -> None:
    if before is not None:
        raise DamagedError(f"there is a {chunk.kind.name} already", section=chunk.section)
