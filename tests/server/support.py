"""Runs a real server on a real socket during a test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.server.app import RunningServer, start
from exgs.server.config import ServerConfig
from exgs.wire.client import ClientSession, Resume
from exgs.wire.events import Error, Event, Fragment, GoAway

CREDIT_BYTES = 1 << 30
_LONGEST_S = 30.0  # of a test, in real time


class AdvancingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can advance. Timers follow it; sockets are real."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        super().__init__()

    def time(self) -> float:
        return super().time() + self._ahead_s

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds


@dataclass(frozen=True)
class Site:
    """A running server and a client for it."""

    server: RunningServer
    http: aiohttp.ClientSession

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Send one request. Header names have underscores instead of dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.server.url}{path}"
        async with self.http.request(method, url, headers=named) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def metric(self, line: str) -> float:
        """The value of one line of /metrics, 0 if it is missing."""
        text = (await self.get("/metrics")).body.decode()
        found = [row for row in text.splitlines() if row.startswith(f"{line} ")]
        return float(found[0].split()[-1]) if found else 0.0

    async def advance(self, seconds: float) -> None:
        """Advance the clock of client and server, and let the server act on it."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, AdvancingLoop)
        loop.advance(seconds)
        await self.settle()

    async def settle(self) -> None:
        """Two requests: the server has handled all that it had received before."""
        for _ in range(2):
            await self.get("/healthz")

    async def advance_until(
        self, condition: Callable[[], Awaitable[bool]], step_s: float = 1.0, limit_s: float = 60.0
    ) -> float:
        """Advance the clock until `condition` is true; return the seconds that it took."""
        passed_s = 0.0
        while not await condition():
            assert passed_s < limit_s, "it takes too long"
            await self.advance(step_s)
            passed_s += step_s
        return passed_s

    async def raw(self, data: bytes) -> bytes:
        """Send bytes and return the answer until the server closes the connection."""
        reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
        try:
            writer.write(data)
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@asynccontextmanager
async def serving(root: Path | str, **options: Any) -> AsyncIterator[Site]:
    """Serve a folder on a free port."""
    config = ServerConfig(root=root, port=0, **options)
    async with start(config) as server, aiohttp.ClientSession() as http:
        yield Site(server, http)


def on_site(root: Path, main: Callable[[Site], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run the coroutine of a test against a server."""

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        watchdog = threading.Timer(_LONGEST_S, loop.call_soon_threadsafe, [task.cancel])
        watchdog.start()
        try:
            async with serving(root, **options) as site:
                await main(site)
        finally:
            watchdog.cancel()

    with asyncio.Runner(loop_factory=AdvancingLoop) as runner:
        runner.run(run())


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 5.0) -> None:
    """Wait until `condition` is true."""
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.02)


class StreamClient:
    """A ClientSession on a WebSocket that a test advances step by step."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: ClientSession) -> None:
        self.socket = socket
        self.session = session
        self.events: list[Event] = []

    async def flush(self) -> None:
        for frame in self.session.data_to_send():
            await self.socket.send_bytes(frame)

    async def step(self) -> bool:
        """Receive one message. Returns False at the end."""
        message = await self.socket.receive(timeout=10)
        if message.type is not aiohttp.WSMsgType.BINARY:
            return False
        self.events += self.session.receive_data(message.data)
        return True

    async def finish(self) -> None:
        """Receive messages until the scene is complete or the server ends the stream."""
        while self.session.missing_bytes != 0:
            if not await self.step():
                return

    @property
    def fragments(self) -> list[Fragment]:
        return [event for event in self.events if isinstance(event, Fragment)]

    @property
    def errors(self) -> list[Error]:
        return [event for event in self.events if isinstance(event, Error)]

    @property
    def goaways(self) -> list[GoAway]:
        return [event for event in self.events if isinstance(event, GoAway)]


@asynccontextmanager
async def streaming(
    site: Site,
    scene: str = "box",
    *,
    credit_bytes: int = CREDIT_BYTES,
    token: str | None = None,
    camera: Camera | None = None,
    resume: Resume | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[StreamClient]:
    """A stream whose HELLO has been sent."""
    url = f"{site.server.url}/scenes/{scene}/stream"
    async with site.http.ws_connect(url, compress=0, max_msg_size=0, headers=headers) as socket:
        session = ClientSession(
            scene, credit_bytes=credit_bytes, token=token, camera=camera, resume=resume
        )
        client = StreamClient(socket, session)
        await client.flush()
        yield client


def camera_at(x: float, y: float, z: float) -> Camera:
    """A small camera that looks at the centre of the box."""
    return look_at((x, y, z), (0, 0, 0), (0, -1, 0), pinhole(96, 64, 70), 96, 64)
