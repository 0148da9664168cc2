"""A rate limit with bursts (token bucket), for requests of the peer.

Times are seconds of any monotonic clock.
"""

from __future__ import annotations


class RateLimit:
    """Allows `rate_per_s` requests on average, and up to `burst` at once."""

    __slots__ = ("_burst", "_left", "_rate_per_s", "_then_s")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._left = burst
        self._then_s = now_s

    def take(self, now_s: float) -> bool:
        """Count one request. Returns False, without counting it, if it exceeds the limit."""
        left = self._left_at(now_s)
        if left < 1:
            return False
        self._left, self._then_s = left - 1, now_s
        return True

    def delay_s(self, now_s: float) -> float:
        """Count one request. Returns the time to wait before the next one."""
        self._left, self._then_s = self._left_at(now_s) - 1, now_s
        return max(0.0, -self._left / self._rate_per_s)

    def is_rested(self, now_s: float) -> bool:
        """Whether a whole burst is available, so that this limit can be discarded."""
        return self._left_at(now_s) >= self._burst

    def _left_at(self, now_s: float) -> float:
        return min(self._burst, self._left + (now_s - self._then_s) * self._rate_per_s)
