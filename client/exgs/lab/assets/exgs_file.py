"""An .exgs file as items: units of `exgs.wire.plan` with boxes, gains and dependencies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.format.container import FileHead, open_table
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.index import ChunkTable
from exgs.lab.assets.asset import Asset, Drawing, Longs, unlocks_of
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.wire.layer_zero import read_sketch
from exgs.wire.plan import PartPlan
from exgs.wire.units import Unit
from exgs.wire.visibility import BoxWeights

_MOST_TILE_LEVEL = 6  # the fast quality model has at most 64 tiles


class ExgsFile:
    """A file in memory, with its complete chunk table."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        head, table = open_table(self._read)
        self.head: FileHead = head
        self.table: ChunkTable = table
        self.plan = PartPlan(head, table)
        self.plan.screen.sketch = read_sketch(head, self._read)
        starts = [table[unit.chunks[0]].offset for unit in self.plan.units]
        self.unit_of = np.argsort(starts, kind="stable")  # item -> unit
        self.item_of = np.argsort(self.unit_of)  # unit -> item
        self._share = self.plan.arrays.share[self.unit_of]  # powers of two
        self.antialiased = head.root.facts.antialiased

    def open(self) -> Drawing:
        """A drawing without items."""
        return _Drawing(self)

    def owners(self) -> tuple[Gaussians, Longs]:
        """The whole scene, and the tile of each Gaussian."""
        facts = self.head.root.facts
        builder = SceneBuilder(facts, self.table)
        for chunk in self.table.values():
            builder.add(chunk, self.packed(chunk.id), verified=True)
        level = _tile_level(facts)
        tiles = []
        for part in sorted(builder.take_changes().added):
            shift = facts.layers[part.layer].tile_level - level
            tiles.append(np.full(len(builder.part(part)), part.tile >> shift, np.int64))
        return builder.drawn().gaussians, np.concatenate(tiles)

    def weigh(self, camera: Camera) -> BoxWeights:
        """What a view shows of the items, as the scheduler weighs them."""
        shown, around = self.plan.weights(self.unit_of, self.plan.sight(camera))
        share = self._share
        return BoxWeights(shown / share, around / share)

    def packed(self, chunk: int) -> bytes:
        """The bytes of a chunk."""
        ref = self.table[chunk]
        return self.data[ref.offset : ref.end]

    def _read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


class _Drawing:
    def __init__(self, file: ExgsFile) -> None:
        self._file = file
        self._builder = SceneBuilder(file.head.root.facts, file.table)

    def add(self, item: int) -> None:
        for chunk in self._file.plan.units[self._file.unit_of[item]].chunks:
            self._builder.add(self._file.table[chunk], self._file.packed(chunk), verified=True)

    def gaussians(self) -> Gaussians:
        return self._builder.drawn().gaussians


def exgs_asset(path: Path) -> Asset:
    """The items of an .exgs file. Raises FormatError, OSError."""
    file = ExgsFile(path)
    plan, head = file.plan, file.head
    arrays, order = plan.arrays, file.unit_of
    units = [plan.units[number] for number in order]
    needs = np.array([-1 if u.needs is None else file.item_of[u.needs] for u in units], np.int64)
    is_sh = np.array([u.kind is ChunkKind.SH or _has_sh(file, u.chunks) for u in units])
    basis = -1 if plan.basis is None else int(file.item_of[plan.basis])
    pages = [plan.page_of(unit.chunks[0]) for unit in units]
    return Asset(
        name=path.stem,
        key=head.scene_hash.hex(),
        item_bytes=arrays.packed_bytes[order],
        low=arrays.low[order],
        high=arrays.high[order],
        share=arrays.share[order],
        gain=arrays.gain[order],
        layer=np.array([unit.layer for unit in units], np.int64),
        needs=needs,
        is_setup=arrays.is_basis[order],
        calls_for=np.where(is_sh & ~arrays.is_basis[order], basis, -1).astype(np.int64),
        lead=np.array([-1 if page is None else page.id - 1 for page in pages], np.int64),
        lead_bytes=np.array([page.packed_bytes for page in plan.pages], np.int64),
        requests=np.ones(len(units), np.int64),
        head_bytes=head.header.poster_end,
        progress_of=_progress(plan, units),
        is_level=False,
        source=file,
        unlocks=unlocks_of(needs),
        weigh=file.weigh,
    )


def _has_sh(file: ExgsFile, chunks: list[int]) -> bool:
    return any(file.table[chunk].kind is ChunkKind.SH for chunk in chunks)


def _tile_level(facts: SceneFacts) -> int:
    """The tile level of the fast quality model: that of the first layer with leaves, at most 6."""
    of_leaves = [layer.tile_level for layer in facts.layers if layer.leaf_count]
    return min(*of_leaves, _MOST_TILE_LEVEL)


def _progress(plan: PartPlan, units: list[Unit]) -> npt.NDArray[np.float32]:
    """Gains by tile [I, T]: the gain of a larger item is divided equally among its tiles."""
    facts = plan.facts
    level = _tile_level(facts)
    made = np.zeros((len(units), 1 << level), np.float32)
    for number, unit in enumerate(units):
        if unit.kind in (ChunkKind.BASIS, ChunkKind.EXTRA):
            continue
        shift = level - facts.layers[unit.layer].tile_level
        gain = max(unit.gain, 1e-12)
        if shift >= 0:
            made[number, unit.tile << shift : (unit.tile + 1) << shift] = gain / (1 << shift)
        else:
            made[number, unit.tile >> -shift] = gain
    return made
