"""Whether a peer takes what is sent to it: a slow link is no fault, a reader that stalls is.

What counts is what the peer's kernel has acknowledged, where this one can tell (Linux): buffers
on this side then hide neither progress nor the want of it. Elsewhere it is what has left the
process.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_ACKNOWLEDGED = struct.Struct("=120xQ")  # tcpi_bytes_acked of struct tcp_info, linux/tcp.h
_COUNT = struct.Struct("=i")


class Progress:
    """What the peer of one connection has taken, looked at now and then."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._taken_bytes = 0
        self._due_bytes = 0
        self._emptied = 0

    def emptied(self) -> None:
        """All that had waited in this process has left it."""
        self._emptied += 1

    def waits_s(self, transport: asyncio.Transport, now_s: float, least_bytes: int) -> float:
        """Seconds since the peer last took `least_bytes` bytes, or all there were, in one go."""
        waiting_bytes, taken_bytes = self._look(transport, least_bytes)
        if taken_bytes - self._taken_bytes >= self._due_bytes:
            self._since_s, self._taken_bytes = now_s, taken_bytes
            self._due_bytes = min(least_bytes, waiting_bytes)
        return now_s - self._since_s

    def _look(self, transport: asyncio.Transport, least_bytes: int) -> tuple[int, int]:
        """Bytes that wait, and a count that grows by those that are taken."""
        here_bytes = transport.get_write_buffer_size()
        known = _ask_kernel(transport.get_extra_info("socket"))
        if known is None:
            return here_bytes, self._emptied * least_bytes - here_bytes
        kept_bytes, acknowledged_bytes = known
        return here_bytes + kept_bytes, acknowledged_bytes


def _ask_kernel(end: socket.socket | None) -> tuple[int, int] | None:
    """Bytes that the kernel keeps until they are acknowledged, and all that were; None: unknown."""
    if _TCP_INFO is None or end is None or end.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        info = end.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKNOWLEDGED.size)
        kept = fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size))
    except OSError:  # it has been closed
        return None
    if len(info) < _ACKNOWLEDGED.size:  # an old kernel
        return None
    kept_bytes: int = _COUNT.unpack(kept)[0]
    acknowledged_bytes: int = _ACKNOWLEDGED.unpack(info)[0]
    return kept_bytes, acknowledged_bytes
