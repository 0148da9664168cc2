"""The static profile: range requests for the file, from any HTTP server.

A few requests are pending at a time, enough to fill the link and no more, so that a new view takes
effect soon. A server that ignores ranges sends the whole file, which also works.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AbstractAsyncContextManager

import aiohttp

from exgs.client.delivery import Delivery
from exgs.client.errors import (
    ConnectionLostError,
    SceneChangedError,
    StreamError,
    refusal_of,
)
from exgs.client.flow.ahead import REQUESTS, AheadWindow
from exgs.client.profiles.ranges import ByteRange, RangeReader
from exgs.client.route import Route
from exgs.codec.format.container import FileHead
from exgs.scene.camera import Camera
from exgs.wire.client import Resume
from exgs.wire.scheduler import ENDLESS_BYTES

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_CHANGED = "the scene on the server has changed; start again"


class StaticProfile:
    """Receives a scene from .../NAME.exgs. Continues after an interruption.

    What the camera of the newest `look` sees arrives first. With `limit_bytes` it stops after this
    many received bytes.
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        token: str | None = None,
        limit_bytes: int | None = None,
        resume: Resume | None = None,
    ) -> None:
        self._delivery = delivery
        self._token = token
        self._reader = RangeReader(delivery, resume)
        self._window = AheadWindow(limit_bytes)
        self._is_begun = False  # whether a response has arrived; it may set:
        self._etag: str | None = None  # a strong ETag
        self._file_bytes: int | None = None  # the length of the file
        self._news = asyncio.Event()

    def look(self, camera: Camera) -> None:
        """Set the camera. Call it on the event loop."""
        self._reader.look(camera)
        self._news.set()

    def lift_limit(self) -> None:
        """Remove all limits, from the next `receive` on."""
        self._window.limit_bytes = None

    async def receive(self, http: aiohttp.ClientSession, route: Route) -> None:
        """Receive until everything has arrived. Raises StreamError, FormatError."""
        self._news = asyncio.Event()  # bound to this event loop

        async def work() -> None:
            while not self._is_done():
                wanted = self._claim()
                if wanted is None:
                    self._news.clear()
                    await self._news.wait()
                else:
                    await self._fetch(http, route, wanted)
            self._news.set()

        if self._etag is None and self._reader.head is not None:
            await self._confirm(http, route, self._reader.head)
        self._reader.revise()
        tasks = [asyncio.create_task(work()) for _ in range(REQUESTS)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._reader.release()

    def _is_done(self) -> bool:
        if self._window.left_bytes(self._delivery.received_bytes) == 0:
            return True
        return self._reader.is_done and not self._delivery.is_full  # a view may need more

    def _claim(self) -> ByteRange | None:
        size = self._window.next_size(self._delivery.received_bytes)
        if size is None:
            return None
        most_bytes = ENDLESS_BYTES if size.most_bytes is None else size.most_bytes
        return self._reader.claim(
            size.size_bytes, least_bytes=size.least_bytes, most_bytes=most_bytes
        )

    async def _fetch(self, http: aiohttp.ClientSession, route: Route, wanted: ByteRange) -> None:
        now_s = asyncio.get_running_loop().time
        flight = self._window.asked(now_s(), wanted.end - wanted.start)
        try:
            async with self._get(http, route, wanted) as response:
                self._window.answered(now_s(), flight)
                self._check(response, wanted)
                coming: ByteRange | None = wanted
                if response.status == 200:
                    coming = self._reader.claim_all(wanted)
                if coming is None:
                    response.close()
                    return
                position = coming.start
                async for data in response.content.iter_any():
                    self._delivery.count(len(data), now_s())
                    self._window.came(flight, len(data))
                    self._reader.take(position, data)
                    position += len(data)
                    self._news.set()
                    if self._window.left_bytes(self._delivery.received_bytes) == 0:
                        response.close()
                        return
                if position < min(coming.end, self._reader.file_bytes or coming.end):
                    raise ConnectionLostError("the server sent less than it was asked for")
                self._reader.finish(coming)
                self._window.finished(now_s(), flight, position - coming.start)
        finally:
            self._window.ended(flight)
            self._news.set()

    async def _confirm(self, http: aiohttp.ClientSession, route: Route, head: FileHead) -> None:
        """Compare the head of the file, which is needed if there is no ETag."""
        wanted = ByteRange(0, head.header.root_end)
        async with self._get(http, route, wanted) as response:
            self._check(response, wanted)
            try:
                data = await response.content.readexactly(wanted.end)
            except asyncio.IncompleteReadError as error:
                raise ConnectionLostError("the server sent less than it was asked for") from error
            self._delivery.count(len(data), asyncio.get_running_loop().time())
            response.close()
        if data != head.packed:
            raise SceneChangedError(_CHANGED)

    def _get(
        self, http: aiohttp.ClientSession, route: Route, wanted: ByteRange
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {
            **route.headers,
            "Accept-Encoding": "identity",
            "Range": f"bytes={wanted.start}-{wanted.end - 1}",
        }
        if self._etag is not None:
            headers["If-Match"] = self._etag
        if self._reader.came_damaged(wanted):
            headers["Cache-Control"] = "no-cache"
        if self._token is not None:
            headers.setdefault("Authorization", f"Bearer {self._token}")
        return http.get(route.url, headers=headers, server_hostname=route.server_hostname)

    def _check(self, response: aiohttp.ClientResponse, wanted: ByteRange) -> None:
        """Raise StreamError if a response is not usable or belongs to another file."""
        if response.status == 412:
            raise SceneChangedError(_CHANGED)
        if response.status not in (200, 206, 416):
            raise refusal_of(response.status, response.headers, response.reason or "")
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        first_byte, size = found.groups() if found else (None, None)
        file_bytes = int(size) if size and size != "*" else None
        if response.status == 200:
            file_bytes = response.content_length
        etag: str | None = response.headers.get("ETag", "")
        if not etag or not etag.startswith('"'):  # a weak ETag does not identify the bytes
            etag = None
        if _differ(etag, self._etag) or _differ(file_bytes, self._file_bytes):
            raise SceneChangedError(_CHANGED)
        if response.status == 416 and file_bytes is not None:
            raise StreamError(
                f"the file on the server ends at byte {file_bytes}, before it is complete; "
                "upload it again"
            )
        if response.status != 200 and first_byte != str(wanted.start):
            if self._is_begun:
                raise SceneChangedError(_CHANGED)
            raise StreamError("the server sends another range than it was asked for")
        self._is_begun = True
        self._etag = self._etag or etag
        self._file_bytes = self._file_bytes or file_bytes


def _differ(told: str | int | None, known: str | int | None) -> bool:
    return told is not None and known is not None and told != known
