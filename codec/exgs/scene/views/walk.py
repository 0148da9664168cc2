"""Smooth paths through the free space of a scene, around matter.

A breadth-first search over the grid finds the paths, one front at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from exgs.scene.views.survey import DIRECTIONS, Array, Mask, Survey, dilated

_POINTS = 16  # points of a walk before smoothing, for each of its cells
_SMOOTHING_CELLS = 4.0


def walk(layout: Survey, stops: Sequence[Array]) -> tuple[Array, Array]:
    """A smooth path along `stops` [3]: points [M, 3] at equal distances, and their progress [M].

    The progress rises from 0 to len(stops) - 1 along the path. Stops without a free path are
    reached in a straight line.
    """
    free = layout.clearance >= 2
    legs = []
    for number, (start, end) in enumerate(pairwise(stops)):
        cells = _way(free, layout.cell_of(start), layout.cell_of(end))
        leg = np.vstack([start, layout.position_of(cells), end])
        legs.append(np.column_stack([leg, number + _progress(leg)]))
    path = np.vstack([np.append(stops[0], 0.0), *legs])
    length = np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1).sum()
    count = max(2, int(_POINTS * length / layout.cell))
    path = smoothed(evenly(path, path[:, :3], count), int(_POINTS * _SMOOTHING_CELLS))
    path = evenly(path, path[:, :3], count)
    return path[:, :3], path[:, 3]


def evenly(path: Array, pace: Array, count: int) -> Array:
    """`count` rows of `path` [M, any], interpolated where `pace` [M, any] moves on evenly."""
    at = _progress(pace)
    wanted = np.linspace(0, 1, count)
    return np.stack([np.interp(wanted, at, column) for column in path.T], axis=1)


def smoothed(path: Array, window: int) -> Array:
    """Smooth `path` [M, any] with two running means over `window` rows each way; the ends stay.

    A path with no more rows than that is returned unchanged.
    """
    if len(path) <= window:
        return path
    for _ in range(2):
        before = 2 * path[0] - path[window:0:-1]
        after = 2 * path[-1] - path[-2 : -window - 2 : -1]
        sums = np.cumsum(np.vstack([0 * path[:1], before, path, after]), axis=0)
        path = (sums[2 * window + 1 :] - sums[: -2 * window - 1]) / (2 * window + 1)
    return path


def _progress(path: Array) -> Array:
    """The share of the length up to each point, [M]."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1) + 1e-12
    total = np.concatenate([[0.0], np.cumsum(steps)])
    share: Array = total / max(total[-1], 1e-12)
    return share


def _way(
    free: Mask, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The grid cells of a shortest path between two grid cells; empty if there is no path."""
    distance = np.full(free.shape, -1)
    wave = np.zeros_like(free)
    wave[tuple(start)] = True
    passable = free.copy()
    passable[tuple(end)] = True
    step = 0
    while distance[tuple(end)] < 0:
        distance[wave] = step
        wave = dilated(wave) & passable & (distance < 0)
        step += 1
        if not wave.any():
            break
    cells = [end]
    while distance[tuple(cells[-1])] > 0:
        near = cells[-1] + DIRECTIONS
        near = near[np.all((near >= 0) & (near < free.shape), axis=1)]
        before = distance[tuple(near.T)] == distance[tuple(cells[-1])] - 1
        straight = np.abs(near[before] - cells[-1]).sum(1)
        cells.append(near[before][straight.argmin()])
    return np.array(cells[1:-1][::-1], np.int64).reshape(-1, 3)
