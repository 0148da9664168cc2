"""The static profile: range requests for the file, from any HTTP server.

A few requests are pending at a time, enough to fill the link and no more, so that a new view takes
effect soon. A server that ignores ranges sends the whole file, which also works, even compressed.
ETags may differ between the nodes of a CDN: then the heads of the files are compared.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

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

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", re.IGNORECASE)
_PLAIN = ("", "identity")
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
        self._etag: str | None = None  # a strong ETag
        self._etags_differ = False  # from answer to answer: they do not identify the bytes
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
                unpack = unpacker(response.headers.get("Content-Encoding", ""))
                async for packed in response.content.iter_any():
                    self._delivery.count(len(packed), now_s())
                    self._window.came(flight, len(packed))
                    data = unpack(packed)
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
            unpack = unpacker(response.headers.get("Content-Encoding", ""))
            data = b""
            async for packed in response.content.iter_any():
                self._delivery.count(len(packed), asyncio.get_running_loop().time())
                data += unpack(packed)
                if len(data) >= wanted.end:
                    break
            else:
                raise ConnectionLostError("the server sent less than it was asked for")
            response.close()
        if data[: wanted.end] != head.packed:
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
        return http.get(
            route.url, headers=headers, server_hostname=route.server_hostname, proxy=route.via
        )

    def _check(self, response: aiohttp.ClientResponse, wanted: ByteRange) -> None:
        """Raise StreamError if a response is not usable or belongs to another file."""
        if response.status == 412:
            self._distrust_etags()
        if response.status not in (200, 206, 416):
            raise refusal_of(response.status, response.headers, response.reason or "")
        if response.content_type == "text/html":
            raise StreamError(
                "the server answers with a web page instead of the file; `exgs serve` has the file"
                " at /scenes/NAME.exgs"
            )
        encoding = response.headers.get("Content-Encoding", "").lower()
        is_plain = encoding in _PLAIN
        if response.status != 200 and not is_plain:
            raise StreamError(
                f"the server compresses parts of the file (Content-Encoding: {encoding}):"
                " turn that off for .exgs files"
            )
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        first_byte, size = found.groups() if found else (None, None)
        file_bytes = int(size) if size and size != "*" else None
        if response.status == 200:
            file_bytes = response.content_length if is_plain else None
        if _differ(file_bytes, self._file_bytes):
            raise SceneChangedError(_CHANGED)
        self._compare_etag(response.headers.get("ETag", ""))
        if response.status == 416 and file_bytes is not None:
            raise StreamError(
                f"the file on the server ends at byte {file_bytes}, before it is complete; "
                "upload it again"
            )
        if response.status == 416 and self._file_bytes is not None:
            raise SceneChangedError(_CHANGED)
        if response.status != 200 and first_byte != str(wanted.start):
            found_range = "another range than it was asked for" if found else "no Content-Range"
            raise StreamError(f"the server sends a part of the file with {found_range}")
        self._file_bytes = self._file_bytes or file_bytes

    def _compare_etag(self, etag: str) -> None:
        if self._etags_differ or not etag.startswith('"'):  # a weak one does not identify the bytes
            return
        if _differ(etag, self._etag):
            self._distrust_etags()
        self._etag = etag

    def _distrust_etags(self) -> NoReturn:
        """Connect again without ETags. `receive` then compares the heads of both files.

        Raises ConnectionLostError.
        """
        self._etags_differ, self._etag = True, None
        raise ConnectionLostError("the server names the file by another ETag; comparing the files")


def unpacker(encoding: str) -> Callable[[bytes], bytes]:
    """A function that unpacks the next bytes of a body in this Content-Encoding.

    Raises StreamError if exgs can't unpack it. The function raises ConnectionLostError for damaged
    bytes.
    """
    name = encoding.strip().lower()
    if name in _PLAIN:
        return lambda data: data
    if name not in ("gzip", "x-gzip", "deflate"):
        raise StreamError(
            f"the server compresses the file (Content-Encoding: {name}), which exgs"
            " can't unpack: turn that off for .exgs files"
        )
    inflate = zlib.decompressobj(zlib.MAX_WBITS | (0 if name == "deflate" else 16))

    def unpack(data: bytes) -> bytes:
        try:
            return inflate.decompress(data)
        except zlib.error as error:
            raise ConnectionLostError(f"the {name} from the server is damaged") from error

    return unpack


def _differ(told: str | int | None, known: str | int | None) -> bool:
    return told is not None and known is not None and told != known
