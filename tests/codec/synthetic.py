"""Chunk tables of scenes of any size without their payloads: rows with lengths and random hashes.

Layers, tile levels and numbers of chunks are those that the encoder plans; lengths and gains vary
as they do in its files, and the order is that of gain per byte, as far as the rules allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_BASES, ChunkKind
from exgs.codec.encoding.layer_plan import plan_layers
from exgs.codec.format.facts import Layer, QualityPoint, SceneFacts
from exgs.codec.format.rows import Box

Floats = npt.NDArray[np.float64]

_GAUSSIAN_BYTES = {
    ChunkKind.LEAF: 7.0,
    ChunkKind.PROXY: 7.0,
    ChunkKind.SH: 2.5,
    ChunkKind.FINE: 4.0,
}
_BASIS_BYTES = 1500  # of each basis
_KINDS = (ChunkKind.PROXY, ChunkKind.LEAF, ChunkKind.SH, ChunkKind.SH, ChunkKind.FINE)


@dataclass(frozen=True, slots=True)
class Listed:
    """What the index says of a chunk."""

    kind: ChunkKind
    layer: int
    tile: int
    count: int
    gain: float
    raw_bytes: int
    packed_bytes: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A scene whose index can be packed."""

    facts: SceneFacts
    chunks: list[Listed]
    boxes: list[npt.NDArray[np.float32]]  # by level [2^level, 2, 3]

    def box_of(self, level: int, tile: int) -> Box:
        low, high = self.boxes[level][tile].tolist()
        return Box(tuple(low), tuple(high))


def synthetic(count: int, seed: int = 0) -> Synthetic:
    """The table of a scene of `count` Gaussians, with SH."""
    rng = np.random.default_rng(seed)
    plan = plan_layers(count)
    columns = _rows(plan, rng)
    keys = columns["part"], columns["tile"], columns["layer"], -columns["score"]
    order = np.lexsort(keys)
    hashes = rng.bytes(16 * (len(order) + 1))
    rows = zip(*(columns[name][order].tolist() for name in _COLUMNS), strict=True)
    chunks: list[Listed] = []
    basis = Listed(
        ChunkKind.BASIS, 0, 0, 0, 0.0, 6 + MAX_BASES * 4608, MAX_BASES * _BASIS_BYTES, hashes[-16:]
    )
    for number, (part, layer, tile, members, gain, raw, packed) in enumerate(rows):
        kind = _KINDS[part]
        if kind is ChunkKind.SH and basis is not None:
            chunks.append(basis)
            basis = None
        digest = hashes[16 * number : 16 * number + 16]
        chunks.append(Listed(kind, layer, tile, members, gain, raw, packed, digest))
    facts = SceneFacts(
        name="a scene of many Gaussians",
        credit="nobody",
        license="CC0-1.0",
        encoder="by hand",
        leaf_count=count,
        sh_degree=3,
        up=(0.01, -0.99, 0.02),
        layers=tuple(Layer(p.tile_level, p.leaves, p.proxies, p.amplification) for p in plan),
        quality=tuple(
            QualityPoint(int(10**k), 14 + k + rng.random(), 0.5 + rng.random() / 3)
            for k in np.linspace(4, 9, 14)
        ),
    )
    return Synthetic(facts, chunks, _boxes(plan[-1].tile_level, rng))


_COLUMNS = ("part", "layer", "tile", "count", "gain", "raw", "packed")


def _rows(plan: list[Any], rng: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    """All chunks but the BASIS, by layer, part and tile."""
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("score", *_COLUMNS)}
    parent = np.array([np.inf])
    sent = 0.0
    for number, layer in enumerate(plan):
        cells = 1 << layer.tile_level
        # The gain decreases with the bytes sent before, and differs between cells.
        gain = 1e4 / (1 + sent) ** 1.2 * np.exp(rng.normal(0, 1, cells))
        cell = np.minimum(gain, np.repeat(parent, cells // len(parent)))
        parent = cell
        of_leaves = (
            (1, cell),
            (2, cell),
            (3, cell * rng.uniform(0.1, 0.6, cells)),
            (4, cell * rng.uniform(0.05, 0.5, cells)),
        )
        below = plan[min(number + 1, len(plan) - 1)].tile_level
        heads = {0: 48 + (4 << below - layer.tile_level), 2: 8, 3: 8, 4: 28}
        in_cells = {0: _divided(layer.proxies, cells, rng), 1: _divided(layer.leaves, cells, rng)}
        for part, score in ((0, cell), *(of_leaves if layer.leaves else ())):
            counts = in_cells[min(part, 1)]
            if not counts.any():
                continue
            size = _GAUSSIAN_BYTES[_KINDS[part]] * rng.uniform(0.8, 1.2, cells)
            packed = (50 + counts * size).astype(np.int64)
            parts["score"].append(score)
            parts["part"].append(np.full(cells, part))
            parts["layer"].append(np.full(cells, number))
            parts["tile"].append(np.arange(cells))
            parts["count"].append(counts)
            parts["gain"].append(score * packed)
            parts["raw"].append(heads.get(part, heads[0]) + counts * rng.integers(9, 15, cells))
            parts["packed"].append(packed)
            sent += float(packed.sum()) / 1e5
    return {name: np.concatenate(values) for name, values in parts.items()}


def _divided(members: int, cells: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """So many Gaussians in so many cells, about equally."""
    weights = np.exp(rng.normal(0, 0.2, cells))
    edges = np.rint(np.cumsum([0, *weights]) / weights.sum() * members).astype(np.int64)
    return np.diff(edges)


def _boxes(level: int, rng: np.random.Generator) -> list[npt.NDArray[np.float32]]:
    """Boxes of all tiles: the longest side of each is cut near its middle."""
    boxes: list[Floats] = [np.array([[[-20.0, -3.0, -14.0], [23.0, 6.0, 17.0]]])]
    for _ in range(level):
        low, high = boxes[-1][:, 0], boxes[-1][:, 1]
        axis = (high - low).argmax(axis=1)
        rows = np.arange(len(axis))
        share = rng.uniform(0.4, 0.6, len(axis))
        cut = low[rows, axis] + share * (high - low)[rows, axis]
        halves = np.repeat(boxes[-1], 2, axis=0)
        halves[2 * rows, 1, axis] = cut
        halves[2 * rows + 1, 0, axis] = cut
        boxes.append(halves)
    shrunk = []
    for corners in boxes:
        size = corners[:, 1] - corners[:, 0]
        gap = rng.uniform(0, 0.1, (2, *size.shape)) * size
        shrunk.append(np.stack([corners[:, 0] + gap[0], corners[:, 1] - gap[1]], axis=1))
    # Twelve bits of the mantissa, as the encoder rounds them.
    return [(c.astype(np.float32).view(np.uint32) & 0xFFFFF800).view(np.float32) for c in shrunk]
