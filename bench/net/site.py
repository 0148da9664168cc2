"""Shared by the network benchmarks: a server in a separate process, a minimal client, tables.

The server is that of `exgs serve`. The client is a ClientSession on a WebSocket that draws nothing,
so that only the server and the network are measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from exgs.codec.constants import MAX_WELCOME_BYTES
from exgs.wire.client import ClientSession
from exgs.wire.events import Event

_READY = re.compile(r"at https?://(?:\[.*\]|[^:/]*):(\d+)")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Site:
    """A running `exgs serve`."""

    process: subprocess.Popen[str]
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def stream_url(self, scene: str) -> str:
        return f"{self.url}/scenes/{scene}/stream"

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the server's process."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * _PAGE_BYTES

    @property
    def processor_s(self) -> float:
        """Processor time that the server has used."""
        return processor_s(self.process.pid)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self) -> float:
        """Send SIGTERM; return the seconds until the process ends."""
        start_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - start_s


def open_site(
    folder: Path,
    *options: str,
    host: str = "127.0.0.1",
    port: int = 0,
    namespace: str | None = None,
) -> Site:
    """Start `exgs serve` with these options and wait until it accepts connections."""
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    command = [*inside, sys.executable, "-u", "-m", "exgs.cli.main", "serve", str(folder)]
    process = subprocess.Popen(
        [*command, "--host", host, "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    line = process.stdout.readline() if process.stdout else ""
    found = _READY.search(line)
    if found is None:
        process.kill()
        raise OSError(f"`exgs serve` does not start: {line}")
    return Site(process, host, int(found[1]))


@contextlib.contextmanager
def site(
    folder: Path,
    *options: str,
    host: str = "127.0.0.1",
    port: int = 0,
    namespace: str | None = None,
) -> Iterator[Site]:
    """A server during a block."""
    server = open_site(folder, *options, host=host, port=port, namespace=namespace)
    try:
        yield server
    finally:
        server.kill()


class Stream:
    """A ClientSession on a WebSocket, step by step."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool], session: ClientSession):
        self.socket = socket
        self.session = session

    async def flush(self) -> None:
        for frame in self.session.data_to_send():
            await self.socket.send_bytes(frame)

    async def step(self) -> list[Event] | None:
        """The events of one message; None at the end."""
        message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            return None
        return self.session.receive_data(message.data)


@contextlib.asynccontextmanager
async def stream(
    http: aiohttp.ClientSession, url: str, session: ClientSession
) -> AsyncIterator[Stream]:
    """An open stream that has sent HELLO."""
    async with http.ws_connect(url, compress=0, max_msg_size=MAX_WELCOME_BYTES) as socket:
        client = Stream(socket, session)
        await client.flush()
        yield client


def processor_s(process: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def table(rows: Sequence[tuple[str, str, str]]) -> str:
    """Rows of (what, figure, to reach) as a Markdown table."""
    head = ("what", "measured", "to reach")
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * 3, *rows)]
    return "\n".join(lines)


async def until(deadline_s: float) -> None:
    """Sleep until a time of the loop's clock."""
    await asyncio.sleep(max(0.0, deadline_s - asyncio.get_running_loop().time()))
