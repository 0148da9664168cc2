"""How long the server waits: for a request's head, for a reader, for a sign of life.

A slow link is no fault, a reader that stalls is: what counts is what it has taken.
"""

from __future__ import annotations

from exgs.server.config import Patience

_PINGS = 3  # without an answer


class HeadWait:
    """Whether the head of a connection's next request takes too long."""

    def __init__(self, patience: Patience, now_s: float) -> None:
        self._patience = patience
        self._since_s = now_s  # connected, or the first byte of a request came
        self._is_resting = False  # after a request, without a byte of the next
        self._is_busy = False  # with a request

    def request_begins(self) -> None:
        """A head is whole."""
        self._is_busy = True

    def request_ends(self, now_s: float) -> None:
        """A request has been answered."""
        self._is_busy, self._is_resting, self._since_s = False, True, now_s

    def came(self, now_s: float) -> None:
        """Bytes have come."""
        if self._is_resting:
            self._is_resting, self._since_s = False, now_s

    def is_over(self, now_s: float) -> bool:
        """Whether to cut the connection off."""
        if self._is_busy:
            return False
        limit_s = self._patience.idle_s if self._is_resting else self._patience.head_s
        return now_s - self._since_s > limit_s


class Progress:
    """Whether a reader takes what is sent to it, looked at now and then."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._taken_bytes = 0
        self._due_bytes = 0

    def waits_s(
        self, now_s: float, waiting_bytes: int, taken_bytes: int, least_bytes: int
    ) -> float:
        """Seconds since it last took `least_bytes` bytes, or all there were, in one go.

        `waiting_bytes` wait for it; `taken_bytes` counts all that it has ever taken.
        """
        if taken_bytes - self._taken_bytes >= self._due_bytes:
            self._since_s, self._taken_bytes = now_s, taken_bytes
            self._due_bytes = min(least_bytes, waiting_bytes)
        return now_s - self._since_s


class SignOfLife:
    """When to ping an idle stream, and when to give it up.

    Only idle streams are pinged: behind data, a slow reader finds the ping too late.
    """

    def __init__(self, ping_s: float) -> None:
        self._ping_s = ping_s
        self._unanswered = 0  # pings

    def heard(self) -> None:
        """Something came from the client."""
        self._unanswered = 0

    def wake_s(self, now_s: float) -> float:
        """When to ask, if the stream is idle from now until then."""
        return now_s + self._ping_s

    def pings(self) -> bool:
        """The stream has been idle: whether to ping, or else to give up."""
        self._unanswered += 1
        return self._unanswered <= _PINGS
