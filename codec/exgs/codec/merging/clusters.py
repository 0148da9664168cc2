"""Divisive clustering: divides Gaussians into clusters, to be merged into proxies.

The first clusters are the tiles. Each step divides the cluster with the largest weighted variance
along its principal axis at its mean, until the wanted number is reached. The features are the
position over the viewing distance (a visual angle) and the colour.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.scene.kernel import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_COLOR_WEIGHT = 0.012  # radians of visual angle per unit of a degree-0 coefficient
_POWER_ITERATIONS = 12  # for a principal axis


def cluster(
    means: npt.NDArray[np.float32],
    colors: npt.NDArray[np.float32],
    weights: npt.NDArray[np.floating],
    distances: npt.NDArray[np.floating],
    first: Ints,
    counts: Sequence[int],
) -> list[Ints]:
    """Cluster labels [N] for each number of clusters in `counts`.

    Labels are numbered by tile, so that the clusters of a tile are consecutive. There are fewer
    clusters than asked for if features coincide, and more if there are more tiles.

    Args:
        means: [N, 3] world units.
        colors: [N, 3] degree-0 coefficients.
        weights: [N] > 0, contribution to the pictures.
        distances: [N] > 0, mean viewing distance, world units.
        first: [N] the tile of each Gaussian; no cluster spans two tiles.
        counts: wanted numbers of clusters, at most N.
    """
    features = np.concatenate([means, colors * _COLOR_WEIGHT], axis=1).astype(np.float64)
    order = np.argsort(first, kind="stable")
    starts = np.flatnonzero(np.diff(first[order], prepend=-1))
    rising = sorted(set(counts))
    slots = _divide(
        features,
        weights.astype(np.float64),
        1.0 / np.square(distances, dtype=np.float64),
        order,
        starts,
        np.maximum(np.array(rising, np.int64), 1),
    )
    labels = {
        count: _numbered_by_tile(slot, first) for count, slot in zip(rising, slots, strict=True)
    }
    return [labels[count] for count in counts]


def _numbered_by_tile(slot: Ints, tile: Ints) -> Ints:
    """The clusters `slot` [N] with new numbers, in the order of their tiles."""
    tile_of = np.full(slot.max(initial=-1) + 1, -1)
    tile_of[slot] = tile
    used = np.flatnonzero(tile_of >= 0)
    rank = np.empty(len(tile_of), np.int64)
    rank[used[np.argsort(tile_of[used], kind="stable")]] = np.arange(len(used))
    labels: Ints = rank[slot]
    return labels


@kernel(allocates=True)
def _divide(
    features: Floats,
    weights: Floats,
    inverse_square: Floats,
    order: Ints,
    starts: Ints,
    counts: Ints,
) -> Ints:
    """The cluster of each point [K, N], at each of the increasing numbers of clusters `counts` [K].

    `order` [N] lists the points by tile, and `starts` are the first places of the tiles in it. It
    is permuted so that clusters stay contiguous.
    """
    n, dims = features.shape
    slots = len(starts) + 2 * counts[-1] + 2
    begin = np.zeros(slots, np.int64)
    end = np.zeros(slots, np.int64)
    axes = np.zeros((slots, dims))
    cut = np.zeros(slots)
    used = len(starts)
    for k in range(used):
        begin[k] = starts[k]
        end[k] = starts[k + 1] if k + 1 < used else n
    heap = [(0.0, 0)]
    heap.pop()
    for k in range(used):
        spread = _principal_axis(
            features, weights, inverse_square, order, begin[k], end[k], axes[k]
        )
        cut[k] = _dot(axes[k], _mean(features, weights, order, begin[k], end[k]))
        heapq.heappush(heap, (-spread, k))
    live = used
    labels = np.zeros((len(counts), n), np.int64)
    for number in range(len(counts)):
        while live < counts[number] and len(heap) > 0:
            spread, slot = heapq.heappop(heap)
            low, high = begin[slot], end[slot] - 1
            while low <= high:
                point = order[low]
                if _dot(axes[slot], features[point]) < cut[slot]:
                    low += 1
                else:
                    order[low] = order[high]
                    order[high] = point
                    high -= 1
            if low == begin[slot] or low == end[slot]:
                continue  # all points coincide
            live += 1
            stop = end[slot]
            end[slot] = begin[slot]
            for half in range(2):
                begin[used] = begin[slot] if half == 0 else low
                end[used] = low if half == 0 else stop
                if end[used] - begin[used] > 1:
                    spread = _principal_axis(
                        features, weights, inverse_square, order, begin[used], end[used], axes[used]
                    )
                    middle = _mean(features, weights, order, begin[used], end[used])
                    cut[used] = _dot(axes[used], middle)
                    heapq.heappush(heap, (-spread, used))
                used += 1
        for slot in range(used):
            for k in range(begin[slot], end[slot]):
                labels[number, order[k]] = slot
    return labels


@kernel()
def _dot(a: Floats, b: Floats) -> float:
    """The inner product; numba's `np.dot` would need scipy."""
    total: float = 0.0
    for d in range(len(a)):
        total += a[d] * b[d]
    return total


@kernel(allocates=True)
def _times(matrix: Floats, vector: Floats) -> Floats:
    product = np.empty(len(vector))
    for d in range(len(vector)):
        product[d] = _dot(matrix[d], vector)
    return product


@kernel(allocates=True)
def _mean(features: Floats, weights: Floats, order: Ints, start: int, stop: int) -> Floats:
    total = 0.0
    mean = np.zeros(features.shape[1])
    for k in range(start, stop):
        i = order[k]
        total += weights[i]
        for d in range(len(mean)):
            mean[d] += weights[i] * features[i, d]
    return mean / max(total, 1e-300)


@kernel(allocates=True)
def _principal_axis(
    features: Floats,
    weights: Floats,
    inverse_square: Floats,
    order: Ints,
    start: int,
    stop: int,
    axis: Floats,
) -> float:
    """Write the principal axis of a cluster to `axis`, and return the variance along it.

    The variance is the weighted sum, not the mean. Positions are scaled by the root
    mean square of the cluster's inverse distances; `axis` contains this scale.
    """
    dims = features.shape[1]
    mean = _mean(features, weights, order, start, stop)
    total = 0.0
    inverse_sum = 0.0
    for k in range(start, stop):
        i = order[k]
        total += weights[i]
        inverse_sum += weights[i] * inverse_square[i]
    scale = np.ones(dims)
    scale[:3] = np.sqrt(inverse_sum / max(total, 1e-300))
    moments = np.zeros((dims, dims))
    for k in range(start, stop):
        i = order[k]
        for d in range(dims):
            x = (features[i, d] - mean[d]) * scale[d] * weights[i]
            for e in range(d, dims):
                moments[d, e] += x * (features[i, e] - mean[e]) * scale[e]
    widest = 0
    for d in range(dims):
        for e in range(d):
            moments[d, e] = moments[e, d]
        if moments[d, d] > moments[widest, widest]:
            widest = d
    vector = moments[widest].copy()
    for _ in range(_POWER_ITERATIONS):
        product = _times(moments, vector)
        norm = np.sqrt(_dot(product, product))
        if norm < 1e-300:
            break
        vector = product / norm
    axis[:] = vector * scale
    return _dot(vector, _times(moments, vector))
