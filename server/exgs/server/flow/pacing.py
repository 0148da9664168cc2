"""Decides when a stream may write more to its connection, so that queues stay short.

The kernel accepts far more bytes than fit on the link. Its queue and that of the bottleneck would
delay the parts for every new view. So unsent bytes and bytes in flight are limited to what fills
the link: the delivery rate times the round-trip time, and a little more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from exgs.codec.constants import MAX_FRAGMENT_BYTES

_SURPLUS = 1.2  # factor on the bytes that fill the link: its rate may have increased
_FIRST_GROWTH, _GROWTH = 2.5, 1.5  # factors on the rate: during start-up, and later
_QUEUED = 1.25  # round trips longer than this factor times the shortest: there is a queue
_LEAST_BYTES = 32 << 10  # may be in flight on any link
_LEAST_PACKETS = 20
_KEPT_S = 10.0  # the maximum rate of this period counts: a lower one may be due to losses
_SAMPLE_S = 0.01  # of a rate sample, or a round trip if that is longer
_SLACK_S = 0.01  # for the time that processes need to wake up
_UNSENT_BYTES = 4 << 10  # or the bytes of _SLACK_S, if that is more
_FRAGMENT_BYTES, _FRAGMENT_S = 4 << 10, 0.016  # of a fragment: the larger of the two
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 1.0  # between two checks


@dataclass(frozen=True, slots=True)
class Delivery:
    """The state of one connection, as its sender knows it.

    Counts are packets unless the name says otherwise.
    """

    packet_bytes: float  # mean size of a packet
    unacknowledged: int
    sacked: int
    lost: int
    sent_again: int
    round_trip_s: float  # smoothed
    unsent_bytes: int
    delivered: int  # u32, wraps around
    shortest_trip_s: float | None  # minimum of the last seconds; None if unknown

    @property
    def under_way_bytes(self) -> float:
        """Bytes in flight: sent but not acknowledged."""
        packets = self.unacknowledged - self.sacked - self.lost + self.sent_again
        return packets * self.packet_bytes


class Pacer:
    """Decides when the next fragment of one connection may be sent, and its size."""

    def __init__(self, now_s: float) -> None:
        self.fragment_bytes = _FRAGMENT_BYTES  # of the next fragment: some milliseconds
        self._rates: deque[tuple[float, float]] = deque()  # (time in s, bytes per second)
        self._rate = 0.0  # the maximum of these
        self._growth = self._surplus = _FIRST_GROWTH
        self._sampled_s = now_s
        self._delivered: int | None = None  # at the last sample
        self._is_filled = False  # since the last sample as much as allowed was in flight
        self._since_s: float | None = None  # start of the current wait
        self._waited_s = 0.0  # duration of the last wait
        self._pause_s = _LEAST_PAUSE_S

    @property
    def rate(self) -> float:
        """The measured rate of the link in bytes per second; 0 if unknown."""
        return self._rate

    def wait_s(self, now_s: float, known: Delivery | None) -> float:
        """Seconds until the next fragment may be sent; 0 if now.

        `known` is None if the system does not report the state of the connection; then
        nothing waits.
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
            self._is_filled |= taken_bytes >= room_bytes
            excess_bytes = max(excess_bytes, taken_bytes - room_bytes)
        # The measured rate may be that of a time with little to send, as before HELLO.
        rate = max(self._rate, room_bytes / max(known.round_trip_s, 1e-6))
        return max(excess_bytes, 0.0) / rate

    def next_look_s(self, now_s: float, known: Delivery | None, spread: float) -> float | None:
        """The time of the next check; None if the next fragment may be sent now.

        A wait longer than two round trips is that of a slow reader, which is checked ever more
        rarely. `spread` is a random number from 0 to 1, drawn anew for each call, so that many
        streams are not checked at the same time.
        """
        wait_s = self.wait_s(now_s, known)
        if wait_s <= 0:
            if self._since_s is not None:
                self._waited_s, self._since_s = now_s - self._since_s, None
            else:
                self._waited_s = 0.0
            return None
        trip_s = known.round_trip_s if known is not None else 0.0
        if self._since_s is None:
            self._since_s = now_s
            self._pause_s = max(self._waited_s / 8, trip_s / 16, _LEAST_PAUSE_S)
        elif now_s - self._since_s > 2 * trip_s:
            self._pause_s *= 1.5 + spread
        return now_s + min(max(wait_s, self._pause_s), _LONGEST_PAUSE_S)

    def _sample(self, known: Delivery, now_s: float) -> None:
        """Measure the delivery rate over at least one round trip."""
        if self._delivered is None:
            self._sampled_s, self._delivered = now_s, known.delivered
        took_s = now_s - self._sampled_s
        if took_s < max(known.round_trip_s, _SAMPLE_S):
            return
        packets = known.delivered - self._delivered & 0xFFFFFFFF
        rate = packets * known.packet_bytes / took_s
        self._sampled_s, self._delivered = now_s, known.delivered
        shortest_s = known.shortest_trip_s
        is_queued = shortest_s is not None and (
            known.round_trip_s > _QUEUED * shortest_s + _SLACK_S
        )
        if rate > 1.1 * self._rate and not is_queued:
            self._surplus = self._growth
        elif self._is_filled:
            self._growth, self._surplus = _GROWTH, _SURPLUS
        self._is_filled = False
        while self._rates and now_s - self._rates[0][0] > _KEPT_S:
            self._rates.popleft()
        while self._rates and self._rates[-1][1] <= rate:
            self._rates.pop()
        self._rates.append((now_s, rate))
        self._rate = self._rates[0][1]
