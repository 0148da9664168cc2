"""What a connection may do before and between requests: how many there are, how long they wait.

aiohttp waits for a request's head as long as it takes to come, and for a reader as long as it
takes to read. Here every connection passes through a `Connection`, which the gate's sweep cuts off
when its time is over.
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
_PIECE_BYTES = 4 << 10  # that a reader has to take in `Patience.piece_s`
_UNSENT_BYTES = 128 << 10  # in the kernel, for one reader
_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

# (a request's bytes, the peer's address) -> the bytes of the answer; None: ask the framework
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
        """What `loop.create_server` makes for every connection that it accepts."""
        return lambda: Connection(self, server(), express)

    async def sweep(self) -> None:
        """Cut off, again and again, what takes too long."""
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
        """Cut a connection off, also one that waits to be closed until its reader has taken all."""
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
        """Count a request of an address; False where it sends too many."""
        return self._quotas.is_request_allowed(asyncio.get_running_loop().time(), address)

    def request_begins(self, request: web.Request) -> None:
        """The head of a request is here."""
        connection = self.find(request)
        if connection is not None:
            connection.head_wait.request_begins()

    def request_ends(self, request: web.Request) -> None:
        """The connection of this request waits for the next one."""
        connection = self.find(request)
        if connection is not None:
            connection.rest()

    def admit(self, connection: Connection, address: str) -> bool:
        """Enter a new connection; False where there are too many."""
        if not self._quotas.admit(address):
            return False
        if connection.transport is not None:
            self._connections[connection.transport] = connection
        self.metrics.connections.set(len(self._connections))
        return True

    def leave(self, connection: Connection, address: str) -> None:
        """Forget a connection that was admitted."""
        self._quotas.leave(address)
        if connection.transport is not None:
            self._connections.pop(connection.transport, None)
        self.metrics.connections.set(len(self._connections))

    def find(self, request: web.Request) -> Connection | None:
        """The connection of a request; None where the gate does not keep it."""
        transport = request.transport
        return self._connections.get(transport) if transport is not None else None


class Connection(asyncio.Protocol):
    """One connection: aiohttp's protocol, and what the gate knows of its pace."""

    def __init__(self, gate: Gate, inner: asyncio.Protocol, express: Express) -> None:
        self.transport: asyncio.Transport | None = None
        self.dropped_for: str | None = None
        self.head_wait = HeadWait(gate.config.patience, 0.0)
        self._gate = gate
        self._inner = inner
        self._express: Express | None = express  # until a request has gone to the framework
        self._is_admitted = False
        self._address = ""
        self._progress = Progress(0.0)
        self._emptied = 0  # how often all that had waited in this process left it

    def rest(self) -> None:
        """A request has been answered."""
        self.head_wait.request_ends(asyncio.get_running_loop().time())

    def is_late(self, now_s: float) -> bool:
        """Whether a request's head has been awaited for too long."""
        return self.head_wait.is_over(now_s)

    def is_slow(self, now_s: float) -> bool:
        """Whether the peer has long taken next to nothing of what waits for it."""
        if self.transport is None or self.dropped_for is not None:
            return False
        waiting_bytes = self.transport.get_write_buffer_size()
        known = taken_by_peer(socket_of(self.transport))
        if known is not None:  # what the kernel holds hides neither progress nor the want of it
            waiting_bytes, taken_bytes = waiting_bytes + known[0], known[1]
        else:
            taken_bytes = self._emptied * _PIECE_BYTES - waiting_bytes
        waits_s = self._progress.waits_s(now_s, waiting_bytes, taken_bytes, _PIECE_BYTES)
        return waits_s > self._gate.config.patience.piece_s

    # What asyncio calls.

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
        # Whoever writes waits until the kernel has taken all: nothing piles up in this process.
        # (Not 0: asyncio's TLS transports then pause for an empty buffer, and never resume.)
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
        """Answer a plain request at once, where no other can be on its way."""
        if self._express is None or self.transport is None:
            return False
        if self.transport.get_write_buffer_size():  # the last answer waits for its reader
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
    """The peer's address without its port."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""
