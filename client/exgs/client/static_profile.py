"""The static profile: byte ranges of the file itself, from any HTTP server.

One request asks for all that is missing from a place on; what comes is cut into parts by the
chunk table as it arrives. A server that ignores ranges sends the whole file, which serves too.
"""

from __future__ import annotations

import re

import aiohttp

from exgs.client.delivery import Delivery
from exgs.client.errors import ConnectionLostError, SceneChangedError, StreamError
from exgs.client.route import Route
from exgs.codec.container import FileHead, parse_head
from exgs.codec.errors import DamagedError, TruncatedError
from exgs.codec.frame import content_hash
from exgs.codec.index import ChunkRef, ChunkTable, PageRef
from exgs.codec.index_io import parse_page
from exgs.wire.client import Resume
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import Scheduler, Slice

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_WORTH_A_REQUEST_BYTES = 64 << 10  # a smaller gap of held bytes is read over, not jumped


class StaticProfile:
    """Receives a scene from .../NAME.exgs in file order; goes on from what it has.

    With `limit_bytes` it stops at so many received bytes.
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
        self.limit_bytes = limit_bytes
        self._resume = resume
        self._etag: str | None = None
        self._front = bytearray()  # the file's first bytes, until the head can be read
        self._scheduler: Scheduler | None = None
        self._parts: dict[int, bytearray] = {}

    async def receive(self, http: aiohttp.ClientSession, route: Route) -> None:
        """Receive until everything is here; raises StreamError, FormatError."""
        while not self._is_done():
            start, end = self._next_range()
            headers = {
                **route.headers,
                "Accept-Encoding": "identity",
                "Range": f"bytes={start}-{'' if end is None else end - 1}",
            }
            if self._etag is not None:
                headers["If-Match"] = self._etag
            if self._token is not None:
                headers["Authorization"] = f"Bearer {self._token}"
            async with http.get(
                route.url, headers=headers, server_hostname=route.server_hostname
            ) as response:
                position = self._check(response, start)
                before = self._delivery.received_bytes
                async for data in response.content.iter_any():
                    self._delivery.count(len(data))
                    self._take(position, data)
                    position += len(data)
                    if self._is_done():
                        response.close()
                        return
                if self._delivery.received_bytes == before:
                    raise ConnectionLostError("the server sent nothing")

    # What to ask for.

    def _is_done(self) -> bool:
        if self.limit_bytes is not None and self._delivery.received_bytes >= self.limit_bytes:
            return True
        return self._scheduler is not None and self._scheduler.missing_bytes == 0

    def _next_range(self) -> tuple[int, int | None]:
        """First byte to fetch and the end of the range, None for that of the file."""
        piece = self._scheduler.next(1) if self._scheduler is not None else None
        if self._scheduler is not None and piece is not None:
            start, end = piece.file_offset, _run_end(self._scheduler, piece)
        else:
            start = len(self._front)
            end = self._resume.head.header.root_end if self._resume and not start else None
        if self.limit_bytes is not None:
            limit = start + self.limit_bytes - self._delivery.received_bytes
            end = limit if end is None else min(end, limit)
        return start, end

    # What comes.

    def _check(self, response: aiohttp.ClientResponse, start: int) -> int:
        """Where in the file the body starts; raises StreamError where there is none of use."""
        match response.status:
            case 200:
                position = 0
            case 206:
                found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
                if found is None or int(found[1]) != start:
                    raise StreamError("the server sends another range than it was asked for")
                position = start
            case 412 | 416:
                raise SceneChangedError("the scene on the server has changed; start again")
            case 401 | 403:
                raise StreamError("the server wants a token: give one with --token")
            case 429 | 500 | 502 | 503 | 504 as status:
                wait_s = response.headers.get("Retry-After", "")
                raise ConnectionLostError(
                    f"the server answers {status}",
                    retry_after_s=float(wait_s) if wait_s.isdecimal() else 0.0,
                )
            case status:
                raise StreamError(f"the server answers {status} {response.reason}")
        etag = response.headers.get("ETag", "")
        if self._etag is None and etag.startswith('"'):  # a weak one does not name the bytes
            self._etag = etag
        return position

    def _take(self, position: int, data: bytes) -> None:
        """Bytes of the file that start at `position`."""
        if self._scheduler is None:
            self._front += data[len(self._front) - position :]
            try:
                head = parse_head(self._front)
            except TruncatedError:
                return
            self._scheduler = self._open(head)
            position, data = head.header.root_end, bytes(self._front[head.header.root_end :])
        while data:
            piece = self._scheduler.next(len(data))
            gap = 0 if piece is None else piece.file_offset - position
            if piece is None or not 0 <= gap < len(data):
                return
            fresh = data[gap : gap + piece.length]
            self._scheduler.mark(piece.part, piece.offset + len(fresh))
            self._enter(self._scheduler, piece, fresh)
            position += gap + len(fresh)
            data = data[gap + len(fresh) :]

    def _open(self, head: FileHead) -> Scheduler:
        self._delivery.open(head)
        resume = self._resume
        if resume is None or resume.head.scene_hash != head.scene_hash:
            return Scheduler(PartPlan(head, ChunkTable(head.root)))
        self._parts = {part: bytearray(data) for part, data in resume.partial.items()}
        return Scheduler(PartPlan(head, resume.table), resume.have)

    def _enter(self, scheduler: Scheduler, piece: Slice, data: bytes) -> None:
        ref = scheduler.plan.ref(piece.part)
        held = self._parts.setdefault(piece.part, bytearray())
        held += data
        self._delivery.add_fragment(piece.part, piece.offset, data)
        if len(held) < ref.packed_bytes:
            return
        packed = bytes(self._parts.pop(piece.part))
        if isinstance(ref, PageRef):
            rows = parse_page(packed, ref, scheduler.plan.facts)
            scheduler.add_page(ref, rows)
            self._delivery.add_page(ref, rows)
            return
        if content_hash(packed) != ref.hash:
            raise DamagedError("the hash does not match", section=ref.section, offset=ref.offset)
        self._delivery.add_chunk(ref, packed)


def _run_end(scheduler: Scheduler, piece: Slice) -> int | None:
    """Where the bytes that are missing from `piece` on end; None for the end of the file."""
    plan = scheduler.plan
    ref = plan.ref(piece.part)
    first = ref.id if isinstance(ref, ChunkRef) else ref.first_chunk
    held_from: int | None = None
    held_bytes = 0
    for number in range(first, plan.chunk_count):
        row = plan.table.get(number)
        if row is None:
            return None
        if not scheduler.is_whole(number):
            held_from, held_bytes = None, 0
            continue
        held_from = row.offset if held_from is None else held_from
        held_bytes += row.packed_bytes
        if held_bytes >= _WORTH_A_REQUEST_BYTES:
            break
    return held_from
