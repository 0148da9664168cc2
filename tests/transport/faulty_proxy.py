"""A TCP proxy that spoils connections: late, slow, stalled, reset, cut short, or with wrong bytes.

What it does to which connection follows from a seed alone; where in the bytes it happens, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum

_PIECE_BYTES = 4096
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class Kind(Enum):
    """What happens to a connection."""

    NOTHING = "nothing"
    DELAY = "every piece comes late"
    RATE = "bytes come slowly"
    STALL = "after some bytes nothing comes, and the connection stays"
    RESET = "after some bytes the connection breaks"
    CUT = "after some bytes the connection ends in order"
    CORRUPT = "one byte is another one"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one connection, and behind how many bytes from the server or to it."""

    kind: Kind = Kind.NOTHING
    after_bytes: int = 0
    is_upward: bool = False  # to the server


def faults_of(seed: int, size_bytes: int) -> list[Fault]:
    """The faults of the first connections; at most one stalls, so that waiting has an end."""
    chance = random.Random(seed)
    kinds = list(Kind)
    faults: list[Fault] = []
    for _ in range(chance.randint(1, 4)):
        kind = chance.choice(kinds)
        if kind is Kind.STALL:
            kinds.remove(kind)
        is_upward = chance.random() < 0.2
        # Many fall into heads and handshakes, which are short.
        most = 600 if is_upward or chance.random() < 0.3 else size_bytes
        faults.append(Fault(kind, chance.randrange(most), is_upward))
    return faults


class FaultyProxy:
    """Passes connections on to a server; the first of them meet `faults`, in order."""

    def __init__(self, host: str, port: int, faults: list[Fault]) -> None:
        self._target = (host, port)
        self._faults = iter(faults)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        assert self._listener is not None
        host, port = self._listener.sockets[0].getsockname()
        return host, port

    async def __aenter__(self) -> FaultyProxy:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer, next(self._faults, Fault())))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault
    ) -> None:
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            async with asyncio.TaskGroup() as group:
                for source, sink, is_upward in (
                    (reader, far_writer, True),
                    (far_reader, writer, False),
                ):
                    hit = fault if fault.is_upward is is_upward else Fault()
                    group.create_task(_pipe(source, sink, hit))
        except* (OSError, _Broken):
            for end in writers:
                found = end.get_extra_info("socket")
                with contextlib.suppress(OSError):  # the socket may be closed already
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        finally:
            for end in writers:
                end.close()


class _Broken(Exception):
    """The proxy breaks a connection."""


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter, fault: Fault) -> None:
    left = fault.after_bytes
    while data := await source.read(_PIECE_BYTES):
        reached = left < len(data)
        match fault.kind:
            case Kind.DELAY:
                await asyncio.sleep(0.02)
            case Kind.RATE:
                await asyncio.sleep(len(data) / 1e6)
            case Kind.CORRUPT if 0 <= left < len(data):
                data = data[:left] + bytes([data[left] ^ 0x55]) + data[left + 1 :]
            case Kind.STALL | Kind.RESET | Kind.CUT if reached:
                sink.write(data[:left])
                await sink.drain()
                if fault.kind is Kind.STALL:
                    await asyncio.Event().wait()
                if fault.kind is Kind.RESET:
                    raise _Broken
                break
        left -= len(data)
        sink.write(data)
        await sink.drain()
    with contextlib.suppress(OSError):
        sink.write_eof()


@contextlib.asynccontextmanager
async def spoiled(host: str, port: int, faults: list[Fault]) -> AsyncIterator[str]:
    """The address of a faulty proxy, as HOST:PORT."""
    async with FaultyProxy(host, port, faults) as proxy:
        near_host, near_port = proxy.address
        yield f"{near_host}:{near_port}"
