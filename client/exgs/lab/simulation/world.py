"""Virtual time: a queue of events, and a clock that advances from event to event."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

_MOST_EVENTS = 10_000_000  # more events indicate an endless loop


class World:
    """Calls scheduled functions in order of time; at equal times in order of scheduling."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, time_s: float, call: Callable[[], None]) -> None:
        """Schedule a call at `time_s`, or now if that has passed."""
        heapq.heappush(self._events, (max(time_s, self.now_s), next(self._numbers), call))

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Schedule a call in `delay_s` seconds."""
        self.at(self.now_s + delay_s, call)

    def run(self, until_s: float = float("inf")) -> None:
        """Run all calls up to `until_s`, including those that they schedule.

        Raises RuntimeError if there are too many.
        """
        for _ in range(_MOST_EVENTS):
            if not self._events or self._events[0][0] > until_s:
                break
            self.now_s, _, call = heapq.heappop(self._events)
            call()
        else:
            raise RuntimeError(f"{_MOST_EVENTS} events without an end")
        if until_s != float("inf"):
            self.now_s = max(self.now_s, until_s)
