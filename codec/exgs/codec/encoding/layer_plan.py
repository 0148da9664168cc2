"""Plans the layers: their number, their sizes, and the layer of each Gaussian.

The first layers contain proxies only, each about 3.4 times as many as the one before. Later layers
add leaves in the order of importance, with fewer proxies for the remaining ones. Each layer first
takes the best remaining Gaussian of every occupied voxel (voxel-based sampling of ExGS), so that no
region stays empty.
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

# Numbers of proxies in layers without leaves: 2600 (about 19 KB) in the first, growing by a factor
# of about 3.4 up to a share of the scene. Small scenes are less redundant and have a larger share.
_FIRST_PROXIES = 2600
_PROXY_GROWTH = 3.4
_PROXY_SHARE = 0.051
_PROXY_SHARE_MAX = 0.107
_REDUCED_SHARE_MAX = 0.25  # in reduced scenes
_LARGE_COUNT = 500_000

# (share of the leaves that have arrived after the layer, proxies relative to all leaves)
_LEAF_LAYERS = ((0.3, 0.03), (0.65, 0.012), (1.0, 0.0))
_LARGE_LEAF_LAYERS = ((0.33, 0.03), (0.68, 0.012), (1.0, 0.0))
_PRUNED_LAYERS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.6, 1.0)
_SINGLE_LAYER_COUNT = 1000  # scenes of up to this many Gaussians have one layer

_GAUSSIAN_BYTES = 8  # packed, approximately
_CHUNK_BYTES = 32 << 10  # target size, packed
_FEW_CHUNKS = 8  # layers with leaves of 64 KiB and more have about so many at least
_SPLIT_BYTES = 64 << 10
_FIRST_CHUNK_BYTES = 16 << 10  # target size in layers without leaves: clients wait for these

_LEAF_CHUNKS = 4  # of a cell: LEAF, two SH, FINE

_REGION_COUNT = 24_000  # Gaussians per SH basis, about: the basis takes 1.5 KB

# A layer of n leaves first takes one leaf from each of at most n / _VOXEL_SHARE voxels.
_VOXEL_SHARE = 40
_VOXEL_BITS = 7  # the finest grid has 2^7 voxels per axis, the coarsest 2


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """The planned contents of one layer."""

    leaves: int
    proxies: int  # for the leaves of later layers; 0 in the last layer
    tile_level: int  # the layer has 2^tile_level tiles
    amplification: float = 1.0  # factor on the scales of leaves while this is the top layer


def plan_layers(
    count: int,
    *,
    proxies: bool = True,
    whole: int | None = None,
    chunk_bytes: int | None = None,
) -> list[LayerPlan]:
    """The layers of a scene of `count` Gaussians.

    If the scene was reduced from `whole` Gaussians, the layers without leaves have about as many
    proxies as those of the whole scene: as much has to be shown before the leaves come.
    Without `proxies` the layers are subsets of the leaves, as in ExGS, and leaves are amplified by
    (1 / share of the leaves that have arrived)^(1/8). `chunk_bytes` is the target size of chunks in
    layers with leaves, by default 32 KiB.
    """
    chunk_bytes = chunk_bytes or _CHUNK_BYTES
    if count <= _SINGLE_LAYER_COUNT:
        return [LayerPlan(count, 0, 0)]
    if not proxies:
        arrived = [round(share * count) for share in _PRUNED_LAYERS]
        return _tiled(
            [
                (after - before, 0, (count / after) ** 0.125)
                for before, after in zip([0, *arrived], arrived, strict=False)
            ],
            chunk_bytes,
        )
    sizes: list[tuple[int, int, float]] = []
    share = _proxy_share(count)
    most = share * count
    if whole is not None:
        most = max(most, min(_proxy_share(whole) * whole, _REDUCED_SHARE_MAX * count))
    steps = max(1, round(math.log(max(most / _FIRST_PROXIES, 1.0), _PROXY_GROWTH)))
    first = min(_FIRST_PROXIES, most if most <= _FIRST_PROXIES else most / 2)
    for step in range(steps + 1 if most > _FIRST_PROXIES else 1):
        sizes.append((0, round(first * (most / first) ** (step / steps)), 1.0))
    before = 0
    leaf_layers = _LARGE_LEAF_LAYERS if count >= _LARGE_COUNT else _LEAF_LAYERS
    for arrived_share, proxy_share in leaf_layers:
        after = round(arrived_share * count)
        beside = proxy_share * share / _PROXY_SHARE
        sizes.append((after - before, round(beside * count), 1.0))
        before = after
    return _tiled(sizes, chunk_bytes)


def _proxy_share(count: int) -> float:
    """Proxies in the last layer without leaves, relative to the Gaussians of the scene."""
    return min(_PROXY_SHARE * float(max(_LARGE_COUNT / count, 1.0) ** 0.35), _PROXY_SHARE_MAX)


def check_plan(plan: Sequence[LayerPlan]) -> None:
    """Raise SceneError if `plan` could lead to more chunks than a file can hold."""
    most = most_chunks(plan)
    if most > MAX_CHUNKS:
        raise SceneError(f"the scene takes up to {most:,} chunks, a file can hold {MAX_CHUNKS:,}")


def most_chunks(plan: Sequence[LayerPlan]) -> int:
    """The number of chunks that a file of this plan has at most."""
    most = 1  # the BASIS
    for layer in plan:
        # A cell has PROXY, LEAF (which may be empty) or both; leaves have two SH and a FINE.
        parts = 1 + _LEAF_CHUNKS * bool(layer.leaves) - bool(layer.leaves and not layer.proxies)
        most += parts << layer.tile_level
    return most


def region_level(plan: Sequence[LayerPlan]) -> int:
    """The tile level of the regions with one SH basis each; no layer with leaves is coarser."""
    count = sum(layer.leaves for layer in plan)
    level = round(math.log2(max(count / _REGION_COUNT, 1)))
    return min(level, MAX_BASES.bit_length() - 1, *(p.tile_level for p in plan if p.leaves))


def _tiled(sizes: list[tuple[int, int, float]], chunk_bytes: int) -> list[LayerPlan]:
    """Plans with the tile levels that give chunks of about the target size; levels never decrease.

    `sizes` are leaves, proxies and amplification of each layer; `chunk_bytes` is the target size in
    layers with leaves.
    """
    plans: list[LayerPlan] = []
    level = 0
    for leaves, proxies, amplification in sizes:
        layer_bytes = (leaves + proxies) * _GAUSSIAN_BYTES
        chunks = layer_bytes / (chunk_bytes if leaves else _FIRST_CHUNK_BYTES)
        if leaves and layer_bytes >= _SPLIT_BYTES:
            chunks = max(chunks, min(_FEW_CHUNKS, layer_bytes / _FIRST_CHUNK_BYTES))
        if not leaves and not plans:
            chunks = 1  # the first picture shows the whole scene
        level = min(max(level, round(np.log2(max(chunks, 1)))), MAX_TILE_LEVEL)
        plans.append(LayerPlan(leaves, proxies, level, amplification))
    return plans


def assign_layers(
    score: npt.NDArray[np.floating], means: FloatArray, sizes: list[int]
) -> npt.NDArray[np.int64]:
    """The layer [N] of each Gaussian, by descending `score` [N] and with one per voxel first.

    `means` are [N, 3]; `sizes` are the numbers of leaves of the layers, whose sum is N.
    """
    rank = np.argsort(-score, kind="stable")
    layer = np.full(len(score), len(sizes) - 1, np.int64)
    for number, size in enumerate(sizes[:-1]):
        if not size:
            continue
        voxel = _voxels(means[rank], size // _VOXEL_SHARE)
        best = np.zeros(voxel.max() + 1, np.int64)
        best[voxel[::-1]] = np.arange(len(voxel))[::-1]  # the last assignment is the best in rank
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
