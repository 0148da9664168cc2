"""Models of congestion control: the growth of a sender's window, and the effect of losses.

`bbr` is `exgs.client.link.Lane`: the window is the bandwidth-delay product and a queue; a loss
costs a retransmission and a round trip, but does not reduce the window. `cubic` follows RFC 9438: a
loss or a full queue multiplies the window by 0.7, after which it grows by C (t - K)^3 + W_max.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from exgs.client.link import SEGMENT_BYTES, Bottleneck, Lane, Link
from exgs.lab.errors import LabError
from exgs.lab.links.rates import Rates, TracedBottleneck

_CUBIC_C = 0.4  # segments per s^3, RFC 9438 section 5
_CUBIC_BETA = 0.7  # section 4.6
TRANSPORTS = ("bbr", "cubic")


class CubicLane(Lane):
    """One direction of a TCP connection with CUBIC."""

    def __init__(self, link: Link, bottleneck: Bottleneck, rng: random.Random) -> None:
        super().__init__(link, bottleneck, rng)
        self._cap_bytes = link.window_bytes
        self._now_s = self._epoch_s = 0.0
        self._most = 0.0  # segments before the last reduction; 0: in slow start

    def send(self, now_s: float, length_bytes: int) -> float:
        """The time when these bytes arrive. A loss among them reduces the window."""
        losses = self.losses
        arrival_s = super().send(now_s, length_bytes)
        self._now_s = max(self._now_s, now_s)
        if self.losses > losses:
            self._fall()
        return arrival_s

    def acknowledge(self, length_bytes: int) -> None:
        """These bytes have been acknowledged: the window grows."""
        self._unacknowledged_bytes -= length_bytes
        if not self._most:
            self._window_bytes += length_bytes
        else:
            time_s = self._now_s - self._epoch_s + self._link.rtt_s
            turn_s = (self._most * (1 - _CUBIC_BETA) / _CUBIC_C) ** (1 / 3)
            wanted = _CUBIC_C * (time_s - turn_s) ** 3 + self._most
            self._window_bytes = max(self._window_bytes, int(wanted * SEGMENT_BYTES))
        if self._window_bytes >= self._cap_bytes:  # the queue overflows
            self._window_bytes = self._cap_bytes
            self._fall()

    def _fall(self) -> None:
        """Reduce the window, at most once per round trip."""
        if self._most and self._now_s - self._epoch_s < self._link.rtt_s:
            return
        self._epoch_s = self._now_s
        self._most = self._window_bytes / SEGMENT_BYTES
        self._window_bytes = max(2 * SEGMENT_BYTES, int(self._window_bytes * _CUBIC_BETA))


@dataclass(frozen=True, slots=True)
class LinkModel:
    """A link of an experiment, from a certain second of its trace."""

    link: Link  # with the mean rate of the trace, if there is one
    rates: Rates | None = None  # None: constant
    transport: str = "bbr"

    def __post_init__(self) -> None:
        if self.transport not in TRANSPORTS:
            raise LabError(f"transport {self.transport!r} is none of {', '.join(TRANSPORTS)}")

    def shifted(self, by_s: float) -> LinkModel:
        """The link with its trace starting at `by_s`."""
        return self if self.rates is None else replace(self, rates=self.rates.shifted(by_s))

    def bottleneck(self, *, start_s: float = 0.0) -> Bottleneck:
        """A bottleneck whose trace starts at `start_s`."""
        if self.rates is None:
            return Bottleneck(self.link)
        return TracedBottleneck(self.link, self.rates, start_s=start_s)

    def lane(self, bottleneck: Bottleneck, rng: random.Random) -> Lane:
        """The lane of a new connection over a bottleneck."""
        kind = CubicLane if self.transport == "cubic" else Lane
        return kind(self.link, bottleneck, rng)
