"""A small network that spreads leaves over the places of missing leaves.

While few leaves have arrived, each must stand in for missing neighbours. The network widens, moves
and tints each leaf. Its features are the leaf's shape and opacity, and the distances, colours and
sizes of its neighbours; two layers also read the activations of the neighbours. The output is again
a set of Gaussians, so gaps close consistently in all views and occlusion stays correct. The output
does not depend on the sign of colours (relative to grey), so dark surfaces are not taken for gaps.
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
    Neighbours,
    find_candidates,
    find_neighbours,
)
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.rasterizer import DoubleArray
from exgs.scene.rotations import rotation_matrices

_SHIPPED = Path(__file__).parent / "weights" / "spread.npz"

FEATURES = 31
OUTPUTS = 6  # logs of three scale factors, opacity, shift towards the neighbours' colour, position
LAYERS, NEIGHBOUR_LAYERS = 5, (2, 3)  # layers that also read the mean of the neighbours
LEAST_LOG_SCALE, MOST_LOG_SCALE = -3.0, 4.0  # limits of the logs of scale factors

_SHAPE_FEATURES = 19
_SPARSE_QUANTILE = 0.95  # this quantile of the distances tells how unevenly leaves are placed
_TINY = 1e-12
_LOGIT_RANGE = 1e-3, 1 - 1e-3
_MOST_LOGIT = 80  # keeps exponentials finite


@dataclass(frozen=True, slots=True, eq=False)
class LeafInputs:
    """The network's input for N leaves, and the values that its outputs are relative to."""

    features: FloatArray  # [N, FEATURES]
    nearest: Ints  # [N, 6] indices of the nearest leaves, nearest first
    axes: Ints  # [N, 3] indices of each leaf's axes, longest first
    offset: FloatArray  # [N, 3] from the leaf to the mean position of the nearest leaves
    color: FloatArray  # [N, 3] mean colour of the nearest leaves, SH degree 0


@cache
def shipped() -> Spread:
    """The network whose weights are shipped with the package."""
    with np.load(_SHIPPED) as weights:
        return Spread({name: weights[name].astype(np.float32) for name in weights})


def leaf_inputs(leaves: Gaussians, missing: float, candidates: Ints | None = None) -> LeafInputs:
    """Compute the network's input for `leaves`, which must be more than 6.

    `missing` is the share of the scene's leaves that have not arrived. `candidates` is the result
    of `find_candidates`, if it is known already.
    """
    count = len(leaves)
    if candidates is None:
        candidates = find_candidates(leaves.means)
    nearest = np.empty((count, NEIGHBOURS), np.int64)
    axes = np.argsort(-leaves.scales, axis=1, kind="stable")
    offset = np.empty((count, 3), np.float32)
    shape = np.empty((count, _SHAPE_FEATURES), np.float32)
    spans = np.empty(count)
    for start in range(0, count, SLAB):
        rows = slice(start, start + SLAB)
        found = find_neighbours(leaves.means, candidates, rows)
        nearest[rows], offset[rows] = found.nearest, found.offsets.mean(axis=1)
        spans[rows] = found.distances.mean(axis=1)
        shape[rows] = _shape(found, leaves.scales[rows], leaves.quats[rows], axes[rows])
    opacity = logit(leaves.opacities)
    size = np.log(np.maximum(leaves.scales, _TINY)).mean(axis=1)
    color = SH_C0 * leaves.sh0
    others, sizes = color[nearest], size[nearest]
    span, wide = np.maximum(np.quantile(spans, (0.5, _SPARSE_QUANTILE)), _TINY)
    mean = others.mean(axis=1)
    rest = [
        opacity / 2,
        np.full(count, logit(np.array(missing))),
        4 * np.abs(mean - color).mean(axis=1),
        4 * others.std(axis=1).mean(axis=1),
        4 * np.abs((color - mean).mean(axis=1)),
        2 * np.abs(color.mean(axis=1)),
        (opacity[nearest].mean(axis=1) - opacity) / 2,
        np.clip(sizes.mean(axis=1) - size, -4, 4),
        np.clip(sizes.std(axis=1), 0, 4),
        np.clip(np.log(np.maximum(spans, _TINY) / span), -4, 4),
        np.clip(size - np.median(size), -4, 4),
        np.full(count, np.log(wide / span)),
    ]
    features = np.concatenate([shape, np.stack(rest, axis=1)], axis=1).astype(np.float32)
    return LeafInputs(features, nearest, axes, offset, leaves.sh0[nearest].mean(axis=1))


def _shape(found: Neighbours, scales: FloatArray, quats: FloatArray, axes: Ints) -> DoubleArray:
    """Features [n, 19] from the shape of leaves and the neighbours' positions along their axes."""
    frame = np.take_along_axis(rotation_matrices(quats), axes[:, None, :], axis=2)
    own = np.maximum(np.take_along_axis(scales, axes, axis=1), _TINY).astype(np.float64)
    parts: list[DoubleArray] = []
    for offsets, number in ((found.offsets, NEIGHBOURS), (found.all_offsets, found.count)):
        along = offsets @ frame
        reach = np.sqrt(np.square(along).sum(axis=1) / number) + _TINY
        parts += [np.clip(np.log(reach / own), -5, 5)]
        parts += [np.abs(along.sum(axis=1) / number) / reach]
        if offsets is found.offsets:
            parts += [np.clip(np.log(reach[:, 1:] / reach[:, :-1]), -4, 4)]
    parts += [np.clip(np.log(own[:, 1:] / own[:, :-1]), -5, 0)]
    spans = np.maximum(found.distances[:, [0, 2, NEIGHBOURS - 1]], _TINY)
    parts += [np.clip(np.log(spans / own[:, :1]), -5, 5)]
    return np.concatenate(parts, axis=1)


def logit(share: npt.NDArray[np.floating]) -> FloatArray:
    """The logit of values in [0, 1], which are first clipped to avoid infinities."""
    clipped = np.clip(share, *_LOGIT_RANGE)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


class Spread:
    """The network, evaluated with numpy."""

    def __init__(self, weights: Mapping[str, FloatArray]) -> None:
        """`weights` has the names of a torch.nn.ModuleList: 0.weight, 0.bias, 1.weight, ..."""
        self._layers = [(weights[f"{n}.weight"], weights[f"{n}.bias"]) for n in range(LAYERS)]

    def __call__(
        self, leaves: Gaussians, missing: float, candidates: Ints | None = None
    ) -> Gaussians:
        """Spread `leaves`; 6 leaves or fewer are returned unchanged. See `leaf_inputs`."""
        if len(leaves) <= NEIGHBOURS:
            return leaves
        return self.apply(leaves, leaf_inputs(leaves, missing, candidates))

    def apply(self, leaves: Gaussians, inputs: LeafInputs) -> Gaussians:
        """Spread leaves whose inputs are known."""
        return apply_outputs(self.outputs(inputs), leaves, inputs)

    def outputs(self, inputs: LeafInputs) -> FloatArray:
        """The network's output [N, OUTPUTS]."""
        x = inputs.features
        for number, (weight, bias) in enumerate(self._layers):
            before, x = x, np.empty((len(x), len(bias)), np.float32)
            for start in range(0, len(x), SLAB):
                rows = slice(start, start + SLAB)
                given = before[rows]
                if number in NEIGHBOUR_LAYERS:
                    others = before[inputs.nearest[rows]].mean(axis=1)
                    given = np.concatenate([given, others], axis=1)
                x[rows] = given @ weight.T + bias
                if number < LAYERS - 1:
                    x[rows] *= _sigmoid(x[rows])
        return x


def apply_outputs(outputs: FloatArray, leaves: Gaussians, inputs: LeafInputs) -> Gaussians:
    """Apply the network's outputs [N, OUTPUTS] to `leaves`."""
    log_scales = np.empty_like(leaves.scales)
    clipped = outputs[:, :3].clip(LEAST_LOG_SCALE, MOST_LOG_SCALE)
    np.put_along_axis(log_scales, inputs.axes, clipped, axis=1)
    logits = logit(leaves.opacities) + 2 * outputs[:, 3]
    return replace(
        leaves,
        means=leaves.means + outputs[:, 5:6] * inputs.offset,
        scales=leaves.scales * np.exp(log_scales),
        opacities=_sigmoid(logits),
        sh0=leaves.sh0 + outputs[:, 4:5] * (inputs.color - leaves.sh0),
    )


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -_MOST_LOGIT, _MOST_LOGIT))), np.float32)
