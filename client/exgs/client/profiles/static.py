"""The static profile: byte ranges of the file itself, from any HTTP server.

A few requests are on their way at a time, enough to fill the link and no more, so that a new view
changes soon what comes. A server that ignores ranges sends the whole file, which serves too.
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
from exgs.client.profiles.ranges import ByteRange, RangeReader
from exgs.client.route import Route
from exgs.codec.format.container import FileHead
from exgs.scene.camera import Camera
from exgs.wire.client import Resume

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_CHANGED = "the scene on the server has changed; start again"
_REQUESTS = 6  # at a time, as browsers do
_AHEAD_BYTES = 128 << 10  # on their way at first: what fills a slow link over a round trip
_AHEAD_BYTES_MAX = 16 << 20
_QUICK_S, _LONG_S = 0.25, 0.8  # beyond the least answer time: more, or less, may be on its way


class StaticProfile:
    """Receives a scene from .../NAME.exgs; goes on from what it has.

    What the camera of the newest `look` sees comes first. With `limit_bytes` it stops at so many
    received bytes.
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        token: str | None = None,
        limit_bytes: int | None = None,
        resume: Resume | None = None,
    ) -> None:
        self.limit_bytes = limit_bytes
        self._delivery = delivery
        self._token = token
        self._reader = RangeReader(delivery, resume)
        self._is_begun = False  # an answer has come, and with it, as far as it told:
        self._etag: str | None = None  # a strong one
        self._file_bytes: int | None = None  # length of the file
        self._awaited_bytes = 0  # of the requests on their way
        self._ahead_bytes = _AHEAD_BYTES  # most that may be on its way
        self._least_answer_s = float("inf")  # about a round trip
        self._news = asyncio.Event()

    def look(self, camera: Camera) -> None:
        """Look from here from now on; to be called on the event loop."""
        self._reader.look(camera)

    async def receive(self, http: aiohttp.ClientSession, route: Route) -> None:
        """Receive until everything is here; raises StreamError, FormatError."""

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
        tasks = [asyncio.create_task(work()) for _ in range(_REQUESTS)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._reader.release()
            self._awaited_bytes = 0

    def _is_done(self) -> bool:
        return self._left_bytes() == 0 or self._reader.is_done

    def _left_bytes(self) -> int | None:
        """What the limit leaves."""
        if self.limit_bytes is None:
            return None
        return max(0, self.limit_bytes - self._delivery.received_bytes)

    def _claim(self) -> ByteRange | None:
        room_bytes = self._ahead_bytes - self._awaited_bytes
        left_bytes = self._left_bytes()
        if left_bytes is not None:
            left_bytes -= self._awaited_bytes
        if room_bytes <= 0 or (left_bytes is not None and left_bytes <= 0):
            return None
        size_bytes = min(room_bytes, self._ahead_bytes // 2)
        least_bytes = min(room_bytes, self._ahead_bytes // _REQUESTS)
        if left_bytes is None:
            return self._reader.claim(size_bytes, least_bytes=least_bytes)
        return self._reader.claim(size_bytes, least_bytes=least_bytes, most_bytes=left_bytes)

    async def _fetch(self, http: aiohttp.ClientSession, route: Route, wanted: ByteRange) -> None:
        awaited_bytes = wanted.end - wanted.start
        self._awaited_bytes += awaited_bytes
        asked_s = asyncio.get_running_loop().time()
        try:
            async with self._get(http, route, wanted) as response:
                answer_s = asyncio.get_running_loop().time() - asked_s
                self._least_answer_s = min(self._least_answer_s, answer_s)
                self._check(response, wanted)
                coming: ByteRange | None = wanted
                if response.status == 200:
                    coming = self._reader.claim_all(wanted)
                if coming is None:
                    response.close()
                    return
                position = coming.start
                async for data in response.content.iter_any():
                    self._delivery.count(len(data))
                    known_bytes = min(awaited_bytes, len(data))
                    awaited_bytes -= known_bytes
                    self._awaited_bytes -= known_bytes
                    self._reader.take(position, data)
                    position += len(data)
                    self._news.set()
                    if self._left_bytes() == 0:
                        response.close()
                        return
                if position < min(coming.end, self._reader.file_bytes or coming.end):
                    raise ConnectionLostError("the server sent less than it was asked for")
                self._reader.finish(coming)
                self._adapt(position - coming.start, asyncio.get_running_loop().time() - asked_s)
        finally:
            self._awaited_bytes -= awaited_bytes
            self._news.set()

    def _adapt(self, length_bytes: int, taken_s: float) -> None:
        """Ask for more ahead while ranges come quickly, for less where they queue."""
        beyond_s = taken_s - self._least_answer_s
        if beyond_s < _QUICK_S:
            self._ahead_bytes = min(self._ahead_bytes + length_bytes, _AHEAD_BYTES_MAX)
        elif beyond_s > _LONG_S:
            self._ahead_bytes = max(self._ahead_bytes // 2, _AHEAD_BYTES)

    async def _confirm(self, http: aiohttp.ClientSession, route: Route, head: FileHead) -> None:
        """Without an ETag only the file's head tells whether it is still the same."""
        wanted = ByteRange(0, head.header.root_end)
        async with self._get(http, route, wanted) as response:
            self._check(response, wanted)
            try:
                data = await response.content.readexactly(wanted.end)
            except asyncio.IncompleteReadError as error:
                raise ConnectionLostError("the server sent less than it was asked for") from error
            self._delivery.count(len(data))
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
        """Raises StreamError where an answer brings nothing of use, or of another file."""
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
        if not etag or not etag.startswith('"'):  # a weak one does not name the bytes
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
