"""Quality layers: how many there are, what each holds, and which Gaussians come when.

The first layers hold proxies alone, a few more bytes each; then true Gaussians arrive in order of
importance with fewer and fewer proxies for the rest. In every layer each occupied voxel gives its
best remaining Gaussian first (the voxel-based sampling of ExGS), so that no region goes empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_BASES, MAX_CHUNKS, MAX_TILE_LEVEL
from exgs.codec.errors import SceneError
from exgs.scene.gaussians import FloatArray

# Proxies of the first layers: about 19 KB, then about 3.4 times more up to a share of the scene,
# which is larger in small scenes: these have less that repeats.
_FIRST_PROXIES = 2600
_PROXY_GROWTH = 3.4
_PROXY_SHARE = 0.051
_PROXY_SHARE_MAX = 0.107
_LARGE_COUNT = 500_000
_SMALL_COUNT = 20_000  # scenes below it keep as many proxies beside leaves as they begin with

# (share of the scene that has arrived after the layer, its proxies as a share of the scene)
_LEAF_LAYERS = ((0.3, 0.03), (0.65, 0.012), (1.0, 0.0))
_LARGE_LEAF_LAYERS = ((0.33, 0.03), (0.68, 0.012), (1.0, 0.0))
_PRUNED_LAYERS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.6, 1.0)
_SINGLE_LAYER_COUNT = 3000  # a scene up to here comes in one piece

# Packed bytes of a Gaussian, roughly, and what a chunk should have.
_GAUSSIAN_BYTES = 8
_CHUNK_BYTES = 32 << 10
_FIRST_CHUNK_BYTES = 16 << 10  # of layers without leaves: the first ones to be waited for

_LEAF_CHUNKS = 4  # of a cell: LEAF, SH twice, FINE

# Gaussians that share an SH basis, about: the basis takes 1.5 KB, and should be saved.
_REGION_COUNT = 24_000

# A layer of n Gaussians draws one from each of at most n / _VOXEL_SHARE voxels before all others.
_VOXEL_SHARE = 40
_VOXEL_BITS = 7  # the finest grid has 2^7 voxels a side, the coarsest two


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """What one layer holds."""

    leaves: int  # Gaussians that it adds
    proxies: int  # merged Gaussians for the rest, 0 where nothing remains
    tile_level: int  # it is cut into 2^tile_level tiles
    amplification: float = 1.0  # factor on the scales of leaves while it is the top layer


def plan_layers(count: int, *, proxies: bool = True) -> list[LayerPlan]:
    """The layers of a scene of `count` Gaussians.

    Without `proxies` the layers are plain subsets, as in ExGS, and the survivors are amplified:
    scales grow by (1 / kept share)^(1/8) while Gaussians are missing.
    """
    if count <= _SINGLE_LAYER_COUNT:
        return [LayerPlan(count, 0, 0)]
    if not proxies:
        arrived = [round(share * count) for share in _PRUNED_LAYERS]
        return _tiled(
            [
                (after - before, 0, (count / after) ** 0.125)
                for before, after in zip([0, *arrived], arrived, strict=False)
            ]
        )
    sizes: list[tuple[int, int, float]] = []
    share = min(_PROXY_SHARE * max(_LARGE_COUNT / count, 1.0) ** 0.35, _PROXY_SHARE_MAX)
    most = share * count
    steps = max(1, round(math.log(max(most / _FIRST_PROXIES, 1.0), _PROXY_GROWTH)))
    first = min(_FIRST_PROXIES, most)
    for step in range(steps + 1 if most > _FIRST_PROXIES else 1):
        sizes.append((0, round(first * (most / first) ** (step / steps)), 1.0))
    before = 0
    leaf_layers = _LARGE_LEAF_LAYERS if count >= _LARGE_COUNT else _LEAF_LAYERS
    for arrived_share, proxy_share in leaf_layers:
        after = round(arrived_share * count)
        beside = proxy_share * (share / _PROXY_SHARE if count < _SMALL_COUNT else 1.0)
        sizes.append((after - before, round(beside * count), 1.0))
        before = after
    return _tiled(sizes)


def check_plan(plan: Sequence[LayerPlan]) -> None:
    """Raise SceneError where the chunks of a plan could be more than a file can hold."""
    most = 1  # the BASIS
    for layer in plan:
        # A cell has a PROXY or an empty LEAF, or both, and of its leaves SH twice and FINE.
        parts = 1 + _LEAF_CHUNKS * bool(layer.leaves) - bool(layer.leaves and not layer.proxies)
        most += parts << layer.tile_level
    if most > MAX_CHUNKS:
        raise SceneError(f"the scene takes up to {most:,} chunks, a file can hold {MAX_CHUNKS:,}")


def region_level(plan: Sequence[LayerPlan]) -> int:
    """The tile level of the regions that have an SH basis each: a tile's leaves lie in one."""
    count = sum(layer.leaves for layer in plan)
    wanted = round(math.log2(max(count / _REGION_COUNT, 1)))
    return min(wanted, MAX_BASES.bit_length() - 1, *(p.tile_level for p in plan if p.leaves))


def _tiled(sizes: list[tuple[int, int, float]]) -> list[LayerPlan]:
    """Plans with a tile level that makes ordinary chunks; levels never decrease."""
    plans = []
    level = 0
    for leaves, proxies, amplification in sizes:
        chunk_bytes = _CHUNK_BYTES if leaves else _FIRST_CHUNK_BYTES
        chunks = (leaves + proxies) * _GAUSSIAN_BYTES / chunk_bytes
        level = min(max(level, round(np.log2(max(chunks, 1)))), MAX_TILE_LEVEL)
        plans.append(LayerPlan(leaves, proxies, level, amplification))
    return plans


def assign_layers(
    score: npt.NDArray[np.floating], means: FloatArray, sizes: list[int]
) -> npt.NDArray[np.int64]:
    """The layer [N] of each Gaussian: best `score` first, with a floor per voxel.

    `sizes` are the layers' counts and add up to N.
    """
    rank = np.argsort(-score, kind="stable")
    layer = np.full(len(score), len(sizes) - 1, np.int64)
    for number, size in enumerate(sizes[:-1]):
        if not size:
            continue
        voxel = _voxels(means[rank], size // _VOXEL_SHARE)
        best = np.zeros(voxel.max() + 1, np.int64)
        best[voxel[::-1]] = np.arange(len(voxel))[::-1]  # the last one written is the first in rank
        first = best[voxel] == np.arange(len(voxel))
        chosen = np.concatenate([np.flatnonzero(first), np.flatnonzero(~first)])[:size]
        layer[rank[chosen]] = number
        rank = np.delete(rank, chosen)
    return layer


def _voxels(means: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """Voxel ids [N] of the finest regular grid with at most `count` occupied voxels."""
    low, high = np.percentile(means, [1, 99], axis=0)
    extent = float(max((high - low).max(), 1e-12))
    finest = 1 << _VOXEL_BITS
    grid = np.clip(np.floor((means - low) / extent * finest), -1, finest).astype(np.int64)
    for bits in range(_VOXEL_BITS):
        x, y, z = (grid >> bits).T + 1
        side = (finest >> bits) + 2
        ids: npt.NDArray[np.int64] = (x * side + y) * side + z
        if np.count_nonzero(np.bincount(ids)) <= count:
            return ids
    return np.zeros(len(means), np.int64)
