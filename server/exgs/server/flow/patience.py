"""Time limits of the server: for the head of a request, for a reader, for an idle stream.

Slow readers are accepted as long as they make progress; stalled readers are not.
"""

from __future__ import annotations

from exgs.server.config import Patience

_PINGS = 3  # unanswered pings before a stream is closed


class HeadWait:
    """Checks whether the head of the next request of a connection takes too long."""

    def __init__(self, patience: Patience, now_s: float) -> None:
        self._patience = patience
        self._since_s = now_s  # of the connection, a request, or the last response
        self._is_resting = False  # between a response and the next request
        self._is_busy = False  # a request is being handled

    def request_begins(self) -> None:
        """The head of a request is complete."""
        self._is_busy = True

    def request_ends(self, now_s: float) -> None:
        """A request has been answered."""
        self._is_busy, self._is_resting, self._since_s = False, True, now_s

    def came(self, now_s: float) -> None:
        """Bytes have arrived."""
        if self._is_resting:
            self._is_resting, self._since_s = False, now_s

    def is_over(self, now_s: float) -> bool:
        """Whether to close the connection."""
        if self._is_busy:
            return False
        limit_s = self._patience.idle_s if self._is_resting else self._patience.head_s
        return now_s - self._since_s > limit_s


class Progress:
    """Measures how long a reader has made no progress. It is checked from time to time."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._taken_bytes = 0
        self._due_bytes = 0

    def waits_s(
        self, now_s: float, waiting_bytes: int, taken_bytes: int, least_bytes: int
    ) -> float:
        """Seconds since it last took `least_bytes`, or all waiting bytes, between two checks.
        `waiting_bytes` have not been taken yet; `taken_bytes` counts all bytes taken so far.
        """
        if taken_bytes - self._taken_bytes >= self._due_bytes:
            self._since_s, self._taken_bytes = now_s, taken_bytes
            self._due_bytes = min(least_bytes, waiting_bytes)
        return now_s - self._since_s


class SignOfLife:
    """Decides when to ping an idle stream, and when to close it.

    Only idle streams are pinged: a slow reader would receive a ping behind data too late.
    """

    def __init__(self, ping_s: float) -> None:
        self._ping_s = ping_s
        self._unanswered = 0  # pings

    def heard(self) -> None:
        """A message of the client has arrived."""
        self._unanswered = 0

    def wake_s(self, now_s: float) -> float:
        """The time to call `pings`, if the stream stays idle until then."""
        return now_s + self._ping_s

    def pings(self) -> bool:
        """Whether to ping the idle stream; False: close it."""
        self._unanswered += 1
        return self._unanswered <= _PINGS
