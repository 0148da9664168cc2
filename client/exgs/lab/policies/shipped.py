"""The policies of the laboratory, with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.lab.assets.asset import Asset
from exgs.lab.policies.policy import HOLD, Look, by_view, in_order
from exgs.wire.visibility import box_weights

Doubles = npt.NDArray[np.float64]

_LEAST_GAIN = 1e-12


class FileOrder:
    """The order of the file, independent of the view, like a plain download."""

    def scores(self, look: Look) -> Doubles:
        """The order of the file."""
        return in_order(len(look.asset))


class Greedy:
    """The policy of exgs: gain per byte times the share of the newest view.

    See spec/protocol.md, section 10.
    """

    def scores(self, look: Look) -> Doubles:
        """The scores of the server's scheduler."""
        return by_view(_density(look), look.weights(0.0), look.asset)


class Boxes:
    """The policy of exgs with the coverage of boxes, without the rendering of layer 0."""

    def scores(self, look: Look) -> Doubles:
        """Scores as those of greedy, without occlusion."""
        weights = box_weights(look.asset.low, look.asset.high, look.camera)
        return by_view(_density(look), weights, look.asset)


class LayerByLayer:
    """All items of one layer in view before the next layer, then items out of view."""

    def scores(self, look: Look) -> Doubles:
        """Layers first, then coverage."""
        asset, weights = look.asset, look.weights(0.0)
        seen = weights.coverage > 0
        inner = np.where(seen, weights.coverage, 0.5 * weights.around)
        scores = np.clip(inner, 0, 0.999) - asset.layer - 1.0
        return np.where(seen, scores, scores - (asset.layer.max() + 2.0))


class Deadline:
    """Greedy over a predicted path.

    The value of an item is its gain times the mean of its coverage now and after the times
    `horizons_s`, except those before which it can't arrive at the measured rate. It follows
    deadline-aware tile streaming of video, as in Flare (Qian et al., MobiCom 2018).
    """

    def __init__(self, horizons_s: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0), fade: float = 0.7):
        self._horizons_s = horizons_s
        self._fade = fade

    def scores(self, look: Look) -> Doubles:
        """Gain per byte times the coverage over the predicted path."""
        asset = look.asset
        come_s = np.full(len(asset), look.round_trip_s / 2)
        if look.rate_bps > 0:
            come_s += look.missing_bytes * 8 / look.rate_bps
        total, coverage = 0.0, np.zeros(len(asset))
        around = look.weights(0.0).around
        for number, ahead_s in enumerate(self._horizons_s):
            part = self._fade**number
            seen = look.weights(ahead_s).coverage
            if ahead_s:
                seen = np.where(come_s <= ahead_s, seen, 0.0)
            coverage, total = coverage + part * seen, total + part
        weights = type(look.weights(0.0))(coverage / total, around)
        return by_view(_density(look), weights, asset)


class Bola:
    """BOLA's rule for tiles: (V (utility + gamma) - Q) / bytes (Spiteri et al., INFOCOM 2016).

    The utility of a tile is the logarithm of its gain so far. Q, its buffer, is the share of its
    bytes that have been sent. Tiles out of view have no utility.
    """

    def __init__(self, v: float = 1.0, gamma: float = 0.5) -> None:
        self._v, self._gamma = v, gamma

    def scores(self, look: Look) -> Doubles:
        """The rule for the next item of each tile."""
        asset, weights = look.asset, look.weights(0.0)
        before, whole_bytes = _chain_sums(asset)
        gain = np.maximum(asset.gain, _LEAST_GAIN)
        utility = np.log((before + gain) / np.maximum(before, gain.min()))
        utility = utility / max(float(utility.max()), 1e-12)
        queue = 1 - asset.item_bytes / np.maximum(whole_bytes, 1)
        value = np.maximum(self._v * (utility + self._gamma) - queue, 1e-6)
        return by_view(value / np.maximum(look.missing_bytes, 1), weights, asset)


class Analytic:
    """The optimal allocation by the conditions of Karush, Kuhn and Tucker (Shoham, Gersho 1988).

    At the optimal allocation of any number of bytes, the curves of quality over bytes of all
    cells have the same slope. The slope of an item on the convex hull of a cell's curve is the
    largest mean slope over it and any chain of items that need it. So an item of small gain is
    not delayed if items of large gain need it.
    """

    def __init__(self) -> None:
        self._slopes: tuple[str, Doubles] | None = None

    def scores(self, look: Look) -> Doubles:
        """The slope on the hull, weighted by the view."""
        asset = look.asset
        if self._slopes is None or self._slopes[0] != asset.key:
            self._slopes = asset.key, hull_slopes(asset)
        begun = asset.item_bytes / np.maximum(look.missing_bytes, 1)
        return by_view(self._slopes[1] * begun, look.weights(0.0), asset)


class KnowsFuture:
    """An upper bound: it knows the future views and the effect of each item.

    The value of an item is its reduction of the error, by the measured curves of the quality
    model, over the next `horizon_s` of the true path. It runs with several horizons, and the
    best run of a session counts: see `exgs.lab.session`.
    """

    def __init__(self, horizon_s: float = 2.0) -> None:
        self.horizon_s = horizon_s

    def scores(self, look: Look) -> Doubles:
        """Error reduction per byte."""
        if look.error_gain is None:
            raise ValueError("this policy needs the measured curves")
        value = look.error_gain(self.horizon_s)
        rest = by_view(_density(look), look.weights(0.0), look.asset)
        scores = value / np.maximum(look.missing_bytes, 1)
        least = np.where(rest < 0, rest, -1 / np.maximum(rest, 1e-300))
        return np.where(scores > 0, scores, least - 1.0)


class SogRule:
    """PlayCanvas' rule for streamed SOG: level by distance, with coarser levels first.

    Level 0 is used up to `base` units from the camera, each further level up to `multiplier`
    times as far (lodBaseDistance 5 and lodMultiplier 3 by default). Regions without their level
    show a coarser one (lodUnderfillLimit). Folders that no region needs are not loaded. Regions
    are ranked by distance.
    """

    def __init__(self, base: float = 5.0, multiplier: float = 3.0) -> None:
        self._base, self._multiplier = base, multiplier

    def scores(self, look: Look) -> Doubles:
        """Coarse levels first, then near regions."""
        asset, eye = look.asset, look.camera.position
        nearest = np.clip(eye, asset.low, asset.high)
        distance = np.linalg.norm(nearest - eye, axis=1)
        steps = np.log(np.maximum(distance, 1e-9) / self._base) / np.log(self._multiplier)
        wanted = np.maximum(np.floor(steps) + 1, 0)  # level; 0 is the finest
        level = asset.layer.max() - asset.layer
        scores = -asset.layer - distance / (distance.max() + 1.0)
        return np.where(level >= wanted, scores, HOLD)


def hull_slopes(asset: Asset) -> Doubles:
    """For each item, the largest mean gain per byte over it and any chain of items that need it."""
    gain, size = np.maximum(asset.gain, _LEAST_GAIN), asset.item_bytes.astype(np.float64)
    best = gain / size
    # The chain of each item up to its hull: a greedy merge from the leaves on.
    runs: list[tuple[float, float]] = [(0.0, 0.0)] * len(asset)
    for item in sorted(range(len(asset)), key=lambda i: -_depth(asset, i)):
        own_gain, own_size = float(gain[item]), float(size[item])
        behind = sorted((runs[n] for n in asset.unlocks[item]), key=lambda r: -r[0] / r[1])
        for more_gain, more_size in behind:
            if more_gain / more_size <= own_gain / own_size:
                break
            own_gain, own_size = own_gain + more_gain, own_size + more_size
        runs[item] = own_gain, own_size
        best[item] = own_gain / own_size
    return np.asarray(best, np.float64)


def _depth(asset: Asset, item: int) -> int:
    depth = 0
    while asset.needs[item] >= 0:
        item = int(asset.needs[item])
        depth += 1
    return depth


def _chain_sums(asset: Asset) -> tuple[Doubles, Doubles]:
    """The gain of all items that each item needs, and the bytes of these and itself."""
    before, whole = np.zeros(len(asset)), asset.item_bytes.astype(np.float64)
    for item in sorted(range(len(asset)), key=lambda i: _depth(asset, i)):
        needed = int(asset.needs[item])
        if needed >= 0:
            before[item] = before[needed] + max(float(asset.gain[needed]), _LEAST_GAIN)
            whole[item] += whole[needed]
    return before, whole


def _density(look: Look) -> Doubles:
    gain: Doubles = np.maximum(look.asset.gain, _LEAST_GAIN)
    return gain / np.maximum(look.missing_bytes, 1)


POLICIES: Mapping[str, Any] = {
    "file-order": FileOrder,
    "greedy": Greedy,
    "layers": LayerByLayer,
    "deadline": Deadline,
    "bola": Bola,
    "analytic": Analytic,
    "knows-future": KnowsFuture,
    "sog-rule": SogRule,
    "boxes": Boxes,
}
