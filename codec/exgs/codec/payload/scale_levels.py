"""Quantizes the three scales of a Gaussian: the shorter an axis, the coarser.

The longest axis matters most for the appearance, so the middle axis has a larger quantization step.
The shortest axis is visible only as far as it makes the Gaussian thicker than its middle axis does
in an oblique view. So the log of that thickness is quantized uniformly:
t = 1/2 log(r^2 + flatness), where r is the ratio of the shortest to the middle axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Logs = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int64]

_RATIO_LOG_MIN = -12.0  # smaller ratios look the same
_FAR_OFF = 8  # the shortest axis is corrected only if it is wrong by half of this many steps


@dataclass(frozen=True, slots=True)
class SizeSteps:
    """Quantization steps of the scales of one payload.

    The payload has one step for all axes. The encoder uses fewer of its values for the middle and
    the shortest axis, so that there are fewer different symbols.
    """

    longest: float  # of the natural log; the step of the payload
    middle: float = 1.0  # relative to the step of the longest axis
    flatness: float = 0.0  # squared ratio below which the shortest axis hardly shows; 0: none


def size_levels(logs: Logs, origin: float, steps: SizeSteps) -> tuple[Levels, Levels, Levels]:
    """Level of the longest axis, and drops to the middle and to the shortest, all [N] >= 0.

    `logs` [N, 3] are the descending log sizes.
    """
    step = steps.longest
    longest = np.maximum(np.rint((logs[:, 0] - origin) / step), 0)
    multiples = np.rint((longest * step + origin - logs[:, 1]) / (step * steps.middle))
    middle = np.maximum(np.rint(multiples * steps.middle), 0)
    drop = (longest - middle) * step + origin - logs[:, 2]  # minus the log of the ratio
    shortest = np.maximum(np.rint(drop / step), 0)
    if steps.flatness:
        thinner = _thickness(np.zeros(1), steps.flatness) - _thickness(-drop, steps.flatness)
        shortest = _rounded_means(shortest, np.maximum(np.rint(thinner / step), 0))
    return longest.astype(np.int64), middle.astype(np.int64), shortest.astype(np.int64)


def size_corrections(target: Logs, coarse: Logs, steps: SizeSteps) -> Logs:
    """Corrections [N, 3] in steps from the log sizes `coarse` to `target`, both [N, 3].

    The caller rounds them.
    """
    step = steps.longest
    corrections = (target - coarse) / step
    corrections[:, 1] = np.rint(np.rint(corrections[:, 1] / steps.middle) * steps.middle)
    if steps.flatness:
        corrections[:, 2] = _thicken(
            coarse[:, 2] - coarse[:, 1] - corrections[:, 1] * step,
            target[:, 2] - coarse[:, 1] - corrections[:, 1] * step,
            step * _FAR_OFF,
            steps.flatness,
        )
        corrections[:, 2] /= step
    return corrections


def _thickness(ratio_log: Logs, flatness: float) -> Logs:
    """The log thickness t of log ratios."""
    ratio_log = np.maximum(ratio_log, _RATIO_LOG_MIN)
    thickness: Logs = 0.5 * np.log(np.exp(2 * ratio_log) + flatness)
    return thickness


def _thicken(ratio_log: Logs, target: Logs, step: float, flatness: float) -> Logs:
    """The correction of log ratios [N] that brings t to within half a step of that of `target`."""
    thickness = _thickness(ratio_log, flatness)
    steps = np.rint((_thickness(target, flatness) - thickness) / step)
    squares = np.exp(2 * (thickness + steps * step)) - flatness
    least = math.exp(2 * _RATIO_LOG_MIN)
    reached = np.where(squares > least, 0.5 * np.log(np.maximum(squares, least)), target)
    return np.where(steps == 0, 0.0, reached - ratio_log)


def _rounded_means(
    values: npt.NDArray[np.float64], groups: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """For each of `values` [N]: the rounded mean over its group of `groups` [N]."""
    group = groups.astype(np.int64)
    sums, counts = np.bincount(group, values), np.bincount(group)
    means: npt.NDArray[np.float64] = np.rint(sums / np.maximum(counts, 1))[group]
    return means
