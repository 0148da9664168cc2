"""When to give up a connection that is silent.

Bytes count, not messages: a long message takes time on a slow link. The transport sends a ping
after a silence and reports the pong. A pong alone shows that the server is alive but idle.
"""

from __future__ import annotations

CONNECT_S = 10.0  # for opening a connection
SILENCE_S = 10.0  # time without a byte


class Silence:
    """Tracks the silence of one connection."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since_s = 0.0

    def waits(self, now_s: float) -> None:
        """Start to wait for the next message."""
        self._since_s = now_s

    @property
    def wake_s(self) -> float:
        """The time to give up if nothing arrives until then."""
        return self._since_s + self.limit_s

    def is_over(self, now_s: float) -> bool:
        """Whether to give up, after a pong or a silence."""
        return now_s >= self.wake_s
