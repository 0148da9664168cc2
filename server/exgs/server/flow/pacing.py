"""When a stream may hand its connection more, so that a new view does not wait behind old bytes.

The kernel takes far more than the link has room for, and its queue and the bottleneck's then stand
in front of every new choice. Here what is unsent or under way is held to what fills the link: the
rate of delivery times the round trip, and a little.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from exgs.codec.constants import MAX_FRAGMENT_BYTES

_SURPLUS = 1.2  # over what fills the link: it may have become faster
_FIRST_GROWTH, _GROWTH = 2.5, 1.5  # while the rate of the link is being found out; later on
_LEAST_BYTES = 32 << 10  # that may be under way on any link
_LEAST_PACKETS = 20
_KEPT_S = 10.0  # the best rate of so long counts: one that is lower may be a loss
_SAMPLE_S = 0.01  # or a round trip, if that is longer
_SLACK_S = 0.01  # for the time that processes take to wake up
_UNSENT_BYTES = 4 << 10  # or the slack, if that is more
_FRAGMENT_BYTES, _FRAGMENT_S = 4 << 10, 0.016  # of a small fragment, and whichever is more
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 1.0  # between two looks


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a sender knows of one connection; packets but for what is named otherwise."""

    packet_bytes: float  # of one, on average
    unacknowledged: int
    sacked: int
    lost: int
    sent_again: int
    round_trip_s: float  # smoothed
    unsent_bytes: int
    delivered: int  # u32, wraps around
    shortest_trip_s: float | None  # of the last seconds, None where it is not known

    @property
    def under_way_bytes(self) -> float:
        """Bytes between the sender and its peer."""
        packets = self.unacknowledged - self.sacked - self.lost + self.sent_again
        return packets * self.packet_bytes


class Pacer:
    """Decides when the next fragment of one connection may go, and how large it is."""

    def __init__(self, now_s: float) -> None:
        self.fragment_bytes = _FRAGMENT_BYTES  # of the next one: some milliseconds of the link
        self._rates: deque[tuple[float, float]] = deque()  # when, bytes a second
        self._rate = 0.0  # the best of these
        self._growth = self._surplus = _FIRST_GROWTH
        self._sampled_s = now_s
        self._delivered: int | None = None  # at that time
        self._since_s: float | None = None  # of the wait that goes on
        self._waited_s = 0.0  # the last time
        self._pause_s = _LEAST_PAUSE_S

    def wait_s(self, now_s: float, known: Delivery | None) -> float:
        """Seconds until there is room; 0: the next fragment may go.

        `known` is None where the system does not tell: then everything goes at once.
        """
        if known is None:
            self.fragment_bytes = MAX_FRAGMENT_BYTES
            return 0.0
        self._sample(known, now_s)
        self.fragment_bytes = min(
            max(int(self._rate * _FRAGMENT_S), _FRAGMENT_BYTES), MAX_FRAGMENT_BYTES
        )
        excess_bytes = known.unsent_bytes - max(_UNSENT_BYTES, self._rate * _SLACK_S)
        room_bytes = float(max(_LEAST_BYTES, _LEAST_PACKETS * known.packet_bytes))
        if known.shortest_trip_s is not None:
            filled_s = self._surplus * known.shortest_trip_s + _SLACK_S
            room_bytes = max(room_bytes, self._rate * filled_s)
            taken_bytes = known.under_way_bytes + known.unsent_bytes
            excess_bytes = max(excess_bytes, taken_bytes - room_bytes)
        rate = self._rate or room_bytes / max(known.round_trip_s, 1e-6)
        return max(excess_bytes, 0.0) / rate

    def next_look_s(self, now_s: float, known: Delivery | None, spread: float) -> float | None:
        """When to ask again; None: the next fragment may go.

        Slow readers are asked seldom. `spread`, from 0 to 1, keeps the streams of a crowd from
        looking all at once: the caller draws it anew for each question.
        """
        wait_s = self.wait_s(now_s, known)
        if wait_s <= 0:
            if self._since_s is not None:
                self._waited_s, self._since_s = now_s - self._since_s, None
            else:
                self._waited_s = 0.0
            return None
        if self._since_s is None:
            self._since_s = now_s
            self._pause_s = max(self._waited_s / 4, _LEAST_PAUSE_S)
        else:
            self._pause_s *= 1.5 + spread
        return now_s + min(max(wait_s, self._pause_s), _LONGEST_PAUSE_S)

    def _sample(self, known: Delivery, now_s: float) -> None:
        """Measure the rate of delivery, a round trip or more at a time."""
        if self._delivered is None:
            self._sampled_s, self._delivered = now_s, known.delivered
        took_s = now_s - self._sampled_s
        if took_s < max(known.round_trip_s, _SAMPLE_S):
            return
        packets = known.delivered - self._delivered & 0xFFFFFFFF
        rate = packets * known.packet_bytes / took_s
        self._sampled_s, self._delivered = now_s, known.delivered
        if rate > 1.1 * self._rate:
            self._surplus = self._growth
        else:
            self._growth, self._surplus = _GROWTH, _SURPLUS
        while self._rates and now_s - self._rates[0][0] > _KEPT_S:
            self._rates.popleft()
        while self._rates and self._rates[-1][1] <= rate:
            self._rates.pop()
        self._rates.append((now_s, rate))
        self._rate = self._rates[0][1]
