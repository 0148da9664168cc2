"""Divisive clustering: which Gaussians are merged into one proxy.

Starting from the tiles, the cluster with the largest weighted variance along its principal axis
is halved at its mean, until there are as many clusters as asked for. Features are the direction
under which a viewer sees the Gaussian (position over viewing distance) and its colour.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.scene.kernel import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Colour against visual angle: an SH unit of degree 0 counts like this many radians.
COLOR_WEIGHT = 0.012
_POWER_STEPS = 12  # power iterations for a principal axis


def cluster(
    means: npt.NDArray[np.float32],
    colors: npt.NDArray[np.float32],
    weights: npt.NDArray[np.floating],
    distances: npt.NDArray[np.floating],
    first: Ints,
    counts: Sequence[int],
) -> list[Ints]:
    """Labels [N] of about so many clusters for each of `counts`, numbered in the order of `first`.

    Args:
        means: [N, 3] world units.
        colors: [N, 3] degree-0 coefficients.
        weights: [N] > 0, how much a Gaussian matters.
        distances: [N] > 0, typical viewing distance, world units.
        first: [N] clusters to start from (tiles); no cluster spans two of them.
        counts: clusters to reach; at least one per tile, at most N.
    """
    features = np.concatenate([means, colors * COLOR_WEIGHT], axis=1).astype(np.float64)
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
    labels = {count: _by_owner(leaf, first) for count, leaf in zip(rising, slots, strict=True)}
    return [labels[count] for count in counts]


def _by_owner(leaf: Ints, first: Ints) -> Ints:
    """The clusters `leaf` [N] numbered by tile, so that a tile's proxies lie together."""
    owner = np.full(leaf.max(initial=-1) + 1, -1)
    owner[leaf] = first
    used = np.flatnonzero(owner >= 0)
    rank = np.empty(len(owner), np.int64)
    rank[used[np.argsort(owner[used], kind="stable")]] = np.arange(len(used))
    labels: Ints = rank[leaf]
    return labels


@kernel()
def _divide(
    features: Floats,
    weights: Floats,
    inverse_square: Floats,
    order: Ints,
    starts: Ints,
    counts: Ints,
) -> Ints:
    """Cluster slots [K, N] of each point, for each of the rising `counts` [K] on the way.

    `order` is permuted so that clusters are contiguous.
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
                continue  # all points coincide: it can't be divided
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
    """Inner product; numba's own needs scipy."""
    total: float = 0.0
    for d in range(len(a)):
        total += a[d] * b[d]
    return total


@kernel()
def _times(matrix: Floats, vector: Floats) -> Floats:
    product = np.empty(len(vector))
    for d in range(len(vector)):
        product[d] = _dot(matrix[d], vector)
    return product


@kernel()
def _mean(features: Floats, weights: Floats, order: Ints, start: int, stop: int) -> Floats:
    total = 0.0
    mean = np.zeros(features.shape[1])
    for k in range(start, stop):
        i = order[k]
        total += weights[i]
        for d in range(len(mean)):
            mean[d] += weights[i] * features[i, d]
    return mean / max(total, 1e-300)


@kernel()
def _principal_axis(
    features: Floats,
    weights: Floats,
    inverse_square: Floats,
    order: Ints,
    start: int,
    stop: int,
    axis: Floats,
) -> float:
    """Weighted variance sum along the principal axis, which goes to `axis` in feature units."""
    dims = features.shape[1]
    mean = _mean(features, weights, order, start, stop)
    total = 0.0
    closeness = 0.0
    for k in range(start, stop):
        i = order[k]
        total += weights[i]
        closeness += weights[i] * inverse_square[i]
    scale = np.ones(dims)
    scale[:3] = np.sqrt(closeness / max(total, 1e-300))
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
    for _ in range(_POWER_STEPS):
        product = _times(moments, vector)
        norm = np.sqrt(_dot(product, product))
        if norm < 1e-300:
            break
        vector = product / norm
    axis[:] = vector * scale
    return _dot(vector, _times(moments, vector))
