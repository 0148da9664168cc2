"""Virtual time: a queue of events, and a clock that jumps from each to the next."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

_MOST_EVENTS = 10_000_000  # more means that something goes round in a circle


class World:
    """Calls what is due, in order of time; what is due at the same time in order of entry."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, time_s: float, call: Callable[[], None]) -> None:
        """Call at `time_s`, or now if that has passed."""
        heapq.heappush(self._events, (max(time_s, self.now_s), next(self._numbers), call))

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call in `delay_s` seconds."""
        self.at(self.now_s + delay_s, call)

    def run(self, until_s: float = float("inf")) -> None:
        """Call everything that is due up to `until_s`, and what that brings about.

        Raises RuntimeError where it never ends.
        """
        for _ in range(_MOST_EVENTS):
            if not self._events or self._events[0][0] > until_s:
                break
            self.now_s, _, call = heapq.heappop(self._events)
            call()
        else:
            raise RuntimeError(f"{_MOST_EVENTS} events, and no end")
        if until_s != float("inf"):
            self.now_s = max(self.now_s, until_s)
