"""What a session brought, and when: the same for simulated and real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Transcript:
    """Items in the order in which they became complete at the viewer."""

    times_s: Doubles  # [N] since the session began, rising
    items: Longs  # [N]
    byte_times_s: Doubles  # [M] rising
    bytes: Longs  # [M] received by then, with all overhead
    answered_s: Doubles  # [V] for each change of view: from it to the first byte chosen for it
    done_s: float | None  # when everything that is wanted was there
    partial_bytes: int = 0  # of items that were not complete at the end
    events: int = 0  # fragments or segments that were simulated

    def bytes_at(self, time_s: float) -> int:
        """Bytes received by a time."""
        place = int(np.searchsorted(self.byte_times_s, time_s, "right"))
        return int(self.bytes[place - 1]) if place else 0
