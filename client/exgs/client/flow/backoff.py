"""When to reconnect after a failure, and when to give up.

The wait doubles with each consecutive failure. A connection that has received bytes resets the
count, but not a part that arrives damaged repeatedly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

_ATTEMPTS = 6  # consecutive failures without bytes, after bytes have arrived once
_FIRST_ATTEMPTS = 2  # before the first byte, unless the server asks to come back
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 120.0  # longest wait that a server may ask for


@dataclass(frozen=True, slots=True)
class Retry:
    """Reconnect at `at_s`, which is `wait_s` after the failure."""

    wait_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not reconnect, for this reason."""

    reason: str


class Backoff:
    """Decides after each failure of one download."""

    def __init__(self, *, first_wait_s: float = _FIRST_WAIT_S) -> None:
        self._first_wait_s = first_wait_s
        self._failures = 0  # consecutive
        self._kept_bytes = 0
        self._damage: Counter[int] = Counter()  # part -> how often it arrived damaged

    def failed(
        self,
        now_s: float,
        kept_bytes: int,
        *,
        retry_after_s: float = 0.0,
        damaged_part: int | None = None,
    ) -> Retry | GiveUp:
        """Decide what to do after a failure at `now_s`.

        `kept_bytes` is the number of bytes kept over all connections. `retry_after_s` is the wait
        that the server asks for. `damaged_part` is the part whose wrong hash ended the connection.
        """
        came_further = kept_bytes > self._kept_bytes
        self._kept_bytes = kept_bytes
        self._failures = 1 if came_further else self._failures + 1
        if damaged_part is not None:
            self._damage[damaged_part] += 1
            self._failures = self._damage[damaged_part]
        if self._failures >= (_ATTEMPTS if kept_bytes or retry_after_s else _FIRST_ATTEMPTS):
            return GiveUp(f"gave up after {self._failures} attempts")
        wait_s = max(self._first_wait_s * 2 ** (self._failures - 1), retry_after_s)
        if wait_s > _LONGEST_WAIT_S:
            return GiveUp(f"it asks to come back in {wait_s:g} s")
        return Retry(wait_s, now_s + wait_s)
