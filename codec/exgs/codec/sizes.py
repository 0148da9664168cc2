"""The three sizes of a Gaussian on the lattice of a payload: the shorter an axis, the coarser.

What a Gaussian looks like follows from its longest axis most. The middle one deserves a longer
step; the shortest shows only in so far as it makes the Gaussian thicker than its middle axis,
seen at a slant, does anyway. So what is quantized evenly is the log of that thickness,
t = 1/2 log(r^2 + flatness), where r is the ratio of the shortest to the middle axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Logs = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int64]

_RATIO_LOG_MIN = -12.0  # thinner ones look the same
_FAR_OFF = 8  # steps of the shortest axis that are not worth a correction


@dataclass(frozen=True, slots=True)
class SizeSteps:
    """Quantizer steps of the sizes of one payload.

    The payload's lattice has the step `longest` for all; the others are multiples that an encoder
    keeps to, so that its symbols are fewer.
    """

    longest: float  # natural log
    middle: float = 1.0  # in steps of the longest axis
    shortest: float = 1.0  # in steps of the longest axis, of the thickness t
    flatness: float = 0.0  # squared ratio below which the shortest axis hardly shows; 0: all of it


def size_levels(logs: Logs, origin: float, steps: SizeSteps) -> tuple[Levels, Levels, Levels]:
    """Level of the longest axis, drop to the middle and drop to the shortest one, all [N] >= 0.

    `logs` [N, 3] are the descending log sizes. The last two hold no more values than it takes.
    """
    step = steps.longest
    longest = np.maximum(np.rint((logs[:, 0] - origin) / step), 0)
    bins = np.rint((longest * step + origin - logs[:, 1]) / (step * steps.middle))
    middle = np.maximum(np.rint(bins * steps.middle), 0)
    drop = (longest - middle) * step + origin - logs[:, 2]  # minus the log of the ratio
    shortest = np.maximum(np.rint(drop / step), 0)
    if steps.shortest != 1 or steps.flatness:
        whole = _thickness(np.zeros(1), steps.flatness) - _thickness(-drop, steps.flatness)
        bins = np.maximum(np.rint(whole / (step * steps.shortest)), 0)
        shortest = _middle_of_each(bins.astype(np.int64), shortest)
    return longest.astype(np.int64), middle.astype(np.int64), shortest.astype(np.int64)


def size_corrections(target: Logs, coarse: Logs, steps: SizeSteps) -> Levels:
    """Steps [N, 3] that bring the log sizes `coarse` near enough to `target`, both [N, 3].

    The shortest axis is drawn already, so that it is left alone unless it is far off.
    """
    offsets = (target - coarse) / steps.longest
    offsets[:, 1] = np.rint(offsets[:, 1] / steps.middle) * steps.middle
    if steps.shortest != 1 or steps.flatness:
        middle = coarse[:, 1] + np.rint(offsets[:, 1]) * steps.longest
        drop = coarse[:, 2] - middle
        thickness = _thickness(drop, steps.flatness)
        bin_ = steps.longest * steps.shortest * _FAR_OFF
        wanted = _thickness(target[:, 2] - middle, steps.flatness) - thickness
        squares = np.exp(2 * (thickness + np.rint(wanted / bin_) * bin_)) - steps.flatness
        reached = 0.5 * np.log(np.maximum(squares, math.exp(2 * _RATIO_LOG_MIN)))
        right = np.abs(wanted) < 0.5 * bin_
        flat = squares <= math.exp(2 * _RATIO_LOG_MIN)
        reached[flat] = (target[:, 2] - middle)[flat]
        offsets[:, 2] = np.where(right, 0.0, (reached - drop) / steps.longest)
    limit = 2.0**53  # beyond it float64 skips integers
    return np.clip(np.rint(offsets), -limit, limit).astype(np.int64)


def _thickness(ratio_log: Logs, flatness: float) -> Logs:
    """t of log ratios r."""
    ratio_log = np.maximum(ratio_log, _RATIO_LOG_MIN)
    thickness: Logs = 0.5 * np.log(np.exp(2 * ratio_log) + flatness)
    return thickness


def _middle_of_each(
    bins: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The mean of the `values` [N] in the same one of `bins` [N], rounded."""
    counts = np.bincount(bins)
    means = np.rint(np.bincount(bins, values) / np.maximum(counts, 1))
    middles: npt.NDArray[np.float64] = means[bins]
    return middles
