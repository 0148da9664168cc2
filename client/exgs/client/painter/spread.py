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

from exgs.client.painter.stretch import candidates
from exgs.codec.proxies import rotation_matrices
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians

Ints = npt.NDArray[np.int64]

SHIPPED = Path(__file__).parent / "weights" / "spread.npz"

FEATURES = 28
ANSWERS = 6  # logs of three scales, opacity, share of the neighbours' colour, of the way to them
LAYERS, ASKING = 5, (2, 3)  # in front of which layers neighbours are asked
SMALLEST, LARGEST = -3.0, 4.0  # answers for scales

_NEIGHBOURS = 6
_FAR = 2.0  # median distances: neighbours beyond count as if so near
_TINY = 1e-12
_OPACITIES = 1e-3, 1 - 1e-3
_SLAB = 1 << 14  # leaves at a time


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
    with np.load(SHIPPED) as weights:
        return Spread({name: weights[name].astype(np.float32) for name in weights})


def look_around(leaves: Gaussians, missing: float) -> Surroundings:
    """The surroundings of `leaves`, of more than 6, where this share of the scene is missing."""
    count = len(leaves)
    near_by = candidates(leaves.means)
    around = np.empty((count, _NEIGHBOURS), np.int64)
    axes = np.argsort(-leaves.scales, axis=1, kind="stable")
    middle = np.empty((count, 3), np.float32)
    parts = []
    for start in range(0, count, _SLAB):
        rows = slice(start, start + _SLAB)
        shape, around[rows], middle[rows] = _shape(leaves, near_by[rows], axes[rows], rows)
        parts.append(shape)
    shape = np.concatenate(parts)
    opacity = logit(leaves.opacities)
    size = np.log(np.maximum(leaves.scales, _TINY)).mean(axis=1)
    color = SH_C0 * leaves.sh0
    others = color[around]
    rest = [
        opacity / 2,
        np.full(count, logit(np.array(missing))),
        4 * np.abs(others.mean(axis=1) - color).mean(axis=1),
        4 * others.std(axis=1).mean(axis=1),
        4 * np.abs((color - others.mean(axis=1)).mean(axis=1)),
        2 * np.abs(color.mean(axis=1)),
        (opacity[around].mean(axis=1) - opacity) / 2,
        np.clip(size[around].mean(axis=1) - size, -4, 4),
        np.clip(size[around].std(axis=1), 0, 4),
    ]
    features = np.concatenate([shape, np.stack(rest, axis=1)], axis=1).astype(np.float32)
    return Surroundings(features, around, axes, middle, leaves.sh0[around].mean(axis=1))


def _shape(
    leaves: Gaussians, near_by: Ints, axes: Ints, rows: slice
) -> tuple[FloatArray, Ints, FloatArray]:
    """Features [n, 19] of a slab of leaves, their nearest [n, 6] and the middle [n, 3] of these."""
    offsets = leaves.means[near_by] - leaves.means[rows, None]
    distance = np.linalg.norm(offsets, axis=2)
    twice = np.zeros(distance.shape, bool)
    twice[:, 1:] = near_by[:, 1:] == near_by[:, :-1]  # found along several curves
    distance[twice] = np.inf
    nearest = np.argpartition(distance, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    order = np.argsort(np.take_along_axis(distance, nearest, axis=1), axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=1)
    distance = np.take_along_axis(distance, nearest, axis=1)
    close = np.take_along_axis(offsets, nearest[..., None], axis=1)
    median = np.median(distance, axis=1, keepdims=True)
    close = close * np.minimum(1, _FAR * median / np.maximum(distance, _TINY))[..., None]
    offsets[twice] = 0
    found = (~twice).sum(axis=1)[:, None]
    frame = np.take_along_axis(rotation_matrices(leaves.quats[rows]), axes[:, None, :], axis=2)
    scales = np.maximum(np.take_along_axis(leaves.scales[rows], axes, axis=1), _TINY)
    parts: list[FloatArray] = []
    for among, number in ((close, np.float32(_NEIGHBOURS)), (offsets, found)):
        along = among @ frame.astype(np.float32)
        reach = np.sqrt(np.square(along).sum(axis=1) / number) + _TINY
        parts += [np.clip(np.log(reach / scales), -5, 5)]
        parts += [np.abs(along.sum(axis=1) / number) / reach]
        if among is close:
            parts += [np.clip(np.log(reach[:, 1:] / reach[:, :-1]), -4, 4)]
    parts += [np.clip(np.log(scales[:, 1:] / scales[:, :-1]), -5, 0)]
    spans = np.maximum(distance[:, [0, 2, _NEIGHBOURS - 1]], _TINY)
    parts += [np.clip(np.log(spans / scales[:, :1]), -5, 5)]
    middle: FloatArray = close.mean(axis=1)
    return np.concatenate(parts, axis=1), np.take_along_axis(near_by, nearest, axis=1), middle


def logit(share: npt.NDArray[np.floating]) -> FloatArray:
    """Of opacities, which are kept off 0 and 1."""
    clipped = np.clip(share, *_OPACITIES)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


class Spread:
    """The network, in numpy."""

    def __init__(self, weights: Mapping[str, FloatArray]) -> None:
        """`weights` as a torch.nn.ModuleList of linear layers names them: 0.weight, 0.bias, ..."""
        self._layers = [(weights[f"{n}.weight"], weights[f"{n}.bias"]) for n in range(LAYERS)]

    def __call__(self, leaves: Gaussians, missing: float) -> Gaussians:
        """`leaves`, each as the network would have it; a few alone stay as they are."""
        if len(leaves) <= _NEIGHBOURS:
            return leaves
        return self.of(leaves, look_around(leaves, missing))

    def of(self, leaves: Gaussians, seen: Surroundings) -> Gaussians:
        """The same, of leaves whose surroundings are known."""
        return spread_by(self.answers(seen), leaves, seen)

    def answers(self, seen: Surroundings) -> FloatArray:
        """The network's output [N, ANSWERS]."""
        x = seen.features
        for number, (weight, bias) in enumerate(self._layers):
            if number in ASKING:
                x = np.concatenate([x, _mean_of(x, seen.around)], axis=1)
            x = x @ weight.T + bias
            if number < LAYERS - 1:
                x = x / (1 + np.exp(-np.clip(x, -80, 80)))
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
        opacities=1 / (1 + np.exp(-odds)),
        sh0=leaves.sh0 + answers[:, 4:5] * (seen.color - leaves.sh0),
    )


def _mean_of(x: FloatArray, around: Ints) -> FloatArray:
    """Of the rows of `x` [N, C] that `around` [N, K] names."""
    total = x[around[:, 0]]
    for column in around.T[1:]:
        total += x[column]
    return total / np.float32(around.shape[1])
