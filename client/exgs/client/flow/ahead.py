"""The number and size of simultaneous range requests of a static client.

They fill the link and no more, so that a new view takes effect soon. The window grows while ranges
arrive quickly and halves when they queue.
"""

from __future__ import annotations

from dataclasses import dataclass

REQUESTS = 6  # at a time, like browsers

_AHEAD_BYTES = 128 << 10  # initial window: fills a slow link for one round trip
_AHEAD_BYTES_MAX = 16 << 20
_QUICK_S, _LONG_S = 0.25, 0.8  # above the shortest response: grow, halve


@dataclass(frozen=True, slots=True)
class RangeSize:
    """The size of the next range."""

    size_bytes: int  # limit for adjacent parts
    least_bytes: int  # minimum, by continuing along the file
    most_bytes: int | None  # maximum; None: no limit


@dataclass(slots=True, eq=False)
class Flight:
    """One pending request."""

    asked_s: float
    left_bytes: int


class AheadWindow:
    """Decides the requests of one download."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes  # maximum to receive; None: everything
        self._flights: set[Flight] = set()
        self._awaited_bytes = 0  # pending bytes of all requests
        self._ahead_bytes = _AHEAD_BYTES  # maximum of pending bytes
        self._shortest_answer_s = float("inf")  # about one round trip

    def left_bytes(self, received_bytes: int) -> int | None:
        """The bytes that the limit leaves; None without a limit."""
        if self.limit_bytes is None:
            return None
        return max(0, self.limit_bytes - received_bytes)

    def next_size(self, received_bytes: int) -> RangeSize | None:
        """The size of a request to send now; None: send none."""
        room_bytes = self._ahead_bytes - self._awaited_bytes
        most_bytes = self.left_bytes(received_bytes)
        if most_bytes is not None:
            most_bytes -= self._awaited_bytes
        if len(self._flights) >= REQUESTS or room_bytes <= 0:
            return None
        if most_bytes is not None and most_bytes <= 0:
            return None
        return RangeSize(
            min(room_bytes, self._ahead_bytes // 2),
            min(room_bytes, self._ahead_bytes // REQUESTS),
            most_bytes,
        )

    def asked(self, now_s: float, length_bytes: int) -> Flight:
        """Record that a request for `length_bytes` bytes is sent."""
        flight = Flight(now_s, length_bytes)
        self._flights.add(flight)
        self._awaited_bytes += length_bytes
        return flight

    def answered(self, now_s: float, flight: Flight) -> None:
        """Record that the head of its response has arrived."""
        self._shortest_answer_s = min(self._shortest_answer_s, now_s - flight.asked_s)

    def came(self, flight: Flight, length_bytes: int) -> None:
        """Record that bytes of its body have arrived."""
        known_bytes = min(flight.left_bytes, length_bytes)
        flight.left_bytes -= known_bytes
        self._awaited_bytes -= known_bytes

    def finished(self, now_s: float, flight: Flight, length_bytes: int) -> None:
        """Record that all of its bytes have arrived, and adapt the window."""
        beyond_s = now_s - flight.asked_s - self._shortest_answer_s
        if beyond_s < _QUICK_S:
            self._ahead_bytes = min(self._ahead_bytes + length_bytes, _AHEAD_BYTES_MAX)
        elif beyond_s > _LONG_S:
            self._ahead_bytes = max(self._ahead_bytes // 2, _AHEAD_BYTES)

    def ended(self, flight: Flight) -> None:
        """Record that the request has ended, successfully or not."""
        self._flights.discard(flight)
        self._awaited_bytes -= flight.left_bytes
        flight.left_bytes = 0
