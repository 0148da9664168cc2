"""The arrivals of a session, simulated or real."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Transcript:
    """The items of a session in the order of their completion at the viewer."""

    times_s: Doubles  # [N] completion times since the start of the session, ascending
    items: Longs  # [N]
    byte_times_s: Doubles  # [M] ascending
    bytes: Longs  # [M] received bytes by then, with all overhead
    answered_s: Doubles  # [V] for each change of view, the time to the first byte chosen for it
    done_s: float | None  # time when all wanted items had arrived
    partial_bytes: int = 0  # bytes of items that were not complete at the end
    events: int = 0  # simulated fragments or segments

    def bytes_at(self, time_s: float) -> int:
        """The bytes received by a time."""
        place = int(np.searchsorted(self.byte_times_s, time_s, "right"))
        return int(self.bytes[place - 1]) if place else 0
