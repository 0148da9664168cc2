"""How many byte ranges a static client has on their way, and how large they are.

Enough to fill the link and no more, so that a new view soon changes what comes. The window grows
while ranges come quickly and halves when they queue.
"""

from __future__ import annotations

from dataclasses import dataclass

REQUESTS = 6  # at a time, as browsers do

_AHEAD_BYTES = 128 << 10  # at first: what fills a slow link over a round trip
_AHEAD_BYTES_MAX = 16 << 20
_QUICK_S, _LONG_S = 0.25, 0.8  # beyond the shortest answer time: more, or less, may be on its way


@dataclass(frozen=True, slots=True)
class RangeSize:
    """How large the next range may be."""

    size_bytes: int  # that parts which lie together may fill
    least_bytes: int  # to go on along the file for
    most_bytes: int | None  # not to exceed; None: no limit


@dataclass(slots=True, eq=False)
class Flight:
    """One request on its way."""

    asked_s: float
    left_bytes: int


class AheadWindow:
    """Decides about the requests of one download."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes  # to receive at most; None: everything
        self._flights: set[Flight] = set()
        self._awaited_bytes = 0  # of all flights
        self._ahead_bytes = _AHEAD_BYTES  # most that may be awaited
        self._shortest_answer_s = float("inf")  # about a round trip

    def left_bytes(self, received_bytes: int) -> int | None:
        """What the limit leaves to receive; None without one."""
        if self.limit_bytes is None:
            return None
        return max(0, self.limit_bytes - received_bytes)

    def next_size(self, received_bytes: int) -> RangeSize | None:
        """How large a request that goes out now may be; None: send none now."""
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
        """A request for so many bytes goes out."""
        flight = Flight(now_s, length_bytes)
        self._flights.add(flight)
        self._awaited_bytes += length_bytes
        return flight

    def answered(self, now_s: float, flight: Flight) -> None:
        """The head of its answer is here."""
        self._shortest_answer_s = min(self._shortest_answer_s, now_s - flight.asked_s)

    def came(self, flight: Flight, length_bytes: int) -> None:
        """Bytes of its body are here."""
        known_bytes = min(flight.left_bytes, length_bytes)
        flight.left_bytes -= known_bytes
        self._awaited_bytes -= known_bytes

    def finished(self, now_s: float, flight: Flight, length_bytes: int) -> None:
        """All its bytes, so many, are here: adapt the window."""
        beyond_s = now_s - flight.asked_s - self._shortest_answer_s
        if beyond_s < _QUICK_S:
            self._ahead_bytes = min(self._ahead_bytes + length_bytes, _AHEAD_BYTES_MAX)
        elif beyond_s > _LONG_S:
            self._ahead_bytes = max(self._ahead_bytes // 2, _AHEAD_BYTES)

    def ended(self, flight: Flight) -> None:
        """The request is over, whatever it brought."""
        self._flights.discard(flight)
        self._awaited_bytes -= flight.left_bytes
        flight.left_bytes = 0
