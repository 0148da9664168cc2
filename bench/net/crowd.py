"""Many clients at once: slow, stalled and dripping ones, and the shutdown of the server.

    python -m bench.net.crowd slow scene.exgs [--clients 1000] [--minutes 10]
    python -m bench.net.crowd idle scene.exgs [--clients 1000]
    python -m bench.net.crowd stop scene.exgs [--clients 100]

slow: every client reads 4 KB/s of its stream. Measures the memory of the server, and the time of a
fast client for ranges of 64 KiB, alternating with a second server without slow clients.
idle: a quarter of the connections sends nothing, a quarter sends one byte of a request per second,
a quarter reads nothing of a stream or a file, a quarter reads 100 bytes per second. Measures when
the server closes them.
stop: SIGTERM. Measures how many clients get GOAWAY, and how long the process takes to end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import resource
import select
import shutil
import socket
import statistics
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import numpy as np

from bench.net.site import Site, percentile, site, stream, table
from exgs.codec.decoding.decode import open_scene
from exgs.codec.format.container import FileHead
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.wire.client import ClientSession
from exgs.wire.events import GoAway

_SLOW_BYTES_S = 4096
_SLOW_EVERY_S = 0.5
_SLOW_BUFFER_BYTES = 4096
_FAST_BYTES = 64 << 10
_FAST_S = 10.0
_AT_ONCE = 50  # connections that are being opened

_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_HANDSHAKE = (
    b"GET /scenes/scene/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

_WHOLE_FILE = b"GET /scenes/scene.exgs HTTP/1.1\r\nHost: localhost\r\n\r\n"
_DRIP_BYTES = 100

Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Sites:
    """Two servers: one with the crowd, one without."""

    busy: Site
    calm: Site
    head: FileHead


@dataclass(slots=True)
class _Waits:
    """Seconds that a fast client has waited for ranges, alternating between both servers."""

    busy: list[float] = field(default_factory=list)
    calm: list[float] = field(default_factory=list)

    def rows(self) -> list[Row]:
        busy_s, calm_s = (percentile(times, 99) for times in (self.busy, self.calm))
        return [
            ("a fast client's p99, at a server without them", f"{calm_s * 1e3:.1f} ms", ""),
            ("a fast client's p99 among them", f"{busy_s * 1e3:.1f} ms", ""),
            ("ratio", f"{busy_s / calm_s:.2f}", "at most 2"),
        ]


async def _measure_waits(sites: _Sites, waits: _Waits, duration_s: float) -> None:
    """Fetch ranges from both servers, one after another."""
    loop = asyncio.get_running_loop()
    end_s, offset, size_bytes = loop.time() + duration_s, 0, sites.head.root.file_bytes
    async with aiohttp.ClientSession() as http:
        while loop.time() < end_s:
            offset = (offset + _FAST_BYTES) % max(size_bytes - _FAST_BYTES, 1)
            span = {"Range": f"bytes={offset}-{offset + _FAST_BYTES - 1}"}
            for server, times in ((sites.busy, waits.busy), (sites.calm, waits.calm)):
                start_s = loop.time()
                async with http.get(f"{server.url}/scenes/scene.exgs", headers=span) as response:
                    body = await response.read()
                    if response.status != 206 or len(body) != _FAST_BYTES:
                        raise SystemExit(f"the fast client gets {response.status}")
                times.append(loop.time() - start_s)
                await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The results of the slow clients."""

    received: list[int]  # bytes, by client
    faults: Counter[str]


async def _slow_client(server: tuple[str, int], received: dict[int, int], camera: Camera) -> None:
    """A stream that is read slowly and evenly, from a small kernel buffer; counts its bytes.

    The WebSocket is handled here: a library would read ahead, and then nothing for many seconds.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER_BYTES)
        end.setblocking(False)
        await loop.sock_connect(end, server)
        await loop.sock_sendall(end, _HANDSHAKE)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await loop.sock_recv(end, 1)
        await loop.sock_sendall(end, _hello(camera))
        number = len(received)
        received[number] = 0
        pending = bytearray()
        while True:
            data = await loop.sock_recv(end, round(_SLOW_BYTES_S * _SLOW_EVERY_S))
            if not data:
                raise ConnectionError("the server has closed")
            received[number] += len(data)
            pending += data
            while (message := _cut(pending)) is not None:
                kind, payload = message
                if kind == _PING:
                    await loop.sock_sendall(end, _masked(_PONG, payload))
                elif kind == _CLOSE:
                    raise ConnectionError(f"closed with {int.from_bytes(payload[:2])}")
            await asyncio.sleep(_SLOW_EVERY_S)


def _overview(head: FileHead) -> Camera:
    """A view of the whole scene from a corner of its box."""
    facts, K = head.root.facts, pinhole(640, 360, 50.0)
    box = head.root.box
    return look_at(box.high, np.add(box.low, box.high) / 2, facts.up, K, 640, 360)


def _hello(camera: Camera) -> bytes:
    session = ClientSession("scene", credit_bytes=1 << 40, camera=camera)
    return b"".join(_masked(_BINARY, frame) for frame in session.data_to_send())


def _masked(kind: int, payload: bytes) -> bytes:
    """A WebSocket message of a client, with the mask 0 (RFC 6455, section 5.2)."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    return bytes([0x80 | kind]) + length + bytes(4) + payload


def _cut(pending: bytearray) -> tuple[int, bytes] | None:
    """Remove the first message of a server from its bytes; None if it is not complete."""
    if len(pending) < 2:
        return None
    extra = {126: 2, 127: 8}.get(pending[1], 0)
    start = 2 + extra
    if len(pending) < start:
        return None
    end = start + (int.from_bytes(pending[2:start]) if extra else pending[1])
    if len(pending) < end:
        return None
    kind, payload = pending[0] & 0x0F, bytes(pending[start:end])
    del pending[:end]
    return kind, payload


def _be_a_crowd(server: tuple[str, int], clients: int, camera: Camera, pipe: Connection) -> None:
    """In a separate process: open all clients, report it, and end on request."""

    async def run() -> _Crowd:
        received: dict[int, int] = {}
        tasks = []
        for number in range(clients):
            tasks.append(asyncio.create_task(_slow_client(server, received, camera)))
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0.5)
        while len(received) < clients and not all(task.done() for task in tasks):
            await asyncio.sleep(0.1)
        pipe.send(len(received))
        await asyncio.to_thread(pipe.recv)
        faults = [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return _Crowd(list(received.values()), Counter(repr(f) for f in faults if f))

    pipe.send(asyncio.run(run()))


async def _slow(sites: _Sites, arguments: argparse.Namespace) -> list[Row]:
    server = sites.busy
    await _measure_waits(sites, _Waits(), 2)
    before_bytes = server.resident_bytes
    here, there = multiprocessing.Pipe()
    crowd = multiprocessing.get_context("spawn").Process(
        target=_be_a_crowd,
        args=((server.host, server.port), arguments.clients, _overview(sites.head), there),
    )
    crowd.start()
    await asyncio.to_thread(here.recv)
    loop = asyncio.get_running_loop()
    start_s, busy_s = loop.time(), server.processor_s
    memory: list[int] = []
    waits = _Waits()
    while loop.time() < start_s + 60 * arguments.minutes:
        await _measure_waits(sites, waits, _FAST_S)
        memory.append(server.resident_bytes)
    load = (server.processor_s - busy_s) / (loop.time() - start_s)
    here.send(None)
    found: _Crowd = await asyncio.to_thread(here.recv)
    crowd.join()
    each = (max(memory) - before_bytes) / arguments.clients
    half = len(memory) // 2
    drift = statistics.mean(memory[half:]) / statistics.mean(memory[: half or 1]) - 1
    faults = ", ".join(f"{count} {fault}" for fault, count in found.faults.items())
    return [
        ("clients", f"{len(found.received)} for {arguments.minutes:g} minutes", "1000 for 10"),
        ("faults", faults or "none", "none"),
        ("slowest, fastest got", f"{min(found.received)}, {max(found.received)} bytes", ""),
        ("memory for each", f"{each / 1e3:.1f} kB", "at most 100 kB"),
        ("second half against the first", f"{drift:+.1%}", "flat"),
        ("after 1, 2, … minutes", _minutes(memory), ""),
        ("processor time of the server", f"{load:.0%} of a core", ""),
        *waits.rows(),
    ]


def _minutes(memory: list[int]) -> str:
    """Memory of a process at the end of each minute."""
    every = round(60 / _FAST_S)
    return ", ".join(f"{size / 1e6:.0f}" for size in memory[every - 1 :: every]) + " MB"


class _Laggard(Enum):
    """A connection that keeps the server waiting."""

    SILENT = "that say nothing"
    DRIPPING_HEAD = "that drip a request"
    STALLED = "that take nothing"
    DRIPPING = "that take 100 bytes a second"


def _laggard(kind: _Laggard, number: int, site: Site, camera: Camera) -> socket.socket:
    """Connect; kinds that don't read responses request a stream or a file."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER_BYTES)
    end.connect((site.host, site.port))
    end.setblocking(False)
    if kind in (_Laggard.STALLED, _Laggard.DRIPPING):
        end.send(_HANDSHAKE + _hello(camera) if number % 2 else _WHOLE_FILE)
    return end


async def _lives(
    ends: dict[socket.socket, _Laggard], longest_s: float
) -> dict[_Laggard, list[float]]:
    """Send bytes where needed. Returns the seconds until each connection was closed, else inf."""
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    numbers = {end.fileno(): end for end in ends}
    watch = select.poll()
    for number in numbers:
        watch.register(number, select.POLLRDHUP)  # and the events that poll always reports
    lives: dict[_Laggard, list[float]] = {kind: [] for kind in _Laggard}
    request = iter(b"GET /scenes/scene.exgs HTTP/1.1\r\nHost: " + b"x" * 4096)
    while numbers and loop.time() < start_s + longest_s:
        drop = bytes([next(request)])
        for end in numbers.values():
            with contextlib.suppress(OSError):
                if ends[end] is _Laggard.DRIPPING_HEAD:
                    end.send(drop)
                elif ends[end] is _Laggard.DRIPPING:
                    end.recv(_DRIP_BYTES)
        for _ in range(4):
            await asyncio.sleep(0.25)
            for number, _ in watch.poll(0):
                lives[ends[numbers.pop(number)]].append(loop.time() - start_s)
                watch.unregister(number)
    for end in numbers.values():
        lives[ends[end]].append(float("inf"))
    return lives


async def _idle(sites: _Sites, arguments: argparse.Namespace) -> list[Row]:
    camera = _overview(sites.head)
    await _measure_waits(sites, _Waits(), 2)
    kinds = [kind for kind in _Laggard for _ in range(arguments.clients // len(_Laggard))]
    ends = {_laggard(kind, n, sites.busy, camera): kind for n, kind in enumerate(kinds)}
    living = asyncio.create_task(_lives(ends, 40))
    waits = _Waits()
    await _measure_waits(sites, waits, _FAST_S)
    lives = await living
    for end in ends:
        end.close()
    rows = [
        (f"{len(times_s)} {kind.value}: cut off after", _span(times_s), "at most 15 s")
        for kind, times_s in lives.items()
    ]
    return [*rows, *waits.rows()]


def _span(times_s: list[float]) -> str:
    return f"{min(times_s):.1f} to {max(times_s):.1f} s"


async def _stop(sites: _Sites, arguments: argparse.Namespace) -> list[Row]:
    server, told = sites.busy, 0
    camera = _overview(sites.head)

    async def watch(http: aiohttp.ClientSession) -> None:
        nonlocal told
        session = ClientSession("scene", credit_bytes=1 << 20, camera=camera)
        async with stream(http, server.stream_url("scene"), session) as client:
            while (events := await client.step()) is not None:
                told += any(isinstance(event, GoAway) for event in events)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        tasks = [asyncio.create_task(watch(http)) for _ in range(arguments.clients)]
        await asyncio.sleep(5)
        duration_s = await asyncio.to_thread(server.stop)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    faults = sum(isinstance(result, BaseException) for result in results)
    return [
        ("sockets told by GOAWAY", f"{told} of {arguments.clients}", "all"),
        ("sockets that broke", str(faults), "none"),
        ("from SIGTERM to the end", f"{duration_s:.2f} s", "at most 2 s"),
        ("exit status", str(server.process.returncode), "0"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = {"slow": (_slow, 1000), "idle": (_idle, 1000), "stop": (_stop, 100)}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--clients", type=int)
    parser.add_argument("--minutes", type=float, default=1.0)
    arguments = parser.parse_args()
    measure, clients = kinds[arguments.kind]
    arguments.clients = arguments.clients or clients
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(arguments.scene, Path(folder) / "scene.exgs")
        head = open_scene(arguments.scene).head
        with site(Path(folder)) as busy, site(Path(folder)) as calm:
            print(table(asyncio.run(measure(_Sites(busy, calm, head), arguments))))


if __name__ == "__main__":
    main()
