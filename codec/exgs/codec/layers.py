"""Quality layers: which Gaussians come when, and how many proxies stand for the rest.

Gaussians are ranked by contribution. In every layer each occupied voxel gives its best remaining
Gaussian first (the voxel-based sampling of ExGS), so that no region waits for another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.scene.gaussians import FloatArray

# A layer of n Gaussians draws one from each of at most n / _VOXEL_SHARE voxels before all others.
_VOXEL_SHARE = 8


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """Sizes of one layer."""

    leaves: int  # Gaussians that the layer adds
    proxies: int  # merged Gaussians for the rest, 0 where nothing remains
    tile_level: int


def assign_layers(
    score: npt.NDArray[np.floating], means: FloatArray, sizes: list[int]
) -> npt.NDArray[np.int64]:
    """The layer [N] of each Gaussian: best `score` first, with a floor per voxel.

    `sizes` are the layers' counts and add up to N.
    """
    rank = np.argsort(-score, kind="stable")
    layer = np.full(len(score), len(sizes) - 1, np.int64)
    for number, size in enumerate(sizes[:-1]):
        chosen = rank[:size]
        if size:
            voxels = _voxels(means[rank], size // _VOXEL_SHARE)
            _, best = np.unique(voxels, return_index=True)  # rank order: first is best
            floor = best[: size // 2]
            order = np.concatenate([floor, np.setdiff1d(np.arange(len(rank)), floor)])
            chosen = rank[order[:size]]
        layer[chosen] = number
        rank = rank[layer[rank] == len(sizes) - 1]
    return layer


def _voxels(means: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """Voxel ids [N] of the finest regular grid with at most `count` occupied voxels."""
    low, high = np.percentile(means, [1, 99], axis=0)
    extent = float(max((high - low).max(), 1e-12))
    ids = np.zeros(len(means), np.int64)
    for cells in (2, 4, 8, 16, 32, 64, 128):
        grid = np.clip(np.floor((means - low) / extent * cells), -1, cells).astype(np.int64) + 1
        finer = (grid[:, 0] * (cells + 2) + grid[:, 1]) * (cells + 2) + grid[:, 2]
        if len(np.unique(finer)) > count:
            break
        ids = finer
    return ids
