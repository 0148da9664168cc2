"""Decides when a stream may write more to its connection, so that queues stay short.

The kernel accepts far more bytes than fit on the link. Its queue and that of the bottleneck would
delay the parts for every new view. So unsent bytes and bytes in flight are limited to what fills
the link: the delivery rate times the round-trip time, and a little more. Start-up doubles the bytes
in flight about every round trip, until a queue builds up. After that, probes find higher rates.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from exgs.codec.constants import MAX_FRAGMENT_BYTES

# Bytes in flight, relative to those that fill the link.
_FULL = 1.0
_LEAST = 0.92  # after losses
_LOWERED, _RAISED = 0.97, 0.005  # factor per sample with losses; added per sample without
_PROBE = 1.25  # for one sample
_PROBE_EVERY_S, _PROBE_EVERY_S_MAX = 3.0, 24.0  # doubles with each probe that loses packets
_FASTER = 1.1  # a rate that much higher after a probe: another start-up

_START_GROWTH = 0.75  # of bytes in flight during start-up, per acknowledged byte
_NEARLY = 0.7  # of the bytes allowed in flight count as all
_GROWN = 1.25  # a sample that much above the rate so far: start-up goes on
_FLAT_SAMPLES = 3  # in a row that are not: it ends

_PACE = 1.2  # the kernel's rate at most, relative to that of the link
_LOSS, _LOST_PACKETS = 0.02, 3  # sent again in a sample, the larger of the two: a queue overflows
_QUEUED = 1.25  # round trips longer than this factor times the shortest: there is a queue
_LEAST_BYTES = 32 << 10  # may be in flight on any link
_LEAST_PACKETS = 20
_KEPT_S = 10.0  # the maximum rate of this period counts: a lower one may be due to losses
_SAMPLE_S = 0.01  # of a rate sample, or a round trip if that is longer
_SLACK_S = 0.01  # for the time that processes need to wake up
_SLACK_BYTES = 4 << 10  # on slow links, so that a loss does not leave the link empty
_UNSENT_BYTES = 4 << 10  # or the bytes of _SLACK_S, if that is more
_FRAGMENT_BYTES, _FRAGMENT_S = 4 << 10, 0.016  # of a fragment: the larger of the two
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 1.0  # between two checks
_FIRST_PAUSE_S = 0.005  # at most


@dataclass(frozen=True, slots=True)
class Delivery:
    """The state of one connection, as its sender knows it.

    Counts are packets unless the name says otherwise.
    """

    packet_bytes: float  # mean size of a packet
    unacknowledged: int
    sacked: int
    lost: int
    sent_again: int  # and not acknowledged yet
    round_trip_s: float  # smoothed
    unsent_bytes: int
    delivered: int  # u32, wraps around
    shortest_trip_s: float | None  # minimum of the last seconds; None if unknown
    repeated: int = 0  # sent again so far; u32, wraps around

    @property
    def under_way_bytes(self) -> float:
        """Bytes in flight: sent but not acknowledged."""
        packets = self.unacknowledged - self.sacked - self.lost + self.sent_again
        return packets * self.packet_bytes

    @property
    def is_queued(self) -> bool:
        """Whether round trips are long because packets wait on the way."""
        shortest_s = self.shortest_trip_s
        return shortest_s is not None and self.round_trip_s > _QUEUED * shortest_s + _SLACK_S


class Pacer:
    """Decides when the next fragment of one connection may be sent, and its size."""

    def __init__(self, now_s: float) -> None:
        self.fragment_bytes = _FRAGMENT_BYTES  # of the next fragment: some milliseconds
        self._rates: deque[tuple[float, float]] = deque()  # (time in s, bytes per second)
        self._rate = 0.0  # the maximum of these
        self._volume = _Volume(now_s)
        self._shortest_s = 0.0  # round trip; 0 if unknown
        self._sampled_s = now_s
        self._delivered: int | None = None  # at the last sample
        self._repeated = 0  # likewise
        self._is_busy = False  # since the last sample there was more to send than allowed
        self._since_s: float | None = None  # start of the current wait
        self._waited_s = 0.0  # duration of the last wait
        self._pause_s = _LEAST_PAUSE_S

    @property
    def rate(self) -> float:
        """The measured rate of the link in bytes per second; 0 if unknown."""
        return self._rate

    @property
    def most_rate(self) -> float | None:
        """The rate in bytes per second that bursts should not exceed; None: no limit.

        Near peers need none: their queues are counted in milliseconds anyway.
        """
        if self._volume.is_starting or not self._rate or self._shortest_s <= _SLACK_S:
            return None
        return self._rate * max(_PACE, self._volume.share)

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
        room_bytes = float(max(_LEAST_BYTES, _LEAST_PACKETS * known.packet_bytes))
        excess_bytes = 0.0
        self._shortest_s = known.shortest_trip_s or 0.0
        if known.shortest_trip_s is None:
            fastest = self._rate
        else:
            room_bytes = self._volume.room_bytes(known, self._rate, room_bytes)
            fastest = room_bytes / max(known.shortest_trip_s, 1e-6)
            excess_bytes = known.under_way_bytes + known.unsent_bytes - room_bytes
        unsent_bytes = max(_UNSENT_BYTES, fastest * _SLACK_S)
        excess_bytes = max(excess_bytes, known.unsent_bytes - unsent_bytes, 0.0)
        self._is_busy |= excess_bytes > 0
        # The measured rate may be that of a time with little to send, as before HELLO.
        return excess_bytes / max(self._rate, room_bytes / max(known.round_trip_s, 1e-6))

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
            first_s = min(trip_s / 16, _FIRST_PAUSE_S)
            self._pause_s = max(self._waited_s / 8, first_s, _LEAST_PAUSE_S)
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
        repeated = known.repeated - self._repeated & 0xFFFFFFFF
        rate = packets * known.packet_bytes / took_s
        self._sampled_s, self._delivered, self._repeated = now_s, known.delivered, known.repeated
        if not self._is_busy and rate <= self._rate:
            return  # there was little to send, so it says nothing about the link
        self._volume.sampled(
            now_s,
            growth=rate / max(self._rate, 1e-9),
            is_busy=self._is_busy,
            is_lossy=repeated >= max(_LOSS * packets, _LOST_PACKETS),
            is_queued=known.is_queued,
        )
        self._is_busy = False
        while self._rates and now_s - self._rates[0][0] > _KEPT_S:
            self._rates.popleft()
        while self._rates and self._rates[-1][1] <= rate:
            self._rates.pop()
        self._rates.append((now_s, rate))
        self._rate = self._rates[0][1]


class _Volume:
    """How many bytes may be in flight, relative to those that fill the link."""

    def __init__(self, now_s: float) -> None:
        self.share = _FULL
        self._usual = _FULL  # the share between probes
        self._start_bytes: float | None = 0.0  # in flight during start-up
        self._seen = 0  # packets delivered at the last check
        self._was_full = False  # at the last check of start-up as much as allowed was in flight
        self._was_queued = False  # at the last sample of start-up
        self._flat = 0  # samples of start-up in a row without growth
        self._probe_s, self._every_s = now_s, _PROBE_EVERY_S
        self._probed: float | None = None  # growth of the rate during a probe, after it

    @property
    def is_starting(self) -> bool:
        """Whether the rate of the link is not known yet."""
        return self._start_bytes is not None

    def room_bytes(self, known: Delivery, rate: float, least_bytes: float) -> float:
        """The bytes that may be in flight or unsent, on a link of this rate."""
        filled_bytes = rate * self.share * (known.shortest_trip_s or 0.0)
        room_bytes = max(least_bytes, filled_bytes + max(rate * _SLACK_S, _SLACK_BYTES))
        if self._start_bytes is None:
            return room_bytes
        if self._was_full and not known.is_queued:
            acknowledged = known.delivered - self._seen & 0xFFFFFFFF
            self._start_bytes += acknowledged * known.packet_bytes * _START_GROWTH
        self._seen = known.delivered
        self._start_bytes = max(self._start_bytes, room_bytes)
        taken_bytes = known.under_way_bytes + known.unsent_bytes
        self._was_full = taken_bytes > _NEARLY * self._start_bytes
        return self._start_bytes

    def sampled(
        self, now_s: float, growth: float, *, is_busy: bool, is_lossy: bool, is_queued: bool
    ) -> None:
        """A sample of the rate, which is `growth` times the rate so far."""
        if self._start_bytes is not None:
            has_grown = growth > _GROWN
            self._flat = 0 if has_grown else self._flat + is_busy
            is_full = is_queued and self._was_queued  # the whole sample has the rate of the link
            self._was_queued = is_queued
            is_full |= is_lossy and not has_grown
            if is_full or self._flat >= _FLAT_SAMPLES:
                self._start_bytes = None
                self._wait_for_probe(now_s)
        elif self.share > _FULL:  # what the probe has sent is delivered in the next sample
            self.share = self._usual
            self._probed = growth
        elif self._probed is not None:
            growth, self._probed = max(growth, self._probed), None
            self._every_s = (
                min(2 * self._every_s, _PROBE_EVERY_S_MAX) if is_lossy else _PROBE_EVERY_S
            )
            self._wait_for_probe(now_s)
            if growth > _FASTER and not is_lossy and not is_queued:
                self._start_bytes, self._flat = 0.0, 0
                self._was_full = self._was_queued = False
        elif is_lossy:
            self.share = self._usual = max(_LOWERED * self._usual, _LEAST)
        elif is_busy and now_s >= self._probe_s:
            self.share = _PROBE
        elif is_busy:
            self.share = self._usual = min(self._usual + _RAISED, _FULL)

    def _wait_for_probe(self, now_s: float) -> None:
        self._probe_s = now_s + self._every_s
