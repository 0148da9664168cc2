"""Leaves spread over what is missing: a small network widens, moves and tints each of them.

Where only few leaves of a file have come, each has to stand for the neighbours that have not. The
network sees a leaf's shape and opacity beside the distances, colours and sizes of those around it,
and passes on what it has seen, twice. Its answer is a scene again: gaps close in the same way
whatever the view, and surfaces hide what lies behind them. Were all colours their opposites, its
answer would be the same: nothing is taken for a gap because it is dark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.painter.stretch import (
    NEIGHBOURS,
    SLAB,
    Ints,
    Near,
    candidates,
    near,
)
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.rasterizer import DoubleArray
from exgs.scene.rotations import rotation_matrices

_SHIPPED = Path(__file__).parent / "weights" / "spread.npz"

FEATURES = 31
ANSWERS = 6  # logs of three scales, opacity, share of the neighbours' colour, of the way to them
LAYERS, ASKING = 5, (2, 3)  # in front of which layers neighbours are asked
SMALLEST, LARGEST = -3.0, 4.0  # answers for scales

_SHAPE_FEATURES = 19
_SPARSEST = 0.95  # quantile of the distances, that tells how unevenly leaves lie
_TINY = 1e-12
_SHARES = 1e-3, 1 - 1e-3
_MOST_ODDS = 80  # logarithm: no exponential overflows


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the network knows of N leaves, and what its answers are relative to."""

    features: FloatArray  # [N, FEATURES]
    around: Ints  # [N, 6] the nearest leaves, nearest first
    axes: Ints  # [N, 3] of a leaf, the longest first
    middle: FloatArray  # [N, 3] of the nearest leaves, from the leaf
    color: FloatArray  # [N, 3] their mean, degree-0 coefficients


@cache
def shipped() -> Spread:
    """The network of the package."""
    with np.load(_SHIPPED) as weights:
        return Spread({name: weights[name].astype(np.float32) for name in weights})


def look_around(leaves: Gaussians, missing: float, near_by: Ints | None = None) -> Surroundings:
    """The surroundings of `leaves`, of more than 6, where this share of the scene is missing.

    `near_by` are their `candidates`, where these are known already.
    """
    count = len(leaves)
    if near_by is None:
        near_by = candidates(leaves.means)
    around = np.empty((count, NEIGHBOURS), np.int64)
    axes = np.argsort(-leaves.scales, axis=1, kind="stable")
    middle = np.empty((count, 3), np.float32)
    shape = np.empty((count, _SHAPE_FEATURES), np.float32)
    spans = np.empty(count)
    for start in range(0, count, SLAB):
        rows = slice(start, start + SLAB)
        found = near(leaves.means, near_by, rows)
        around[rows], middle[rows] = found.around, found.close.mean(axis=1)
        spans[rows] = found.distance.mean(axis=1)
        shape[rows] = _shape(found, leaves.scales[rows], leaves.quats[rows], axes[rows])
    opacity = logit(leaves.opacities)
    size = np.log(np.maximum(leaves.scales, _TINY)).mean(axis=1)
    color = SH_C0 * leaves.sh0
    others, sizes = color[around], size[around]
    span, wide = np.maximum(np.quantile(spans, (0.5, _SPARSEST)), _TINY)
    mean = others.mean(axis=1)
    rest = [
        opacity / 2,
        np.full(count, logit(np.array(missing))),
        4 * np.abs(mean - color).mean(axis=1),
        4 * others.std(axis=1).mean(axis=1),
        4 * np.abs((color - mean).mean(axis=1)),
        2 * np.abs(color.mean(axis=1)),
        (opacity[around].mean(axis=1) - opacity) / 2,
        np.clip(sizes.mean(axis=1) - size, -4, 4),
        np.clip(sizes.std(axis=1), 0, 4),
        np.clip(np.log(np.maximum(spans, _TINY) / span), -4, 4),
        np.clip(size - np.median(size), -4, 4),
        np.full(count, np.log(wide / span)),
    ]
    features = np.concatenate([shape, np.stack(rest, axis=1)], axis=1).astype(np.float32)
    return Surroundings(features, around, axes, middle, leaves.sh0[around].mean(axis=1))


def _shape(found: Near, scales: FloatArray, quats: FloatArray, axes: Ints) -> DoubleArray:
    """Features [n, 19] of leaves by their shape, beside where others lie along their axes."""
    frame = np.take_along_axis(rotation_matrices(quats), axes[:, None, :], axis=2)
    own = np.maximum(np.take_along_axis(scales, axes, axis=1), _TINY).astype(np.float64)
    parts: list[DoubleArray] = []
    for among, number in ((found.close, NEIGHBOURS), (found.wider, found.found)):
        along = among @ frame
        reach = np.sqrt(np.square(along).sum(axis=1) / number) + _TINY
        parts += [np.clip(np.log(reach / own), -5, 5)]
        parts += [np.abs(along.sum(axis=1) / number) / reach]
        if among is found.close:
            parts += [np.clip(np.log(reach[:, 1:] / reach[:, :-1]), -4, 4)]
    parts += [np.clip(np.log(own[:, 1:] / own[:, :-1]), -5, 0)]
    spans = np.maximum(found.distance[:, [0, 2, NEIGHBOURS - 1]], _TINY)
    parts += [np.clip(np.log(spans / own[:, :1]), -5, 5)]
    return np.concatenate(parts, axis=1)


def logit(share: npt.NDArray[np.floating]) -> FloatArray:
    """The logarithm of the odds, of shares that are kept off 0 and 1."""
    clipped = np.clip(share, *_SHARES)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


class Spread:
    """The network, in numpy."""

    def __init__(self, weights: Mapping[str, FloatArray]) -> None:
        """`weights` as a torch.nn.ModuleList of linear layers names them: 0.weight, 0.bias, ..."""
        self._layers = [(weights[f"{n}.weight"], weights[f"{n}.bias"]) for n in range(LAYERS)]

    def __call__(self, leaves: Gaussians, missing: float, near_by: Ints | None = None) -> Gaussians:
        """`leaves`, each as the network would have it; a few alone stay as they are.

        See `look_around`.
        """
        if len(leaves) <= NEIGHBOURS:
            return leaves
        return self.of(leaves, look_around(leaves, missing, near_by))

    def of(self, leaves: Gaussians, seen: Surroundings) -> Gaussians:
        """The same, of leaves whose surroundings are known."""
        return spread_by(self.answers(seen), leaves, seen)

    def answers(self, seen: Surroundings) -> FloatArray:
        """The network's output [N, ANSWERS]."""
        x = seen.features
        for number, (weight, bias) in enumerate(self._layers):
            before, x = x, np.empty((len(x), len(bias)), np.float32)
            for start in range(0, len(x), SLAB):
                rows = slice(start, start + SLAB)
                given = before[rows]
                if number in ASKING:
                    others = before[seen.around[rows]].mean(axis=1)
                    given = np.concatenate([given, others], axis=1)
                x[rows] = given @ weight.T + bias
                if number < LAYERS - 1:
                    x[rows] *= _sigmoid(x[rows])
        return x


def spread_by(answers: FloatArray, leaves: Gaussians, seen: Surroundings) -> Gaussians:
    """What the network's answers make of `leaves`."""
    factors = np.empty_like(leaves.scales)
    np.put_along_axis(factors, seen.axes, answers[:, :3].clip(SMALLEST, LARGEST), axis=1)
    odds = logit(leaves.opacities) + 2 * answers[:, 3]
    return replace(
        leaves,
        means=leaves.means + answers[:, 5:6] * seen.middle,
        scales=leaves.scales * np.exp(factors),
        opacities=_sigmoid(odds),
        sh0=leaves.sh0 + answers[:, 4:5] * (seen.color - leaves.sh0),
    )


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -_MOST_ODDS, _MOST_ODDS))), np.float32)
