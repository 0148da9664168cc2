"""The reduction of the error of future views by each item, for the upper bound."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.lab.assets.asset import Asset
from exgs.lab.quality.curves import Curves

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

_SAMPLES = 6  # future views per estimate


class ErrorGains:
    """Error reductions of items, from the measured curves and the true path."""

    def __init__(self, asset: Asset, curves: Curves, places: Longs, step_s: float) -> None:
        self._asset, self._curves = asset, curves
        self._places = places  # for each view of the session, the measured view
        self._step_s = step_s
        self._touched = [np.flatnonzero(asset.progress_of[:, t]) for t in range(asset.tile_count)]

    def per_item(self, view: int, horizon_s: float, here: npt.NDArray[np.bool_]) -> Doubles:
        """The mean reduction [I] of the error of the views in the next seconds by each item."""
        asset = self._asset
        now = asset.progress(here)
        last = min(view + max(1, round(horizon_s / self._step_s)), len(self._places) - 1)
        numbers = np.unique(np.linspace(min(view, last), last, _SAMPLES).astype(np.int64))
        of_views, counts = np.unique(self._places[numbers], return_counts=True)
        total = np.zeros(len(asset))
        for measured, count in zip(of_views.tolist(), counts.tolist(), strict=True):
            total += count * self._in_view(measured, now)
        return total / len(numbers)

    def _in_view(self, measured: int, now: npt.NDArray[np.float32]) -> Doubles:
        asset, curves = self._asset, self._curves
        logs = np.log(np.maximum(curves.errors[measured], 1e-9))
        won = np.zeros(len(asset))
        # Error of the current picture: reductions are relative, since PSNR is logarithmic.
        error = 1e-9
        for tile, items in enumerate(self._touched):
            states = curves.progress[:, tile]
            moved = asset.progress_of[items, tile]
            then = np.maximum(now[tile], moved) if asset.is_level else now[tile] + moved
            before = np.exp(np.interp(now[tile], states, logs[:, tile]))
            error += before
            won[items] += before - np.exp(np.interp(then, states, logs[:, tile]))
        return np.maximum(won, 0.0) / error
