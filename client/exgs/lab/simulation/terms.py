"""The settings of a simulated session."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings of a simulated session."""

    length_s: float
    replan_s: float = 0.5  # maximum time between two calls of the policy
    profile: str = "push"  # or "ranges"
    connect_trips: float = 2.0  # round trips before the first request: TCP, upgrade
    seed: int = 0
