"""A small .exgs file for tests of the client, put together without the encoder.

A coloured box seen from inside its front: three layers of 1, 2 and 4 tiles, proxies in the first
two, degree-1 SH at the end.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exgs.codec.constants import ChunkKind
from exgs.codec.format.container import PackedChunk, build_file
from exgs.codec.format.facts import HomeView, Layer, QualityPoint, SceneFacts
from exgs.codec.format.frame import content_hash, pack_frame
from exgs.codec.format.rows import Box
from exgs.codec.payload.geometry import GeometrySteps, pack_geometry
from exgs.codec.payload.scale_levels import SizeSteps
from exgs.codec.payload.sh import ShBasis, pack_basis, pack_sh
from exgs.scene.gaussians import Gaussians

LEVELS = (0, 1, 2)
SH_STEP = 0.02
_SHARES = (0.1, 0.3, 0.6)
_STEPS = GeometrySteps(0.002, SizeSteps(0.05), 10, 8, 0.02, 0.02)


def box_scene(count: int = 3000, seed: int = 0) -> Gaussians:
    """Gaussians on the walls of a box of 4 x 3 x 4 around the origin, each wall of its colour."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(-1, 1, (count, 3))
    wall = rng.integers(0, 5, count)  # no wall at -z: the camera looks in from there
    axis = np.array([0, 0, 1, 1, 2])[wall]
    means[np.arange(count), axis] = np.array([-1, 1, -1, 1, 1])[wall]
    means *= [2.0, 1.5, 2.0]
    hues = np.array([[2, 0, 0], [0, 2, 0], [0, 0, 2], [2, 2, 0], [1, 1, 1]])[wall]
    quats = rng.normal(size=(count, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    size = 1.5 * np.sqrt(50 / count)
    return Gaussians(
        means.astype(np.float32),
        quats.astype(np.float32),
        rng.uniform(0.3 * size, size, (count, 3)).astype(np.float32),
        rng.uniform(0.5, 1, count).astype(np.float32),
        (hues * rng.uniform(-1, 1, (count, 1))).astype(np.float32),
        rng.normal(0, 0.1, (count, 3, 3)).astype(np.float32),
    )


def write_box(
    path: Path,
    count: int = 3000,
    *,
    proxies: bool = True,
    seed: int = 0,
    home: HomeView | None = None,
    poster: bytes = b"",
) -> Gaussians:
    """Write the box as an .exgs file; returns the scene that went in."""
    scene = box_scene(count, seed)
    rng = np.random.default_rng(seed + 1)
    tile = 2 * (scene.means[:, 0] >= 0) + (scene.means[:, 2] >= 0)
    cuts = np.cumsum([0, *(int(share * count) for share in _SHARES)])
    cuts[-1] = count
    order = rng.permutation(count)
    layers, chunks, refinements = [], [], []
    for layer, level in enumerate(LEVELS):
        members = order[cuts[layer] : cuts[layer + 1]]
        waiting = order[cuts[layer + 1] :]
        stand_ins = waiting[: len(waiting) // 10] if proxies else waiting[:0]
        below = LEVELS[min(layer + 1, len(LEVELS) - 1)]  # the level of the cell's children
        children = 1 << (below - level)
        child = (tile >> (LEVELS[-1] - below)) % children
        for cell in range(1 << level):
            here = members[tile[members] >> (LEVELS[-1] - level) == cell]
            packed = pack_geometry(scene.select(here), child[here], children, _STEPS)
            chunks.append(_chunk(ChunkKind.LEAF, layer, cell, len(here), packed.columns))
            vectors = scene.shN[here[packed.order]].reshape(len(here), -1)
            coefficients = np.pad(np.rint(vectors / SH_STEP).astype(np.int64), ((0, 0), (3, 0)))
            columns = pack_sh(coefficients, SH_STEP)
            refinements.append(_chunk(ChunkKind.SH, layer, cell, len(here), columns))
            there = stand_ins[tile[stand_ins] >> (LEVELS[-1] - level) == cell]
            if len(there):
                merged = scene.select(there)
                merged = Gaussians(
                    merged.means,
                    merged.quats,
                    merged.scales * np.float32(2.5),
                    merged.opacities,
                    merged.sh0,
                    merged.shN,
                )
                packed = pack_geometry(merged, child[there], children, _STEPS)
                chunks.append(_chunk(ChunkKind.PROXY, layer, cell, len(there), packed.columns))
        layers.append(Layer(level, len(members), len(stand_ins)))
    basis = pack_basis(ShBasis(np.eye(12, dtype=np.float32)[None]))
    chunks += [_chunk(ChunkKind.BASIS, 0, 0, 0, basis), *refinements]
    facts = SceneFacts(
        name="box",
        credit="made for a test",
        license="CC0-1.0",
        encoder="test",
        leaf_count=count,
        sh_degree=1,
        up=(0.0, -1.0, 0.0),
        layers=tuple(layers),
        quality=(QualityPoint(20_000, 20.0, 0.7), QualityPoint(60_000, 30.0, 0.9)),
        home=home,
        poster_hash=content_hash(poster) if poster else b"",
    )

    def box_of(level: int, number: int) -> Box:
        means = scene.means[tile >> (LEVELS[-1] - level) == number]
        low, high = means.min(axis=0).tolist(), means.max(axis=0).tolist()
        return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    path.write_bytes(b"".join(build_file(facts, chunks, box_of, poster)))
    return scene


def _chunk(kind: ChunkKind, layer: int, tile: int, count: int, columns: list[bytes]) -> PackedChunk:
    packed, raw_bytes = pack_frame(columns, thorough=False)
    return PackedChunk(kind, layer, tile, count, 1.0, raw_bytes, packed)
