"""When a connection is given up because nothing comes.

What counts is bytes: a long message may take its time on a slow link. The transport pings after a
silence and reports the pong; a pong that comes alone shows a server that is there, but has nothing
to say.
"""

from __future__ import annotations

CONNECT_S = 10.0  # for a connection to be made
SILENCE_S = 10.0  # without a byte


class Silence:
    """The patience of one connection."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since_s = 0.0

    def waits(self, now_s: float) -> None:
        """From now on the next message is awaited."""
        self._since_s = now_s

    @property
    def wake_s(self) -> float:
        """When to give up if nothing comes until then."""
        return self._since_s + self.limit_s

    def is_over(self, now_s: float) -> bool:
        """Whether it is time to give up, as far as a pong, or a silence, tells."""
        return now_s >= self.wake_s
