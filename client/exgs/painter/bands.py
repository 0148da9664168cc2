"""Bands of detail of a picture, and their combination with a gain for each pixel.

Five bands are differences between increasingly blurred copies of the picture. Four more are second
derivatives of two of these copies along the axes and along the diagonals: with them a gain can
sharpen across an edge and smooth along it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exgs.scene.gaussians import FloatArray

CELL = 4  # pixels: the side of the cells for which gains are given
BANDS = 9
LEVELS = 5  # blurred copies; also the number of bands that are differences of them

# Binomial filters and the distance of their samples in pixels, each applied to the copy before.
FILTERS: tuple[tuple[tuple[float, ...], int], ...] = (
    ((0.25, 0.5, 0.25), 1),
    ((0.0625, 0.25, 0.375, 0.25, 0.0625), 1),
    ((0.0625, 0.25, 0.375, 0.25, 0.0625), 2),
    ((0.0625, 0.25, 0.375, 0.25, 0.0625), 4),
    ((0.0625, 0.25, 0.375, 0.25, 0.0625), 8),
)
DERIVED = (0, 1), (1, 2)  # blurred copies and the steps of their second derivatives, in pixels


def blurred_copies(picture: FloatArray) -> list[FloatArray]:
    """The picture [H, W, C] after the first, the first two, … of the filters."""
    copies = []
    for weights, spacing in FILTERS:
        picture = _filtered(_filtered(picture, weights, spacing, 0), weights, spacing, 1)
        copies.append(picture)
    return copies


def bands_of(picture: FloatArray, copies: list[FloatArray]) -> Iterator[FloatArray]:
    """The bands of a picture [H, W, C], in order."""
    for finer, coarser in zip([picture, *copies], copies, strict=False):
        yield finer - coarser
    for number, step in DERIVED:
        edge = np.pad(copies[number], ((step, step), (step, step), (0, 0)), mode="edge")
        low, mid, high = (slice(k, k - 2 * step or None) for k in (0, step, 2 * step))
        yield 0.5 * (edge[mid, low] + edge[mid, high] - edge[low, mid] - edge[high, mid])
        yield 0.5 * (edge[low, low] + edge[high, high] - edge[low, high] - edge[high, low])


def _filtered(
    picture: FloatArray, weights: tuple[float, ...], spacing: int, axis: int
) -> FloatArray:
    reach = spacing * (len(weights) // 2)
    padding = [(reach, reach) if axis == number else (0, 0) for number in range(3)]
    padded = np.pad(picture, padding, mode="edge")
    length, result = picture.shape[axis], np.zeros_like(picture)
    for number, weight in enumerate(weights):
        start = number * spacing
        part = padded[start : start + length] if axis == 0 else padded[:, start : start + length]
        result += np.float32(weight) * part
    return result


def enlarged(cells: FloatArray, height: int, width: int) -> FloatArray:
    """Values of cells [h, w, C] at the pixels [H, W, C], interpolated linearly."""
    for axis, size in enumerate((height, width)):
        places = (np.arange(size) + 0.5) / CELL - 0.5
        before = np.floor(places).astype(np.int64)
        share = (places - before).astype(np.float32)
        share = share[:, None, None] if axis == 0 else share[:, None]
        last = cells.shape[axis] - 1
        low = np.take(cells, np.clip(before, 0, last), axis)
        high = np.take(cells, np.clip(before + 1, 0, last), axis)
        cells = low + share * (high - low)
    return cells


def cell_means(values: FloatArray) -> FloatArray:
    """Means of [H, W, C] over cells [h, w, C]; the last cells repeat the edge if they must."""
    padded = padded_to_cells(values)
    height, width, channels = padded.shape
    shape = height // CELL, CELL, width // CELL, CELL, channels
    return np.asarray(padded.reshape(shape).mean(axis=(1, 3)), np.float32)


def padded_to_cells(values: FloatArray) -> FloatArray:
    """[H, W, C] with the edge repeated so that both sides are multiples of CELL."""
    more = [(0, -size % CELL) for size in values.shape[:2]]
    return np.pad(values, (*more, (0, 0)), mode="edge") if any(b for _, b in more) else values
