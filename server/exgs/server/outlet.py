"""When a stream may hand its connection more, so that a new view does not wait behind old bytes.

The kernel takes far more than the link has room for, and its queue and the bottleneck's then stand
in front of every new choice. Here what is unsent or under way is held to what fills the link (the
rate of delivery times the round trip, and a little), as far as Linux tells both.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
from collections import deque
from typing import NamedTuple

from exgs.codec.constants import MAX_FRAGMENT_BYTES

_TCP_INFO = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_TCP_CC_INFO = 26  # linux/tcp.h
_FIELDS = struct.Struct("=16xI4x4I28xI72xI8xI32xI4xQ")  # of struct tcp_info, as in `_Kernel`
_BBR = struct.Struct("=8xI8x")  # tcpi_bbr_min_rtt of struct tcp_bbr_info, linux/inet_diag.h

_SURPLUS = 1.2  # over what fills the link: it may have become faster
_FIRST_GROWTH, _GROWTH = 2.5, 1.5  # while it is being found out what does; later on
_LEAST_BYTES = 32 << 10  # that may be under way on any link
_LEAST_PACKETS = 20
_KEPT_S = 10.0  # the best rate of so long counts: one that is lower may be a loss
_SAMPLE_S = 0.01  # or a round trip, if that is longer
_SLACK_S = 0.01  # for the time that processes take to wake up
_UNSENT_BYTES = 4 << 10  # or the slack, if that is more
_FRAGMENT_BYTES, _FRAGMENT_S = 4 << 10, 0.016  # of a small fragment, and whichever is more
_PAUSES_S = (0.001, 1.0)  # between two looks


class _Kernel(NamedTuple):
    """What Linux knows of a connection: packets but for what is named otherwise."""

    packet_bytes: float  # of one, on average
    unacknowledged: int
    sacked: int
    lost: int
    sent_again: int
    round_trip_s: float  # smoothed
    unsent_bytes: int
    delivered: int  # u32, wraps around
    shortest_trip_s: float | None  # of some seconds; only BBR tells

    @property
    def under_way_bytes(self) -> float:
        packets = self.unacknowledged - self.sacked - self.lost + self.sent_again
        return packets * self.packet_bytes


class Outlet:
    """One connection's share of the kernel's queue."""

    def __init__(self, transport: asyncio.Transport | None, now_s: float) -> None:
        self._socket = transport.get_extra_info("socket") if transport is not None else None
        self._rates: deque[tuple[float, float]] = deque()  # when, bytes a second
        self._rate = 0.0  # the best of these
        self._growth = self._surplus = _FIRST_GROWTH
        self._sampled_s = now_s
        self._delivered: int | None = None  # at that time
        self._waited_s = 0.0  # the last time
        self.fragment_bytes = _FRAGMENT_BYTES  # to choose next: some milliseconds of the link

    async def opens(self) -> None:
        """Wait until the next fragment may go."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        shortest_s, longest_s = _PAUSES_S
        pause_s = max(self._waited_s / 4, shortest_s)  # a slow reader is asked seldom
        while (wait_s := self.wait_s(loop.time())) > 0:
            await asyncio.sleep(min(max(wait_s, pause_s), longest_s))
            pause_s *= 1.5 + random.random()  # a crowd must not look all at once
        self._waited_s = loop.time() - start_s

    def wait_s(self, now_s: float) -> float:
        """Seconds after which to ask again; 0: the next fragment may go."""
        kernel = _ask_kernel(self._socket)
        if kernel is None:
            self.fragment_bytes = MAX_FRAGMENT_BYTES
            return 0.0
        self._sample(kernel, now_s)
        self.fragment_bytes = min(
            max(int(self._rate * _FRAGMENT_S), _FRAGMENT_BYTES), MAX_FRAGMENT_BYTES
        )
        excess_bytes = kernel.unsent_bytes - max(_UNSENT_BYTES, self._rate * _SLACK_S)
        room_bytes = float(max(_LEAST_BYTES, _LEAST_PACKETS * kernel.packet_bytes))
        if kernel.shortest_trip_s is not None:
            filled_s = self._surplus * kernel.shortest_trip_s + _SLACK_S
            room_bytes = max(room_bytes, self._rate * filled_s)
            taken_bytes = kernel.under_way_bytes + kernel.unsent_bytes
            excess_bytes = max(excess_bytes, taken_bytes - room_bytes)
        rate = self._rate or room_bytes / max(kernel.round_trip_s, 1e-6)
        return max(excess_bytes, 0.0) / rate

    def _sample(self, kernel: _Kernel, now_s: float) -> None:
        """Measure the rate of delivery, a round trip or more at a time."""
        if self._delivered is None:
            self._sampled_s, self._delivered = now_s, kernel.delivered
        took_s = now_s - self._sampled_s
        if took_s < max(kernel.round_trip_s, _SAMPLE_S):
            return
        packets = kernel.delivered - self._delivered & 0xFFFFFFFF
        rate = packets * kernel.packet_bytes / took_s
        self._sampled_s, self._delivered = now_s, kernel.delivered
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


def _ask_kernel(end: socket.socket | None) -> _Kernel | None:
    if _TCP_INFO is None or end is None or end.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        info = end.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _FIELDS.size)
        control = end.getsockopt(socket.IPPROTO_TCP, _TCP_CC_INFO, _BBR.size)
    except OSError:  # it has been closed
        return None
    if len(info) < _FIELDS.size:  # an old kernel
        return None
    found = _FIELDS.unpack(info)
    most_bytes, unacked, sacked, lost, again, trip_us, unsent, sent, delivered, sent_bytes = found
    packet_bytes = sent_bytes / sent if sent else most_bytes
    shortest_s = _BBR.unpack(control)[0] / 1e6 if len(control) == _BBR.size else None
    return _Kernel(
        packet_bytes, unacked, sacked, lost, again, trip_us / 1e6, unsent, delivered, shortest_s
    )
