"""The streaming profile: one WebSocket with one ServerSession.

One task reads, another writes. The writer chooses a fragment only when the link has room for it
(`outlet`), so that a new view takes effect at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import NoReturn

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from exgs.codec.constants import (
    FRAME_HEAD_BYTES,
    MAX_HELLO_BYTES,
    WEBSOCKET_CLOSE_BASE,
    ErrorCode,
)
from exgs.server.access import bearer_token, is_origin_allowed, is_token_right, may_read
from exgs.server.catalog import Scene
from exgs.server.config import TOKEN
from exgs.server.flow.patience import SignOfLife
from exgs.server.gate import SLOW_READER
from exgs.server.kernel import tune
from exgs.server.outlet import Outlet
from exgs.server.state import STATE, State
from exgs.server.storage import UnreadableError
from exgs.wire.errors import ProtocolError
from exgs.wire.events import Error, Event, Hello, View
from exgs.wire.parts import is_page
from exgs.wire.rate import RateLimit
from exgs.wire.scheduler import Slice
from exgs.wire.server import ServerSession

_UNSENT_BYTES = 16 << 10  # in the kernel; with more, fragments would be chosen too early
_CLOSING_S = 1.0
_FRAMES_PER_S = 100.0  # read from one client, after a burst of the same number
_RETRY_S = 1.0

log = logging.getLogger("exgs.server")


class _Refused(ProtocolError):
    """This server ends the session. The session has the ERROR frame to send."""


async def stream_scene(request: web.Request) -> web.WebSocketResponse:
    """WS /scenes/NAME/stream."""
    state = request.app[STATE]
    if not is_origin_allowed(state.config, request):
        state.metrics.reject(ErrorCode.UNAUTHORIZED)
        raise web.HTTPForbidden
    if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        raise web.HTTPUpgradeRequired(headers={hdrs.UPGRADE: "websocket"})
    stream = Stream(state, request)
    await stream.run()
    return stream.socket


class Stream:
    """The stream of one client with one scene."""

    def __init__(self, state: State, request: web.Request) -> None:
        self.socket: web.WebSocketResponse = web.WebSocketResponse(
            timeout=_CLOSING_S,
            autoping=False,
            compress=False,
            max_msg_size=FRAME_HEAD_BYTES + MAX_HELLO_BYTES + 1,  # the first length that is refused
            writer_limit=0,
        )
        self._state = state
        self._request = request
        self._name = request.match_info["name"]
        self._session = ServerSession()
        self._scene: Scene | None = None
        self._news = asyncio.Event()  # set when there may be something new to send
        self._view_at_s: float | None = None  # arrival of the view, until its first fragment
        self._reading: asyncio.Task[None] | None = None
        self._is_leaving = False
        self._sign_of_life = SignOfLife(state.config.patience.ping_s)
        self._sent_bytes = 0

    # Public

    async def run(self) -> None:
        """Serve this client until the stream ends."""
        await self.socket.prepare(self._request)
        tune(self._transport, _UNSENT_BYTES)
        connection = self._state.gate.find(self._request)
        start_s = self._now()
        is_busy = len(self._state.streams) >= self._state.config.quota.streams
        self._state.enter(self)
        try:
            if is_busy:
                self._refuse(ErrorCode.BUSY, "too many streams are open; come back later")
            await self._exchange()
        except ProtocolError:
            await self._close(WEBSOCKET_CLOSE_BASE + self._session.failure)
        except UnreadableError as error:
            log.error("scene can't be read", extra={"scene": self._name, "error": str(error)})
            self._session.send_error(ErrorCode.INTERNAL, "the scene can't be read")
            await self._close(WEBSOCKET_CLOSE_BASE + ErrorCode.INTERNAL)
        except ConnectionError:
            pass  # the client has disconnected
        finally:
            if connection is not None and connection.dropped_for == SLOW_READER:
                self._session.failure = ErrorCode.SLOW_READER
            self._state.leave(self)
            self._report(self._now() - start_s)

    def go_away(self) -> None:
        """Send GOAWAY because the server stops, and close."""
        self._is_leaving = True
        if self._reading is not None:
            self._reading.cancel()

    def abort(self) -> None:
        """Abort the connection."""
        if self._transport is not None:
            self._transport.abort()

    # Private: the exchange

    async def _exchange(self) -> None:
        """Read and write until one of them ends. Raises the reason."""
        self._reading = asyncio.create_task(self._read())
        writing = asyncio.create_task(self._write())
        tasks = (self._reading, writing)
        if self._state.is_closing:
            self.go_away()
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()  # the buffer contains only whole frames
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        if self._is_leaving and not self._session.closed:
            self._session.send_goaway(
                ErrorCode.SHUTDOWN, "the server stops; connect anew", retry_after_s=_RETRY_S
            )
            await self._close(WSCloseCode.GOING_AWAY)

    async def _read(self) -> None:
        patience = self._state.config.patience
        try:
            async with asyncio.timeout(patience.hello_s):
                while self._session.hello is None:
                    if not await self._receive():
                        return
        except TimeoutError:
            self._refuse(ErrorCode.TIMEOUT, f"no HELLO within {patience.hello_s:g} s")
        limit = RateLimit(_FRAMES_PER_S, _FRAMES_PER_S, self._now())
        while await self._receive():
            if (delay_s := limit.delay_s(self._now())) > 0:
                await asyncio.sleep(delay_s)

    async def _receive(self) -> bool:
        """Receive one message. Returns False at the end."""
        message = await self.socket.receive()
        self._sign_of_life.heard()
        if message.type is WSMsgType.PING:
            await self.socket.pong(message.data)
            return True
        if message.type is WSMsgType.PONG:
            return True
        if message.type is WSMsgType.TEXT:
            self._refuse(ErrorCode.PROTOCOL, "a text message; frames are binary messages")
        if message.type is not WSMsgType.BINARY:
            self._session.receive_eof()
            return False
        for event in self._session.receive_data(message.data):
            await self._handle(event)
        if self._session.closed:
            self._session.receive_eof()  # raises the fault, if there is one
            return False
        self._news.set()
        return True

    async def _handle(self, event: Event) -> None:
        match event:
            case Hello() if not self._session.closed:  # closed by data after HELLO
                await self._open(event)
            case View():
                self._view_at_s = self._now()
            case Error(code, message):
                log.info(
                    "client reports",
                    extra={"scene": self._name, "code": int(code), "error": message},
                )

    async def _open(self, hello: Hello) -> None:
        config = self._state.config
        shown = bearer_token(self._request)
        is_known = is_token_right(config, shown) or is_token_right(config, hello.token)
        self._request[TOKEN] = hello.token if hello.token is not None else shown
        if not is_known or not await may_read(config, self._request, self._name):
            self._refuse(ErrorCode.UNAUTHORIZED, "the token is missing or wrong")
        scene = self._state.catalog.get(self._name)
        if scene is None or hello.scene != self._name:
            self._refuse(ErrorCode.NOT_FOUND, "there is no such scene")
        resumed = self._session.send_welcome(scene.plan)
        if self._session.closed:
            raise _Refused("HELLO can't be answered", code=self._session.failure)
        self._scene = scene
        self._state.metrics.sessions.inc()
        if resumed:
            self._state.metrics.resumes.inc()

    async def _write(self) -> None:
        outlet = Outlet(self._transport)
        while True:
            await self._flush()
            if self._session.closed:
                return
            await outlet.opens()
            size_bytes = outlet.fragment_bytes
            piece = self._session.next_fragment(size_bytes)
            if piece is None or self._scene is None:
                await self._wait_for_news()
                continue
            data = await self._scene.read(piece.file_offset, piece.length)
            if self._session.next_fragment(size_bytes) != piece:
                continue  # a new view, or the end, has arrived during the read
            self._session.send_fragment(piece, data)
            self._count(self._scene, piece)
            await self._flush()
            await asyncio.sleep(0)  # let other tasks run, and receive this client's next view

    async def _wait_for_news(self) -> None:
        """Wait for a message of the client. Send pings meanwhile."""
        self._news.clear()
        try:
            async with asyncio.timeout_at(self._sign_of_life.wake_s(self._now())):
                await self._news.wait()
        except TimeoutError:
            if not self._sign_of_life.pings():
                self._refuse(ErrorCode.TIMEOUT, "no sign of life")
            await self.socket.ping()

    async def _flush(self) -> None:
        for frame in self._session.data_to_send():
            await self.socket.send_bytes(frame)
            self._sent_bytes += len(frame)

    def _count(self, scene: Scene, piece: Slice) -> None:
        metrics = self._state.metrics
        if is_page(piece.part):
            metrics.page_bytes.inc(piece.length)
        else:
            layer = scene.plan.table[piece.part].layer
            metrics.layer_bytes.labels(str(layer)).inc(piece.length)
        if self._view_at_s is not None:
            metrics.reaction_s.observe(self._now() - self._view_at_s)
            self._view_at_s = None

    # Private: the end

    def _refuse(self, code: ErrorCode, message: str) -> NoReturn:
        self._session.send_error(code, message)
        raise _Refused(message, code=code)

    async def _close(self, code: int) -> None:
        """Send the remaining frames, as far as the client reads them, and close."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                await self._flush()
                await self.socket.close(code=code)
                return
        self.abort()

    def _report(self, duration_s: float) -> None:
        failure = self._session.failure
        if failure is not ErrorCode.NONE:
            self._state.metrics.reject(failure)
        log.info(
            "stream",
            extra={
                "peer": self._request.remote,
                "scene": self._name,
                "code": failure.name.lower(),
                "bytes": self._sent_bytes,
                "duration_s": round(duration_s, 3),
            },
        )

    # Private: the connection

    @property
    def _transport(self) -> asyncio.Transport | None:
        return self._request.transport

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
