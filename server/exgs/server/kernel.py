"""TCP information and options of the Linux kernel. Other systems report nothing."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import termios
from typing import TypeGuard

from exgs.server.flow.pacing import Delivery

_TCP_INFO = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_TCP_CC_INFO = 26  # linux/tcp.h
_FIELDS = struct.Struct("=16xI4x4I28xI28xI40xI8xI32xI4xQ")  # of struct tcp_info, as in `Delivery`
_BBR = struct.Struct("=8xI8x")  # tcpi_bbr_min_rtt of struct tcp_bbr_info, linux/inet_diag.h
_ACKNOWLEDGED = struct.Struct("=120xQ")  # tcpi_bytes_acked of struct tcp_info, linux/tcp.h
_COUNT = struct.Struct("=i")
_SO_MAX_PACING_RATE, _RATE, _NO_LIMIT = 47, struct.Struct("=Q"), (1 << 64) - 1
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))  # s, s, probes
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


def delivery_of(end: socket.socket | None) -> Delivery | None:
    """The delivery state of this connection; None if the system does not report it."""
    if not _is_tcp(end) or _TCP_INFO is None:
        return None
    try:
        info = end.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _FIELDS.size)
        control = end.getsockopt(socket.IPPROTO_TCP, _TCP_CC_INFO, _BBR.size)
    except OSError:  # the socket is closed
        return None
    if len(info) < _FIELDS.size:  # an old kernel
        return None
    found = _FIELDS.unpack(info)
    (
        most_bytes,
        unacked,
        sacked,
        lost,
        again,
        trip_us,
        repeated,
        unsent,
        sent,
        delivered,
        sent_bytes,
    ) = found
    packet_bytes = sent_bytes / sent if sent else most_bytes
    shortest_s = _BBR.unpack(control)[0] / 1e6 if len(control) == _BBR.size else None
    return Delivery(
        packet_bytes,
        unacked,
        sacked,
        lost,
        again,
        trip_us / 1e6,
        unsent,
        delivered,
        shortest_s,
        repeated,
    )


def limit_rate(end: socket.socket | None, rate: float | None) -> None:
    """Make the kernel send at most this many bytes per second, packets included; None: no limit."""
    if _is_tcp(end) and sys.platform == "linux":
        with contextlib.suppress(OSError):  # the socket is closed
            end.setsockopt(
                socket.SOL_SOCKET, _SO_MAX_PACING_RATE, _RATE.pack(int(rate or _NO_LIMIT))
            )


def taken_by_peer(end: socket.socket | None) -> tuple[int, int] | None:
    """Unacknowledged bytes in the kernel, and all acknowledged bytes; None if unknown."""
    if not _is_tcp(end) or _TCP_INFO is None:
        return None
    try:
        info = end.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKNOWLEDGED.size)
        kept = fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size))
    except OSError:  # the socket is closed
        return None
    if len(info) < _ACKNOWLEDGED.size:  # an old kernel
        return None
    kept_bytes: int = _COUNT.unpack(kept)[0]
    acknowledged_bytes: int = _ACKNOWLEDGED.unpack(info)[0]
    return kept_bytes, acknowledged_bytes


def tune(transport: asyncio.BaseTransport | None, unsent_bytes: int) -> None:
    """Limit unsent bytes in the kernel, and enable TCP keepalive to detect vanished peers."""
    end = socket_of(transport)
    if not _is_tcp(end):
        return
    for name, value in (("TCP_NOTSENT_LOWAT", unsent_bytes), *_KEEPALIVE):
        option = getattr(socket, name, None)  # not all systems have all options
        if option is not None:
            end.setsockopt(socket.IPPROTO_TCP, option, value)


def forget_unsent(transport: asyncio.BaseTransport) -> None:
    """Make the kernel discard unread data when the connection is closed."""
    end = socket_of(transport)
    if end is not None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def socket_of(transport: asyncio.BaseTransport | None) -> socket.socket | None:
    """The socket of a transport."""
    return transport.get_extra_info("socket") if transport is not None else None


def _is_tcp(end: socket.socket | None) -> TypeGuard[socket.socket]:
    return end is not None and end.family in (socket.AF_INET, socket.AF_INET6)
