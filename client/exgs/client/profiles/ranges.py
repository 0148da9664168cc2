"""The static profile without HTTP: chooses byte ranges and extracts parts from them.

Several ranges may be pending at once, and their bytes arrive interleaved. Each part is passed on
from its front. Like the wire core, this uses no sockets and no clocks.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from exgs.client.delivery import Delivery
from exgs.client.errors import DamagedAtServerError
from exgs.client.profiles.places import Place, Places
from exgs.codec.errors import TruncatedError
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.container import FileHead, parse_head
from exgs.codec.format.frame import content_hash
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.index_io import parse_page
from exgs.codec.format.rows import PageRef
from exgs.scene.camera import Camera
from exgs.wire.client import Resume
from exgs.wire.events import View
from exgs.wire.parts import page_part
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import ENDLESS_BYTES, Scheduler

_ATTEMPTS = 4  # to receive a part without damage
_FRONT_BYTES = 64 << 10  # the first range: the head and usually the first picture


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes of the file from `start` to before `end`."""

    start: int
    end: int


class RangeReader:
    """Converts ranges of one file to parts for `delivery`. Continues from `resume`.

    The scheduler knows how many bytes of each part, from its front, have arrived or are pending.
    When a range ends, the parts that it overlaps are counted again, so that missing bytes are
    requested again.
    """

    def __init__(self, delivery: Delivery, resume: Resume | None = None) -> None:
        self._delivery = delivery
        self._resume = resume
        self._front = bytearray()  # the first bytes of the file, until the head can be read
        self._poster = bytearray()  # its first bytes
        self._scheduler: Scheduler | None = None
        self._view: View | None = None
        self._on_the_way: list[ByteRange] = []
        self._whole: set[int] = set()  # complete parts
        self._held: dict[int, bytearray] = {}  # first bytes of incomplete parts
        self._early: dict[int, dict[int, bytes]] = {}  # bytes that arrived before earlier ones
        self._damaged: Counter[int] = Counter()  # part -> how often it arrived damaged
        self._places = Places()

    # What to ask for.

    @property
    def head(self) -> FileHead | None:
        """Header and root index, once they have arrived."""
        return self._scheduler.plan.head if self._scheduler else None

    @property
    def file_bytes(self) -> int | None:
        """The length of the file; None until its header has arrived."""
        return self.head.header.file_bytes if self.head else None

    @property
    def is_done(self) -> bool:
        """Whether no range is pending and no wanted part is missing."""
        if self._scheduler is None or self._on_the_way:
            return False
        return self._scheduler.next(1) is None

    def claim(
        self, size_bytes: int, *, least_bytes: int = 0, most_bytes: int = ENDLESS_BYTES
    ) -> ByteRange | None:
        """The range to request now: the next parts up to `size_bytes`, at least one.

        If the next parts are not adjacent, the range continues along the file up to `least_bytes`.
        It is cut at `most_bytes`. None if there is nothing to request at the moment.
        """
        if self._scheduler is None:
            return self._claim_front(most_bytes)
        start = end = -1
        while (left := most_bytes - (end - start)) > 0:
            piece = self._scheduler.next(left)
            if piece is None or (start >= 0 and piece.file_offset != end):
                break
            if start >= 0 and end - start + piece.length > size_bytes:
                break
            start = piece.file_offset if start < 0 else start
            end = piece.file_offset + piece.length
            self._scheduler.record(piece)
        if start < 0:
            return None
        end = self._go_on(self._scheduler, end, start + min(least_bytes, most_bytes))
        return self._send_for(ByteRange(start, end))

    def claim_all(self, asked: ByteRange) -> ByteRange | None:
        """The response to `asked` is the whole file: return the range to finish instead.

        None if another response is the whole file already.
        """
        everything = ByteRange(0, ENDLESS_BYTES)
        is_first = everything not in self._on_the_way
        if is_first:
            self._on_the_way.append(everything)
            self._count([everything])
        self.finish(asked)
        return everything if is_first else None

    def look(self, camera: Camera) -> None:
        """Set the camera."""
        self._view = View((self._view.serial if self._view else 0) + 1, camera)
        self._delivery.look(camera)
        if self._scheduler is not None:
            self._scheduler.set_view(self._view)
            self._revise(self._scheduler)

    def revise(self) -> None:
        """Update the wanted parts for the memory budget."""
        if self._scheduler is not None:
            self._revise(self._scheduler)

    def came_damaged(self, asked: ByteRange) -> bool:
        """Whether this range overlaps a part that has arrived with a wrong hash."""
        return bool(self._damaged) and any(
            place.part in self._damaged for place in self._places.touched_by(asked.start, asked.end)
        )

    def finish(self, asked: ByteRange) -> None:
        """Record that a range has ended."""
        self._on_the_way.remove(asked)
        self._count([asked])

    def release(self) -> None:
        """Record that all connections are lost. Missing bytes will be requested again."""
        lost, self._on_the_way = self._on_the_way, []
        self._early.clear()
        self._count(lost)

    def _claim_front(self, most_bytes: int) -> ByteRange | None:
        if self._on_the_way:
            return None
        start = len(self._front)
        size = _FRONT_BYTES
        if self._resume is not None and not start:
            size = self._resume.head.header.poster_end
        return self._send_for(ByteRange(start, start + min(size, most_bytes)))

    def _go_on(self, scheduler: Scheduler, end: int, limit: int) -> int:
        """Claim the missing parts that follow `end`, up to `limit`."""
        for place in self._places.from_start(end):
            if scheduler.sent_bytes(place.part) or scheduler.is_cancelled(place.part):
                break
            if place.start != end or place.end > limit:
                break
            scheduler.mark(place.part, place.end - place.start)
            end = place.end
        return end

    def _count(self, ranges: Iterable[ByteRange]) -> None:
        """Update the scheduler for the parts that these ranges overlap."""
        if self._scheduler is None:
            return
        touched = (self._places.touched_by(wanted.start, wanted.end) for wanted in ranges)
        for place in itertools.chain.from_iterable(touched):
            if place.part not in self._whole:
                coming_bytes = self._coming_bytes(place)
                if coming_bytes != self._scheduler.sent_bytes(place.part):
                    self._scheduler.mark(place.part, coming_bytes)

    def _coming_bytes(self, place: Place) -> int:
        """How many bytes of a part, from its front, have arrived or are pending."""
        pieces = [(wanted.start, wanted.end) for wanted in self._on_the_way]
        for offset, data in self._early.get(place.part, {}).items():
            pieces.append((place.start + offset, place.start + offset + len(data)))
        reached = place.start + len(self._held.get(place.part, b""))
        for start, end in sorted(pieces):
            if start <= reached:
                reached = max(reached, end)
        return min(reached, place.end) - place.start

    def _send_for(self, wanted: ByteRange) -> ByteRange:
        self._on_the_way.append(wanted)
        return wanted

    # What comes.

    def take(self, position: int, data: bytes) -> None:
        """Add bytes of the file from `position`.

        A part with a wrong hash is requested again a few times, then DamagedAtServerError is
        raised. Also raises FormatError.
        """
        if self._scheduler is None:
            fresh = data[len(self._front) - position :]
            self._front += fresh
            self._delivery.kept_bytes += len(fresh)
            try:
                head = parse_head(self._front)
            except TruncatedError:
                return
            self._open(head)
            # Bytes after the head belong to the first parts.
            self._delivery.kept_bytes -= len(self._front) - head.header.root_end
            position, data = head.header.root_end, bytes(self._front[head.header.root_end :])
        self._take_poster(position, data)
        while data:
            place = self._places.at(position)
            if place is None:  # the poster, or chunks of unknown pages
                start = self._places.next_start(position)
                if start is None:
                    return
                data, position = data[start - position :], start
                continue
            size = min(len(data), place.end - position)
            self._enter(place, position - place.start, data[:size])
            position += size
            data = data[size:]

    def _take_poster(self, position: int, data: bytes) -> None:
        """Add the bytes of the poster, if there are any. Missing bytes are not requested again."""
        if self.head is None:
            return
        header = self.head.header
        held, offset = len(self._poster), position - header.root_end
        if offset <= held < header.poster_bytes:
            self._poster += data[held - offset : header.poster_bytes - offset]
            if len(self._poster) == header.poster_bytes:
                self._delivery.add_poster(bytes(self._poster))

    def _open(self, head: FileHead) -> None:
        self._delivery.open(head)
        resume = self._resume
        if resume is None or resume.head.scene_hash != head.scene_hash:
            self._scheduler = Scheduler(PartPlan(head, ChunkTable(head.root)))
        else:
            self._scheduler = Scheduler(PartPlan(head, resume.table), resume.have)
            self._held = {part: bytearray(data) for part, data in resume.partial.items()}
            self._whole = {*resume.chunks, *map(page_part, resume.have.pages)}
        self._scheduler.set_view(self._view)
        self._draw(self._scheduler)
        self._delivery.follow(self._scheduler.plan)
        self._list_pages(head.root.pages)
        for rows in self._scheduler.plan.table.batches:
            self._list(rows)
        self._count(self._on_the_way)
        self._revise(self._scheduler)

    def _revise(self, scheduler: Scheduler) -> None:
        """Apply the memory budget. Pending ranges still arrive."""
        revision = self._delivery.revise(scheduler.plan, self._view)
        self._whole -= revision.fetch_again
        scheduler.cancel(revision.leave_out)
        scheduler.want(revision.take_in)
        scheduler.want(revision.fetch_again, again=True)

    def _list(self, rows: ChunkRows) -> None:
        """Add the places of chunks."""
        self._places.add(rows.offset, rows.packed_bytes, rows.ids)

    def _list_pages(self, pages: Sequence[PageRef]) -> None:
        self._places.add(
            np.array([page.offset for page in pages], np.int64),
            np.array([page.packed_bytes for page in pages], np.int64),
            np.array([page_part(page.id) for page in pages], np.int64),
        )

    def _enter(self, place: Place, offset: int, data: bytes) -> None:
        part = place.part
        if part in self._whole:
            return
        held = self._held.setdefault(part, bytearray())
        waiting = self._early.pop(part, {})
        waiting[offset] = data
        while (first := min(waiting, default=len(held) + 1)) <= len(held):
            fresh = waiting.pop(first)[len(held) - first :]
            if fresh:
                self._delivery.add_fragment(part, len(held), fresh)
                held += fresh
        if waiting:
            self._early[part] = waiting
        if len(held) >= place.end - place.start:
            self._complete(part, bytes(self._held.pop(part)))

    def _complete(self, part: int, packed: bytes) -> None:
        if self._scheduler is None:
            return
        ref = self._scheduler.plan.ref(part)
        if content_hash(packed) != ref.hash:
            self._scheduler.mark(part, 0)
            self._damaged[part] += 1
            if self._damaged[part] >= _ATTEMPTS:
                raise DamagedAtServerError(
                    f"{ref.section} at byte {ref.offset}: the hash is wrong each of"
                    f" {_ATTEMPTS} times; upload the file again"
                )
            return
        self._whole.add(part)
        del self._damaged[part]
        self._scheduler.mark(part, len(packed))
        if isinstance(ref, PageRef):
            rows = parse_page(packed, ref, self._scheduler.plan.facts)
            self._scheduler.add_page(ref, rows)
            self._delivery.add_page(ref, rows)
            self._list(rows)
            self._count(self._on_the_way)
            self._revise(self._scheduler)
            return
        self._delivery.add_chunk(ref, packed)
        self._draw(self._scheduler)

    def _draw(self, scheduler: Scheduler) -> None:
        """Choose by a sketch of layer 0 as soon as there is one."""
        sketch = self._delivery.sketch
        if sketch is not None and scheduler.plan.screen.sketch is not sketch:
            scheduler.set_sketch(sketch)
