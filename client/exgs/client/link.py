"""A model of a slow link: rate, delay, jitter, loss, and the sender's window.

`parse_link` parses "2mbit,100ms,1%". A `Lane` is one direction of one connection; it computes when
bytes that enter now arrive. It uses no sockets and no clocks; `link_proxy` applies it to sockets.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from exgs.codec.errors import ExgsError

SEGMENT_BYTES = 1448  # TCP payload of an Ethernet packet, the unit of loss
INITIAL_WINDOW_BYTES = 10 * SEGMENT_BYTES  # RFC 6928
_HEAD_BYTES = 52  # of IP and TCP for each segment; they pass the bottleneck, too
QUEUE_BYTES = 64 << 10  # buffer in front of the bottleneck, besides bytes in flight

_NOTICE_S = 0.01  # delay until a loss is noticed, when later segments arrive
_PIECE_S = 0.002  # duration of a piece on fast links, to limit the work per byte
_PIECE_BYTES_MAX = 64 << 10
_DELAY_S_MAX = 2.0  # with more, clients give up during a stall

_RATE = re.compile(r"([\d.]+) ?([kmg]?)(?:bit|bps|bit/s)", re.IGNORECASE)
_TIME = re.compile(r"([\d.]+) ?(ms|s)(?: ?(?:±|\+-|\+/-) ?([\d.]+) ?(ms|s))?( ?jitter)?", re.I)
_LOSS = re.compile(r"([\d.]+) ?%(?: ?loss)?", re.IGNORECASE)
_RATE_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_TIME_UNITS = {"ms": 1e-3, "s": 1.0}


class LinkError(ExgsError):
    """A link description is not valid."""


@dataclass(frozen=True, slots=True)
class Link:
    """A symmetric link."""

    rate_bps: float
    delay_s: float = 0.0  # one way
    jitter_s: float = 0.0  # uniform deviation of the delay; bytes stay in order
    loss: float = 0.0  # probability that a segment is lost

    @property
    def rtt_s(self) -> float:
        """The round trip time of the idle link."""
        return 2 * self.delay_s

    @property
    def window_bytes(self) -> int:
        """Maximum of unacknowledged bytes: the bandwidth-delay product plus the queue."""
        return int(self.rate_bps / 8 * self.rtt_s) + QUEUE_BYTES

    @property
    def piece_bytes(self) -> int:
        """Bytes per piece: one segment, more on fast links."""
        return int(min(max(SEGMENT_BYTES, self.rate_bps / 8 * _PIECE_S), _PIECE_BYTES_MAX))

    def __str__(self) -> str:
        unit = next(u for u in ("g", "m", "k", "") if self.rate_bps >= _RATE_UNITS[u] or not u)
        parts = [f"{self.rate_bps / _RATE_UNITS[unit]:g}{unit}bit"]
        if self.delay_s or self.jitter_s:
            jitter = f"±{self.jitter_s * 1e3:g}ms" if self.jitter_s else ""
            parts.append(f"{self.delay_s * 1e3:g}ms{jitter}")
        if self.loss:
            parts.append(f"{self.loss * 100:g}%")
        return ",".join(parts)


def parse_link(text: str) -> Link:
    """Parse "2mbit", "2mbit,100ms", "500kbit,80ms±20ms,1%" or "2mbit,100ms,20ms jitter,1%".

    Rate in bits per second, one-way delay, jitter, loss of segments. Raises LinkError.
    """
    values: dict[str, float] = {}

    def enter(name: str, value: float) -> None:
        if name in values:
            raise LinkError(f"link {text!r}: {name} is given twice")
        values[name] = value

    for part in (p.strip() for p in text.split(",")):
        if m := _RATE.fullmatch(part):
            enter("rate", _number(m[1], text) * _RATE_UNITS[m[2].lower()])
        elif m := _TIME.fullmatch(part):
            time_s = _number(m[1], text) * _TIME_UNITS[m[2].lower()]
            enter("jitter" if m[5] else "delay", time_s)
            if m[3]:
                enter("jitter", _number(m[3], text) * _TIME_UNITS[m[4].lower()])
        elif m := _LOSS.fullmatch(part):
            enter("loss", _number(m[1], text) / 100)
        else:
            raise LinkError(
                f"link {text!r}: can't read {part!r}; write rate,delay,loss as in 2mbit,100ms,1%"
            )
    link = Link(
        values.get("rate", 0.0),
        values.get("delay", 0.0),
        values.get("jitter", 0.0),
        values.get("loss", 0.0),
    )
    if link.rate_bps < 1000:
        raise LinkError(f"link {text!r}: needs a rate of at least 1kbit, as in 2mbit,100ms,1%")
    if link.delay_s > _DELAY_S_MAX or link.jitter_s > link.delay_s:
        raise LinkError(
            f"link {text!r}: the delay is at most {_DELAY_S_MAX:g}s, the jitter at most the delay"
        )
    if link.loss > 0.5:
        raise LinkError(f"link {text!r}: a loss of more than 50% carries nothing")
    return link


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError as error:
        raise LinkError(f"link {text!r}: {digits!r} is not a number") from error


class Bottleneck:
    """One direction of the slowest hop, which all connections over the link share."""

    def __init__(self, link: Link) -> None:
        self._rate_bps = link.rate_bps
        self._free_s = 0.0

    def send(self, now_s: float, length_bytes: int) -> float:
        """The time when `length_bytes` bytes that enter at `now_s` have passed."""
        self._free_s = max(self._free_s, now_s) + length_bytes * 8 / self._rate_bps
        return self._free_s


class Lane:
    """One direction of one TCP connection over a link.

    Bytes wait for the bottleneck, which passes them at the rate of the link, and then travel for
    the delay. The sender's window starts at ten segments and grows by the acknowledged bytes (slow
    start) up to the bandwidth-delay product plus the queue; `room` is the rest of it. Each segment
    takes 52 bytes more of the rate, for the heads of IP and TCP. A lost segment arrives one round
    trip later, and all later segments wait for it (TCP delivers in order). The repetition takes its
    share of the rate. The window is not halved, as with BBR.
    Times are seconds of any monotonic clock. All random numbers come from `rng`.
    """

    def __init__(self, link: Link, bottleneck: Bottleneck, rng: random.Random) -> None:
        self._link = link
        self._bottleneck = bottleneck
        self._rng = rng
        self._arrival_s = 0.0
        self._window_bytes = min(INITIAL_WINDOW_BYTES, link.window_bytes)
        self._unacknowledged_bytes = 0
        self.losses = 0  # segments that were lost so far

    @property
    def room(self) -> int:
        """The number of bytes that may enter now."""
        return max(0, self._window_bytes - self._unacknowledged_bytes)

    def send(self, now_s: float, length_bytes: int) -> float:
        """The time when `length_bytes` bytes that enter at `now_s` arrive."""
        link = self._link
        self._unacknowledged_bytes += length_bytes
        stall_s = 0.0
        repeated_bytes = 0
        segments = -(-length_bytes // SEGMENT_BYTES)
        while self._rng.random() < 1 - (1 - link.loss) ** segments:
            self.losses += 1
            stall_s += link.rtt_s + _NOTICE_S
            repeated_bytes += min(SEGMENT_BYTES, length_bytes)
            segments = 1
        heads_bytes = _HEAD_BYTES * -(-(length_bytes + repeated_bytes) // SEGMENT_BYTES)
        passed_s = self._bottleneck.send(now_s, length_bytes + repeated_bytes + heads_bytes)
        jitter_s = self._rng.uniform(-link.jitter_s, link.jitter_s)
        arrival_s = passed_s + link.delay_s + jitter_s + stall_s
        self._arrival_s = max(self._arrival_s, arrival_s)
        return self._arrival_s

    def acknowledge(self, length_bytes: int) -> None:
        """Acknowledge bytes to the sender, one delay after their arrival."""
        self._unacknowledged_bytes -= length_bytes
        self._window_bytes = min(self._window_bytes + length_bytes, self._link.window_bytes)
