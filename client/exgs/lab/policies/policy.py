"""The interface of policies.

A policy computes a score for every item. The next item is the one with the highest score among
those whose needed items have been sent. The scores are computed again for every new view, and
periodically. A user-defined policy is a class with a method `scores`; see `docs/laboratory.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from exgs.lab.assets.asset import Asset
from exgs.scene.camera import Camera
from exgs.wire.visibility import BoxWeights

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

HOLD = -np.inf  # score of items that must not be sent now


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The information for a policy."""

    now_s: float  # since the start of the session
    asset: Asset
    camera: Camera  # of the newest view that has arrived
    sent_bytes: Longs  # [I] sent bytes of each item
    rate_bps: float  # recent measurement of the link rate; 0: unknown
    round_trip_s: float
    # Weights of the items in the view after this many seconds.
    weights: Callable[[float], BoxWeights]
    # according to the predictor; 0 is the newest view
    left_s: float  # remaining time of the session, for policies that use it
    error_gain: Callable[[float], Doubles] | None = None  # only for policies that know the future

    @property
    def missing_bytes(self) -> Longs:
        """[I] unsent bytes of each item."""
        return self.asset.item_bytes - self.sent_bytes


class Policy(Protocol):
    """Chooses the next item."""

    def scores(self, look: Look) -> Doubles:
        """Scores [I]: the highest comes first; items with HOLD wait for the next call."""
        ...


def in_order(count: int) -> Doubles:
    """Scores that give the order of the file."""
    return -np.arange(count, dtype=np.float64)


def by_view(density: Doubles, weights: BoxWeights, asset: Asset) -> Doubles:
    """Scores by value per byte and weight: items in view first, then the nearest.

    See spec/protocol.md, section 10, and `exgs.wire.plan.PartPlan.scores`.
    """
    density = np.maximum(density, 1e-300)
    coverage = np.where(asset.is_setup, 0.0, weights.coverage * asset.share)
    around = np.where(asset.is_setup, 1.0, weights.around * asset.share)
    out_of_view = -1 / np.maximum(density * around, 1e-300)
    scores: Doubles = np.where(coverage > 0, density * coverage, out_of_view)
    return scores
