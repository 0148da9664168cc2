"""Limits on the number of connections and on the time that they wait.

aiohttp waits for the head of a request and for a slow reader without a time limit. So each
connection passes through a `Connection`. The gate closes connections that exceed their time limits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from aiohttp import web

from exgs.server.config import ServerConfig
from exgs.server.flow.patience import HeadWait, Progress
from exgs.server.flow.quotas import Quotas
from exgs.server.kernel import forget_unsent, socket_of, taken_by_peer, tune
from exgs.server.metrics import Metrics

_SWEEP_S = 1.0
_PIECE_BYTES = 4 << 10  # to be read within `Patience.piece_s`
_UNSENT_BYTES = 128 << 10  # in the kernel, per reader
_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

# (request, address of the peer) -> response; None: use the framework
Express = Callable[[bytes, str], bytes | None]

SLOW_READER = "slow reader"

log = logging.getLogger("exgs.server")


class Gate:
    """All connections of one server."""

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self.config = config
        self.metrics = metrics
        self._connections: dict[asyncio.BaseTransport, Connection] = {}
        self._quotas = Quotas(config.quota)

    def protocol_factory(self, server: web.Server, express: Express) -> Callable[[], Connection]:
        """Create a protocol for a connection, as a factory for `loop.create_server`."""
        return lambda: Connection(self, server(), express)

    async def sweep(self) -> None:
        """Close connections that exceed their time limits, periodically."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = loop.time()
            for connection in list(self._connections.values()):
                if connection.is_slow(now_s):
                    self.drop(connection.transport, SLOW_READER)
                elif connection.is_late(now_s):
                    self.drop(connection.transport, "head")
            self._quotas.forget_rested(now_s)

    def drop(self, transport: asyncio.Transport | None, reason: str) -> None:
        """Abort a connection, even if it is waiting for its reader before it closes."""
        if transport is None:
            return
        connection = self._connections.get(transport)
        if connection is not None:
            connection.dropped_for = reason
        elif transport.is_closing():
            return
        if reason == SLOW_READER:
            forget_unsent(transport)
        self.metrics.dropped.labels(reason).inc()
        log.info("connection dropped", extra={"peer": address_of(transport), "reason": reason})
        transport.abort()

    def is_request_allowed(self, address: str) -> bool:
        """Count a request of an address. Returns False if it exceeds the limit."""
        return self._quotas.is_request_allowed(asyncio.get_running_loop().time(), address)

    def request_begins(self, request: web.Request) -> None:
        """The head of a request has arrived."""
        connection = self.find(request)
        if connection is not None:
            connection.head_wait.request_begins()

    def request_ends(self, request: web.Request) -> None:
        """The connection of this request waits for the next request."""
        connection = self.find(request)
        if connection is not None:
            connection.rest()

    def admit(self, connection: Connection, address: str) -> bool:
        """Register a new connection. Returns False if there are too many."""
        if not self._quotas.admit(address):
            return False
        if connection.transport is not None:
            self._connections[connection.transport] = connection
        self.metrics.connections.set(len(self._connections))
        return True

    def leave(self, connection: Connection, address: str) -> None:
        """Remove a connection that was admitted."""
        self._quotas.leave(address)
        if connection.transport is not None:
            self._connections.pop(connection.transport, None)
        self.metrics.connections.set(len(self._connections))

    def find(self, request: web.Request) -> Connection | None:
        """The connection of a request; None if the gate does not manage it."""
        transport = request.transport
        return self._connections.get(transport) if transport is not None else None


class Connection(asyncio.Protocol):
    """One connection: aiohttp's protocol, and the times that the gate checks."""

    def __init__(self, gate: Gate, inner: asyncio.Protocol, express: Express) -> None:
        self.transport: asyncio.Transport | None = None
        self.dropped_for: str | None = None
        self.head_wait = HeadWait(gate.config.patience, 0.0)
        self._gate = gate
        self._inner = inner
        self._express: Express | None = express  # until a request uses the framework
        self._is_admitted = False
        self._address = ""
        self._progress = Progress(0.0)
        self._emptied = 0  # how often the write buffer of this process became empty

    def rest(self) -> None:
        """A response has been sent."""
        self.head_wait.request_ends(asyncio.get_running_loop().time())

    def is_late(self, now_s: float) -> bool:
        """Whether the head of a request takes too long."""
        return self.head_wait.is_over(now_s)

    def is_slow(self, now_s: float) -> bool:
        """Whether the peer reads too little of the waiting data."""
        if self.transport is None or self.dropped_for is not None:
            return False
        waiting_bytes = self.transport.get_write_buffer_size()
        known = taken_by_peer(socket_of(self.transport))
        if known is not None:  # exact progress, including data in the kernel
            waiting_bytes, taken_bytes = waiting_bytes + known[0], known[1]
        else:
            taken_bytes = self._emptied * _PIECE_BYTES - waiting_bytes
        waits_s = self._progress.waits_s(now_s, waiting_bytes, taken_bytes, _PIECE_BYTES)
        return waits_s > self._gate.config.patience.piece_s

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._address = address_of(transport)
        now_s = asyncio.get_running_loop().time()
        self.head_wait = HeadWait(self._gate.config.patience, now_s)
        self._progress = Progress(now_s)
        self._is_admitted = self._gate.admit(self, self._address)
        if not self._is_admitted:
            self._gate.metrics.dropped.labels("quota").inc()
            self.transport.write(_TURNED_AWAY)
            self.transport.close()
            return
        # Writers wait until the kernel has taken all data, so nothing accumulates in this process.
        # (Not 0: then asyncio's TLS transports pause with an empty buffer and never resume.)
        self.transport.set_write_buffer_limits(high=1)
        tune(self.transport, _UNSENT_BYTES)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_admitted:
            return
        self.head_wait.came(asyncio.get_running_loop().time())
        if not self._is_answered(data):
            self._express = None
            self._inner.data_received(data)

    def _is_answered(self, data: bytes) -> bool:
        """Answer a plain request at once, if no other request can be in progress."""
        if self._express is None or self.transport is None:
            return False
        if self.transport.get_write_buffer_size():  # the previous response waits for its reader
            return False
        answer = self._express(data, self._address)
        if answer is None:
            return False
        self.transport.write(answer)
        self.rest()
        return True

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._is_admitted else None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_admitted:
            self._gate.leave(self, self._address)
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._is_admitted:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._emptied += 1
        if self._is_admitted:
            self._inner.resume_writing()


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """The address of the peer without its port."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""
