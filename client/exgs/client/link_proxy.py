"""A TCP proxy on the loopback interface that applies a `Link` to its connections.

Its socket buffers are small, and it reads only what the lane has room for. So the server's socket
buffer fills as on a real link, and a server that chooses chunks late can still do so.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType

from exgs.client.link import SEGMENT_BYTES, Bottleneck, Lane, Link

_RECEIVE_BUFFER_BYTES = 16 << 10
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_CONNECT_TIMEOUT_S = 10.0


class LinkProxy:
    """Listens on 127.0.0.1 and forwards each connection to (host, port) over `link`.

    Use `async with LinkProxy(link, host, port) as proxy:` and connect to `proxy.address`. The first
    bytes of a connection wait for one round trip, which opening it takes on a real link.

    Attributes:
        connect_error: why the newest connection could not be forwarded; None if it was. The client
            only sees that its connection is closed.
    """

    def __init__(
        self,
        link: Link,
        host: str,
        port: int,
        *,
        seed: int = 0,
        bottlenecks: Mapping[str, Bottleneck] | None = None,
        lane: Callable[[Link, Bottleneck, random.Random], Lane] = Lane,
    ) -> None:
        self.connect_error: OSError | None = None
        self._link = link
        self._target = (host, port)
        self._seed = seed
        self._bottlenecks = bottlenecks or {way: Bottleneck(link) for way in ("up", "down")}
        self._lane = lane
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._connection_count = 0

    @property
    def address(self) -> tuple[str, int]:
        """The host and port to connect to."""
        if self._listener is None:
            raise RuntimeError("the proxy is not open")
        host, port = self._listener.getsockname()
        return host, port

    def reset_connections(self) -> None:
        """Abort all open connections, like a lost link."""
        for task in self._connections:
            task.cancel()

    async def __aenter__(self) -> LinkProxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        _keep_buffers_small(self._listener)
        self._accepting = asyncio.create_task(self._accept(self._listener))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = [*self._connections, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if self._listener is not None:
                self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            self._connection_count += 1
            task = asyncio.create_task(self._carry(client, self._connection_count))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
            task.add_done_callback(partial(_close, client))  # the task may never have started

    async def _carry(self, client: socket.socket, number: int) -> None:
        sockets = [client]
        try:
            server = await self._connect()
            sockets.append(server)
            await asyncio.sleep(self._link.rtt_s)
            lanes = [
                self._lane(self._link, bottleneck, random.Random(f"{self._seed}/{number}/{way}"))
                for way, bottleneck in self._bottlenecks.items()
            ]
            async with asyncio.TaskGroup() as group:
                group.create_task(_Pipe(client, server, lanes[0], self._link).run())
                group.create_task(_Pipe(server, client, lanes[1], self._link).run())
        except (OSError, TimeoutError, ExceptionGroup, asyncio.CancelledError):
            for end in sockets:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        finally:
            for end in sockets:
                end.close()

    async def _connect(self) -> socket.socket:
        try:
            server = await _connect(*self._target)
        except OSError as error:
            self.connect_error = error
            raise
        self.connect_error = None
        return server


class _Pipe:
    """Forwards bytes in one direction: one task reads as the lane allows, another writes."""

    def __init__(self, source: socket.socket, sink: socket.socket, lane: Lane, link: Link) -> None:
        self._source = source
        self._sink = sink
        self._lane = lane
        self._link = link
        self._travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take())
            group.create_task(self._put())

    async def _take(self) -> None:
        while True:
            while not self._lane.room:
                self._room.clear()
                await self._room.wait()
            size = min(self._link.piece_bytes, self._lane.room)
            data = await self._loop.sock_recv(self._source, size)
            self._travelling.put_nowait((self._lane.send(self._loop.time(), len(data)), data))
            if not data:
                return

    async def _put(self) -> None:
        while True:
            arrival_s, data = await self._travelling.get()
            await asyncio.sleep(arrival_s - self._loop.time())
            if not data:
                self._sink.shutdown(socket.SHUT_WR)
                return
            await self._loop.sock_sendall(self._sink, data)
            acknowledged_s = max(arrival_s, self._loop.time()) + self._link.delay_s
            self._loop.call_at(acknowledged_s, self._acknowledge, len(data))

    def _acknowledge(self, length_bytes: int) -> None:
        self._lane.acknowledge(length_bytes)
        self._room.set()


def _close(end: socket.socket, _task: asyncio.Task[None]) -> None:
    end.close()


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure = OSError(f"no address for {host}")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        server = socket.socket(family, kind, protocol)
        server.setblocking(False)
        try:
            _keep_buffers_small(server)
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await loop.sock_connect(server, address)
        except (OSError, TimeoutError) as error:
            server.close()
            failure = error if isinstance(error, OSError) else OSError("timed out")
        except asyncio.CancelledError:
            server.close()
            raise
        else:
            return server
    raise failure


def _keep_buffers_small(end: socket.socket) -> None:
    """Limit segments and buffers of a socket, before connecting or listening.

    The defaults of the loopback interface would hide the emulated link.
    """
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
