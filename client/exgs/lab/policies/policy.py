"""The interface of a policy: what it may know, and what it says.

A policy gives every item a score, and the highest goes next among those whose needed items have
gone. It is asked whenever a new view has come, and every now and then besides. A class with
`scores` in a file of one's own is enough; `docs/laboratory.md` shows one.
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

HOLD = -np.inf  # the score of an item that must not be sent now


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a policy knows when it is asked."""

    now_s: float  # since the session began
    asset: Asset
    camera: Camera  # of the newest view that has come
    sent_bytes: Longs  # [I] of each item
    rate_bps: float  # of the link, as measured of late; 0 before anything was measured
    round_trip_s: float
    weights: Callable[[float], BoxWeights]  # of the items, in the view so many seconds from now
    # as the predictor says; 0: in the newest view
    left_s: float  # of the session, for policies that know when it ends
    error_gain: Callable[[float], Doubles] | None = None  # only for those that know the future

    @property
    def missing_bytes(self) -> Longs:
        """[I] bytes of each item that have not been sent."""
        return self.asset.item_bytes - self.sent_bytes


class Policy(Protocol):
    """Chooses what is sent next."""

    def scores(self, look: Look) -> Doubles:
        """A score [I] for each item; the highest goes first, HOLD never until asked again."""
        ...


def in_order(count: int) -> Doubles:
    """Scores that keep the order of the file."""
    return -np.arange(count, dtype=np.float64)


def by_view(density: Doubles, weights: BoxWeights, asset: Asset) -> Doubles:
    """Scores of values per byte, weighted by the view: in view first, then what lies nearest.

    As spec/protocol.md, section 10, and `exgs.wire.plan.PartPlan.scores`.
    """
    density = np.maximum(density, 1e-300)
    coverage = np.where(asset.is_setup, 0.0, weights.coverage * asset.share)
    around = np.where(asset.is_setup, 1.0, weights.around * asset.share)
    out_of_view = -1 / np.maximum(density * around, 1e-300)
    scores: Doubles = np.where(coverage > 0, density * coverage, out_of_view)
    return scores
