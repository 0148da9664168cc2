"""The streaming profile: one WebSocket, and a ClientSession that says what its bytes mean."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp

from exgs.client.delivery import Delivery
from exgs.client.errors import (
    TOKEN_REFUSED,
    ConnectionLostError,
    DamagedOnTheWayError,
    SceneChangedError,
    StreamError,
)
from exgs.client.receive import SILENCE_S
from exgs.client.route import Route
from exgs.codec.constants import (
    FRAME_HEAD_BYTES,
    HEAD_BYTES,
    MAX_WELCOME_BYTES,
    ErrorCode,
)
from exgs.scene.camera import Camera
from exgs.wire.client import ClientSession, Resume
from exgs.wire.errors import RemoteProtocolError
from exgs.wire.events import (
    ChunkArrived,
    Error,
    Event,
    Fragment,
    GoAway,
    PageArrived,
    View,
    Welcome,
)
from exgs.wire.plan import PartPlan

Socket = aiohttp.ClientWebSocketResponse[bool]

_CREDIT_WINDOW_BYTES = 8 << 20  # what may be on its way: more than any link holds
_RETRYABLE_CODES = (  # faults that another connection may not meet
    ErrorCode.BUSY,
    ErrorCode.DAMAGED,
    ErrorCode.INTERNAL,
    ErrorCode.SHUTDOWN,
    ErrorCode.SLOW_READER,
    ErrorCode.TIMEOUT,
)


class StreamingProfile:
    """Receives a scene from .../scenes/NAME/stream; connects anew with what it has.

    The server sends first what the camera of the newest `look` sees. With `limit_bytes` it stops
    after about so many received bytes.
    """

    def __init__(
        self,
        name: str,
        delivery: Delivery,
        *,
        token: str | None = None,
        limit_bytes: int | None = None,
        resume: Resume | None = None,
    ) -> None:
        self._name = name
        self._delivery = delivery
        self._token = token
        self.limit_bytes = limit_bytes
        self._resume = resume
        self._is_stale = False  # what was held came from a cache, and is of another file
        self._camera: Camera | None = None
        self._view: View | None = None
        self._plan: PartPlan | None = None  # only where there is a memory budget
        self._session: ClientSession | None = None
        self._socket: Socket | None = None
        self._speaking: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # to send on the connection

    def look(self, camera: Camera) -> None:
        """Look from here from now on; to be called on the event loop."""
        self._camera = camera
        if self._session is None or self._session.closed:
            return
        serial = self._session.send_view(camera)
        self._view = View(serial, camera)
        if self._plan is not None:
            self._revise(self._session, self._plan)
        if self._socket is not None:
            task = asyncio.create_task(self._speak(self._session, self._socket))
            self._speaking.add(task)
            task.add_done_callback(self._speaking.discard)

    async def receive(self, http: aiohttp.ClientSession, route: Route) -> None:
        """Receive until everything is here; raises StreamError, FormatError."""
        session = ClientSession(
            self._name,
            credit_bytes=self._more_credit(0),
            token=self._token,
            camera=self._camera,
            resume=self._resume,
        )
        self._session = session
        self._turn = asyncio.Lock()
        self._is_stale = False
        try:
            async with http.ws_connect(
                route.url,
                headers=route.headers,
                server_hostname=route.server_hostname,
                autoping=False,
                heartbeat=SILENCE_S,
                compress=0,
                max_msg_size=FRAME_HEAD_BYTES + MAX_WELCOME_BYTES + 1,  # that is refused
            ) as socket:
                self._socket = socket
                await self._exchange(session, socket)
        except RemoteProtocolError as fault:
            if fault.code is ErrorCode.DAMAGED:  # that part will come anew
                raise DamagedOnTheWayError(str(fault)) from fault
            raise
        finally:
            self._resume = None if self._is_stale else session.resume()
            self._session = self._socket = self._plan = None

    async def _exchange(self, session: ClientSession, socket: Socket) -> None:
        while True:
            await self._flush(session, socket)
            if self._is_done(session):
                await socket.close()
                return
            data = await self._next_message(session, socket)
            self._delivery.count(len(data))
            try:
                for event in session.receive_data(data):
                    self._handle(event, session)
            except RemoteProtocolError:
                await self._flush(session, socket)
                raise
            more = self._more_credit(session.credit_bytes)
            if more and not session.closed:
                session.send_credit(more)

    async def _next_message(self, session: ClientSession, socket: Socket) -> bytes:
        """Wait for a message; raises TimeoutError where not a byte comes for a while.

        A long message may take its time on a slow link. So what is timed is the bytes: aiohttp
        pings after a silence of them, and reports an error where not even the answer comes. An
        answer that comes alone shows a server that is there, but has nothing to say.
        """
        now_s = asyncio.get_running_loop().time
        start_s = now_s()
        while True:
            message = await socket.receive()
            match message.type:
                case aiohttp.WSMsgType.BINARY:
                    data: bytes = message.data
                    return data
                case aiohttp.WSMsgType.PING:
                    await socket.pong(message.data)
                case aiohttp.WSMsgType.PONG if now_s() - start_s < SILENCE_S:
                    pass  # behind a message that has come after all
                case aiohttp.WSMsgType.PONG:
                    raise TimeoutError
                case aiohttp.WSMsgType.ERROR if isinstance(message.data, TimeoutError):
                    raise message.data
                case _:
                    session.receive_eof()
                    raise ConnectionLostError("the server closed the connection")

    async def _flush(self, session: ClientSession, socket: Socket) -> None:
        """Send what is to be sent; by turns, since a view must not overtake the one before it."""
        async with self._turn:
            for frame in session.data_to_send():
                await socket.send_bytes(frame)

    async def _speak(self, session: ClientSession, socket: Socket) -> None:
        """Send what is to be sent while `_exchange` waits; a failure is for `_exchange` to meet."""
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            await self._flush(session, socket)

    def _handle(self, event: Event, session: ClientSession) -> None:
        match event:
            case Welcome(head=head):
                self._delivery.open(head)
                if self._delivery.has_budget and session.table is not None:
                    self._plan = PartPlan(head, session.table)
                    self._revise(session, self._plan, anew=True)
            case Fragment(part, offset, data):
                self._delivery.add_fragment(part, offset, data)
            case PageArrived(page, rows):
                self._delivery.add_page(page, rows)
                if self._plan is not None:
                    self._plan.add_page(page, rows)
                    self._revise(session, self._plan)
            case ChunkArrived(chunk, packed):
                self._delivery.add_chunk(chunk, packed)
            case GoAway(message=message, retry_after_s=retry_after_s):
                raise ConnectionLostError(
                    f"the server goes away: {message}", retry_after_s=retry_after_s
                )
            case Error(code, message, fatal) if fatal:
                self._refused(code, message)

    def _revise(self, session: ClientSession, plan: PartPlan, *, anew: bool = False) -> None:
        """Tell the server what fits into memory."""
        if session.closed:
            return
        revision = self._delivery.revise(plan, self._view, anew=anew)
        session.send_cancel(revision.leave_out)
        session.send_want(revision.take_in)
        session.send_want(revision.fetch_again, again=True)

    def _refused(self, code: int, message: str) -> None:
        if code == ErrorCode.SCENE_CHANGED:
            if not self._delivery.is_open:
                self._is_stale = True
                raise ConnectionLostError("the cached scene has changed on the server")
            raise SceneChangedError("the scene on the server has changed; start again")
        if code == ErrorCode.UNAUTHORIZED:
            raise StreamError(TOKEN_REFUSED)
        if code in _RETRYABLE_CODES:
            raise ConnectionLostError(f"the server says: {message}")
        raise StreamError(f"the server says: {message}")

    def _more_credit(self, outstanding_bytes: int) -> int:
        """Credit to give on top of what is outstanding, in portions worth a frame."""
        more = _CREDIT_WINDOW_BYTES - outstanding_bytes
        if self.limit_bytes is not None:
            head_bytes = 0 if self._delivery.is_open else HEAD_BYTES
            left = self.limit_bytes - self._delivery.received_bytes - head_bytes
            return max(0, min(more, left - outstanding_bytes))
        return more if more >= _CREDIT_WINDOW_BYTES // 2 else 0

    def _is_done(self, session: ClientSession) -> bool:
        if not self._delivery.is_open:
            return False
        spent = session.credit_bytes == 0 and self._more_credit(0) == 0
        settled = self._plan is not None and self._delivery.is_settled
        return session.missing_bytes == 0 or spent or settled
