"""Plans the layers that are encoded by blocks, and the number of leaves of each block in each.

The first layers are too small for that: their tiles contain several blocks. All other layers have
at least the tile level of the blocks, so that every cell is in one block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from exgs.codec.encoding.layer_plan import LayerPlan, check_plan, most_chunks, plan_layers
from exgs.codec.errors import SceneError

# Target size of chunks with leaves, half of that in one piece: large scenes are streamed for one
# view at a time, and small cells contain less that it does not show.
_CHUNK_BYTES = 16 << 10
_MOST_CHUNKS = 1 << 17  # for cells of this size; scenes that would have more have larger cells
_DOUBLINGS = 4

# Size of the summary from which coarse layers are made, relative to the scene.
_SUMMARY_SHARE = 1 / 64
_SUMMARY_COUNT = 400_000  # maximum size, unless the coarse layers need more
_SUMMARY_FACTOR = 4  # summary, relative to the proxies of the largest coarse layer
_MAX_BLOCK_LEVEL = 12
_UNEVEN = (0.6, 1.6)  # limits of a layer's share of a block, relative to its share of the scene

# Histogram of the logarithm (base 2) of scores.
SCORE_BINS = 1024
_BINS_PER_OCTAVE = 16
_HIGHEST = 4.0


def block_level(count: int, block_count: int) -> int:
    """The level of the tree whose tiles have at most about `block_count` Gaussians each."""
    return min(max(1, math.ceil(math.log2(max(count / block_count, 1.0)) - 0.05)), _MAX_BLOCK_LEVEL)


def plan_for_blocks(count: int, level: int, *, proxies: bool = True) -> tuple[list[LayerPlan], int]:
    """The layers of a scene that is cut into 2^level blocks, and the first that is encoded so.

    Layers with leaves, and with proxies of more than the summary could give, are cut at least as
    finely as the blocks. Raises SceneError for a scene that is too small, or too large for a file.
    """
    for doublings in range(_DOUBLINGS):
        plan = plan_layers(count, proxies=proxies, chunk_bytes=_CHUNK_BYTES << doublings)
        if len(plan) < 2 or count < 64 << level:
            raise SceneError(f"{count:,} Gaussians are too few for {1 << level} blocks")
        plan = _cut_to_blocks(plan, count, level)
        if most_chunks(plan) <= _MOST_CHUNKS:
            break
    check_plan(plan)
    first = next(number for number, layer in enumerate(plan) if layer.tile_level >= level)
    return plan, first


def _cut_to_blocks(plan: Sequence[LayerPlan], count: int, level: int) -> list[LayerPlan]:
    """`plan`, whose large layers are cut at least to `level`."""
    raised = []
    reached = 0
    for number, layer in enumerate(plan):
        large = layer.leaves or (number and layer.proxies > count * _SUMMARY_SHARE)
        reached = max(reached, layer.tile_level, level if large else 0)
        raised.append(replace(layer, tile_level=reached))
    return raised


def summary_count(plan: Sequence[LayerPlan], first: int) -> int:
    """The number of Gaussians in the summary of the whole scene, for coarse layers."""
    count = sum(layer.leaves for layer in plan)
    needed = _SUMMARY_FACTOR * max((layer.proxies for layer in plan[:first]), default=0)
    return min(max(round(count * _SUMMARY_SHARE), needed), max(_SUMMARY_COUNT, needed), count)


def block_plan(
    plan: Sequence[LayerPlan], first: int, level: int, count: int, shares: npt.NDArray[np.float64]
) -> list[LayerPlan]:
    """The layers from `first` on of a block of `count` Gaussians at `level`.

    `shares` [L] are the shares of its leaves that have arrived after each layer of the plan.
    """
    whole = sum(layer.leaves for layer in plan)
    own = []
    before = 0
    for number in range(first, len(plan)):
        layer = plan[number]
        after = count if number + 1 == len(plan) else round(float(shares[number]) * count)
        left = count - after
        proxies = min(round(layer.proxies * count / whole), left) if left else 0
        if layer.proxies and left:
            proxies = max(proxies, 1)
        own.append(
            LayerPlan(after - before, proxies, layer.tile_level - level, layer.amplification)
        )
        before = after
    return own


def score_histogram(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The number of scores in each bin of the logarithm, the highest first."""
    with np.errstate(divide="ignore"):
        place = (_HIGHEST - np.log2(scores.astype(np.float64))) * _BINS_PER_OCTAVE
    bins = np.clip(np.nan_to_num(place, posinf=SCORE_BINS - 1), 0, SCORE_BINS - 1)
    counts: npt.NDArray[np.int64] = np.bincount(bins.astype(np.int64), minlength=SCORE_BINS)
    return counts


def layer_shares(
    plan: Sequence[LayerPlan],
    histograms: Sequence[npt.NDArray[np.int64]],
    factors: Sequence[float],
) -> npt.NDArray[np.float64]:
    """The share [B, L] of each block's leaves that have arrived after each layer.

    Leaves with the highest scores of the whole scene come first (`histograms` of scores, times
    `factors`), but the shares of all blocks are limited to a range around the mean.
    """
    shifts = [round(math.log2(max(factor, 1e-12)) * _BINS_PER_OCTAVE) for factor in factors]
    span = max(shifts) - min(shifts)
    placed = np.zeros((len(histograms), SCORE_BINS + span), np.int64)
    for number, (histogram, shift) in enumerate(zip(histograms, shifts, strict=True)):
        start = max(shifts) - shift
        placed[number, start : start + SCORE_BINS] = histogram
    counts = placed.sum(axis=1)
    above = np.cumsum(placed, axis=1)
    whole = np.cumsum(placed.sum(axis=0))
    shares = np.zeros((len(histograms), len(plan)))
    arrived = 0
    for number, layer in enumerate(plan):
        arrived += layer.leaves
        usual = arrived / int(counts.sum())
        cut = min(int(np.searchsorted(whole, arrived)), len(whole) - 1)
        own = above[:, cut] / counts
        low, high = _UNEVEN[0] * usual, min(_UNEVEN[1] * usual, 1 - 0.4 * (1 - usual))
        shares[:, number] = np.clip(own, low, max(low, high))
    shares[:, -1] = 1
    return np.maximum.accumulate(shares, axis=1)
