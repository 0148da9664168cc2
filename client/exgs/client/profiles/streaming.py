"""The streaming profile: an Exchange on a WebSocket.

One task reads, another writes. The writer takes a frame only when the connection is ready, so a
waiting view is replaced by the next.
"""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp

from exgs.client.delivery import Delivery
from exgs.client.errors import StreamError
from exgs.client.flow.credit import CreditWindow
from exgs.client.flow.silence import SILENCE_S, Silence
from exgs.client.profiles.exchange import Exchange
from exgs.client.route import Route
from exgs.codec.constants import FRAME_HEAD_BYTES, MAX_POSTER_BYTES, MAX_WELCOME_BYTES
from exgs.scene.camera import Camera
from exgs.wire.client import Resume
from exgs.wire.errors import ProtocolError

Socket = aiohttp.ClientWebSocketResponse[bool]


class StreamingProfile:
    """Receives a scene from .../scenes/NAME/stream. A new connection resumes.

    The server first sends what the camera of the newest `look` sees. With `limit_bytes` it stops
    after about this many received bytes. With `poster`, the poster is requested at the same time,
    since the stream does not contain it.
    """

    def __init__(
        self,
        name: str,
        delivery: Delivery,
        *,
        token: str | None = None,
        limit_bytes: int | None = None,
        resume: Resume | None = None,
        silence_s: float = SILENCE_S,
        poster: bool = False,
    ) -> None:
        self._name = name
        self._delivery = delivery
        self._token = token
        self._credit = CreditWindow(limit_bytes)
        self._resume = resume
        self._silence = Silence(silence_s)
        self._wants_poster = poster
        self._camera: Camera | None = None
        self._exchange: Exchange | None = None
        self._news = asyncio.Event()  # set when there is something to send

    def look(self, camera: Camera) -> None:
        """Set the camera. Call it on the event loop."""
        self._camera = camera
        if self._exchange is None:
            self._delivery.look(camera)
            return
        self._exchange.look(camera)
        self._news.set()

    def lift_limit(self) -> None:
        """Remove all limits, from the next `receive` on."""
        self._credit.limit_bytes = None

    async def receive(self, http: aiohttp.ClientSession, route: Route) -> None:
        """Receive until everything has arrived. Raises StreamError, FormatError."""
        self._news = asyncio.Event()  # bound to this event loop
        exchange = Exchange(
            self._name,
            self._delivery,
            self._credit,
            token=self._token,
            camera=self._camera,
            resume=self._resume,
        )
        self._exchange = exchange
        posting = asyncio.create_task(self._fetch_poster(http, route))
        try:
            async with http.ws_connect(
                route.url,
                headers=route.headers,
                server_hostname=route.server_hostname,
                proxy=route.via,
                autoping=False,
                heartbeat=self._silence.limit_s,
                compress=0,
                max_msg_size=FRAME_HEAD_BYTES + MAX_WELCOME_BYTES + 1,  # that is refused
            ) as socket:
                writing = asyncio.create_task(self._write(exchange, socket))
                try:
                    await self._read(exchange, socket)
                finally:
                    writing.cancel()
                    await asyncio.wait([writing])
                await socket.close()
        finally:
            posting.cancel()
            await asyncio.wait([posting])
            self._resume = exchange.resume()
            self._exchange = None

    async def _fetch_poster(self, http: aiohttp.ClientSession, route: Route) -> None:
        """Request the poster once. Failures are ignored: the scene itself reports them."""
        if not self._wants_poster:
            return
        scheme = "https" if route.url.scheme in ("https", "wss") else "http"
        url = route.url.with_scheme(scheme).with_name("poster")
        headers = dict(route.headers)
        if self._token is not None:
            headers.setdefault("Authorization", f"Bearer {self._token}")
        poster = bytearray()
        with contextlib.suppress(aiohttp.ClientError, OSError, StreamError):
            async with http.get(
                url, headers=headers, server_hostname=route.server_hostname
            ) as response:
                self._wants_poster = False
                if response.status != 200:
                    return
                async for data in response.content.iter_any():
                    self._delivery.count(len(data), asyncio.get_running_loop().time())
                    poster += data
                    if len(poster) > MAX_POSTER_BYTES:
                        return
            self._delivery.add_poster(bytes(poster))

    async def _read(self, exchange: Exchange, socket: Socket) -> None:
        while not exchange.is_done:
            data = await self._next_message(exchange, socket)
            try:
                exchange.receive_data(data, asyncio.get_running_loop().time())
            except (ProtocolError, StreamError):
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    for frame in exchange.data_to_send():  # the ERROR frame
                        await socket.send_bytes(frame)
                raise
            self._news.set()

    async def _next_message(self, exchange: Exchange, socket: Socket) -> bytes:
        """Wait for a message. Raises TimeoutError if no byte arrives for some time."""
        now_s = asyncio.get_running_loop().time
        self._silence.waits(now_s())
        while True:
            message = await socket.receive()
            match message.type:
                case aiohttp.WSMsgType.BINARY:
                    data: bytes = message.data
                    return data
                case aiohttp.WSMsgType.PING:
                    await socket.pong(message.data)
                case aiohttp.WSMsgType.PONG if (
                    self._silence.is_over(now_s()) and not exchange.is_idle
                ):
                    raise TimeoutError
                case aiohttp.WSMsgType.PONG:
                    pass  # a message has arrived after all, or nothing is expected
                case aiohttp.WSMsgType.ERROR if isinstance(message.data, TimeoutError):
                    raise message.data
                case _:
                    exchange.receive_eof()

    async def _write(self, exchange: Exchange, socket: Socket) -> None:
        """Send frames one at a time. `_read` reports failures."""
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            while True:
                self._news.clear()
                while frames := exchange.data_to_send(1):
                    await socket.send_bytes(frames[0])
                await self._news.wait()
