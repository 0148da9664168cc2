"""The client's side of a session: its requests, and the parts as they become complete.

Each fragment is checked against the chunk table before its bytes are kept, and each complete part
against its hash. `resume` returns what the next session needs to continue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exgs.codec.constants import MAX_PART_LIST, PROTOCOL_VERSION, ErrorCode, FrameType
from exgs.codec.errors import FormatError
from exgs.codec.format.container import FileHead
from exgs.codec.format.frame import content_hash
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.index_io import parse_page
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.scene.camera import Camera
from exgs.wire.errors import LocalProtocolError, RemoteProtocolError
from exgs.wire.events import (
    Cancel,
    ChunkArrived,
    Credit,
    Event,
    Fragment,
    Hello,
    Limits,
    PageArrived,
    View,
    Want,
    Welcome,
)
from exgs.wire.frames import Frame
from exgs.wire.messages import (
    pack_cancel,
    pack_credit,
    pack_hello,
    pack_view,
    pack_want,
    parse_fragment,
    parse_welcome,
)
from exgs.wire.parts import HaveSet, is_page, page_id, page_part, part_name
from exgs.wire.session import Session
from exgs.wire.states import CLIENT_FRAMES, SERVER_FRAMES

AGENT = "exgs"


@dataclass(frozen=True, slots=True, eq=False)
class Resume:
    """What a client has of a file at the end of a session."""

    head: FileHead
    table: ChunkTable
    chunks: frozenset[int] = frozenset()  # complete chunks
    partial: Mapping[int, bytes] = field(default_factory=dict)  # part -> its first bytes

    @property
    def have(self) -> HaveSet:
        """The have-set for HELLO."""
        missing = {page.id for page in self.table.missing_pages}
        return HaveSet(
            scene_hash=self.head.scene_hash,
            chunks=self.chunks,
            pages=frozenset(page.id for page in self.head.root.pages) - missing,
            partial={part: len(data) for part, data in self.partial.items()},
        )


class ClientSession(Session):
    """A session with a server about one scene. Its HELLO is ready to send at once."""

    def __init__(
        self,
        scene: str,
        *,
        credit_bytes: int,
        token: str | None = None,
        limits: Limits = Limits(),  # noqa: B008 (a frozen value)
        camera: Camera | None = None,
        resume: Resume | None = None,
    ) -> None:
        super().__init__(sends=CLIENT_FRAMES, receives=SERVER_FRAMES)
        self.limits = limits  # after WELCOME: the limits of both sides
        self.credit_bytes = credit_bytes  # data bytes that the server may still send
        self.head: FileHead | None = resume.head if resume else None
        self.table: ChunkTable | None = resume.table if resume else None
        self.damaged_part: int | None = None  # the part with a wrong hash that ended the session
        self._chunks: set[int] = set(resume.chunks) if resume else set()
        partial = resume.partial if resume else {}
        self._partial = {part: bytearray(data) for part, data in partial.items()}
        self._pages = set(resume.have.pages) if resume else set[int]()  # whole
        self._missing_bytes = _missing_bytes(resume) if resume else 0
        self._view_serial = 0
        hello = Hello(
            versions=(PROTOCOL_VERSION,),
            scene=scene,
            agent=AGENT,
            token=token,
            limits=limits,
            credit_bytes=credit_bytes,
            have=resume.have if resume else None,
            view=self._next_view(camera) if camera else None,
        )
        self._send(FrameType.HELLO, pack_hello(hello))

    # Public: what this side has

    @property
    def missing_bytes(self) -> int | None:
        """Bytes of the file that have not arrived; None before WELCOME."""
        return self._missing_bytes if self.head is not None else None

    def resume(self) -> Resume | None:
        """What the next session needs to continue; None before the first WELCOME."""
        if self.head is None or self.table is None:
            return None
        partial = {part: bytes(data) for part, data in self._partial.items() if data}
        most = dict(sorted(partial.items(), key=lambda item: -len(item[1]))[:MAX_PART_LIST])
        return Resume(self.head, self.table, frozenset(self._chunks), most)

    # Public: sending

    def send_view(self, camera: Camera) -> int:
        """Send a view. Returns the serial that fragments chosen for it carry.

        Replaces a VIEW that has not been sent yet.
        """
        view = self._next_view(camera)
        self._outgoing = [item for item in self._outgoing if item[0] is not FrameType.VIEW]
        self._send(FrameType.VIEW, pack_view(view))
        return view.serial

    def send_credit(self, add_bytes: int) -> None:
        """Allow the server to send this many more data bytes."""
        if not 0 < add_bytes <= self.limits.credit_bytes - self.credit_bytes:
            raise LocalProtocolError(f"{add_bytes} bytes of credit", code=ErrorCode.LIMIT)
        self._send(FrameType.CREDIT, pack_credit(Credit(add_bytes)))
        self.credit_bytes += add_bytes

    def send_cancel(self, parts: Iterable[int]) -> None:
        """Cancel these chunks. Fragments in flight still arrive."""
        for some in _batches(parts):
            self._send(FrameType.CANCEL, pack_cancel(Cancel(some)))

    def send_want(self, parts: Iterable[int], *, again: bool = False) -> None:
        """Revoke cancels. With `again`, complete chunks that were dropped here are sent again."""
        for some in _batches(parts):
            if again and not self._chunks.issuperset(some):
                raise LocalProtocolError("only complete chunks can be sent again")
            self._send(FrameType.WANT, pack_want(Want(some, again)))
            if again and self.table is not None:
                self._chunks.difference_update(some)
                self._missing_bytes += sum(self.table[part].packed_bytes for part in set(some))

    # Private

    def _next_view(self, camera: Camera) -> View:
        self._view_serial += 1
        return View(self._view_serial, camera)

    def _receive(self, frame: Frame) -> list[Event]:
        match frame.type:
            case FrameType.WELCOME:
                return [self._receive_welcome(parse_welcome(frame.payload, self.head))]
            case FrameType.CHUNK:
                return self._receive_fragment(parse_fragment(frame.payload))
            case FrameType.ERROR:
                return [self._receive_error(frame)]
            case _:
                return [self._receive_goaway(frame)]

    def _receive_welcome(self, welcome: Welcome) -> Welcome:
        if welcome.version != PROTOCOL_VERSION:
            raise RemoteProtocolError(
                f"WELCOME: version {welcome.version} was not offered", code=ErrorCode.VERSION
            )
        if self.head is not None and not welcome.resumed:
            raise RemoteProtocolError("WELCOME: the server ignores the have-set")
        self.limits = self.limits.smaller(welcome.limits)
        self.credit_bytes = min(self.credit_bytes, self.limits.credit_bytes)
        if self.table is None:
            self.head, self.table = welcome.head, ChunkTable(welcome.head.root)
            header = welcome.head.header
            self._missing_bytes = header.file_bytes - header.poster_end
        return welcome

    def _receive_fragment(self, fragment: Fragment) -> list[Event]:
        part, size = fragment.part, len(fragment.data)
        ref = self._ref(part)
        if size > self.credit_bytes:
            raise RemoteProtocolError(
                f"{part_name(part)}: more was sent than credit was given", code=ErrorCode.CREDIT
            )
        if size > self.limits.fragment_bytes:
            raise RemoteProtocolError(
                f"{part_name(part)}: a fragment of {size} bytes", code=ErrorCode.LIMIT
            )
        held = self._partial.setdefault(part, bytearray())
        if fragment.offset != len(held) or fragment.offset + size > ref.packed_bytes:
            raise RemoteProtocolError(
                f"{part_name(part)}: bytes {fragment.offset} to {fragment.offset + size}, "
                f"{len(held)} of {ref.packed_bytes} are here"
            )
        self.credit_bytes -= size
        self._missing_bytes -= size
        held += fragment.data
        if len(held) < ref.packed_bytes:
            return [fragment]
        packed = bytes(self._partial.pop(part))
        if content_hash(packed) != ref.hash:
            self._missing_bytes += len(packed)
            self.damaged_part = part
            raise RemoteProtocolError(
                f"{ref.section}: the hash does not match; connect anew", code=ErrorCode.DAMAGED
            )
        if isinstance(ref, PageRef):
            return [fragment, self._enter_page(ref, packed)]
        self._chunks.add(part)
        return [fragment, ChunkArrived(ref, packed, fragment.view_serial)]

    def _ref(self, part: int) -> ChunkRef | PageRef:
        """The row of a part that the server may send now."""
        head, table = self.head, self.table
        if head is None or table is None:
            raise LocalProtocolError("no scene is open")
        known: ChunkRef | PageRef | None = None
        if is_page(part):
            number, pages = page_id(part), head.root.pages
            if 1 <= number <= len(pages) and number not in self._pages:
                known = pages[number - 1]
        elif part in table and part not in self._chunks:
            known = table[part]
        if known is None:
            raise RemoteProtocolError(f"{part_name(part)} is unknown or was sent before")
        return known

    def _enter_page(self, page: PageRef, packed: bytes) -> PageArrived:
        head, table = self.head, self.table
        if head is None or table is None:
            raise LocalProtocolError("no scene is open")
        try:
            rows = parse_page(packed, page, head.root.facts)
            table.add_page(page, rows)
        except FormatError as error:
            self.damaged_part = page_part(page.id)
            raise RemoteProtocolError(str(error), code=ErrorCode.DAMAGED) from error
        self._pages.add(page.id)
        return PageArrived(page, rows)


def _batches(parts: Iterable[int]) -> Iterable[tuple[int, ...]]:
    items = tuple(parts)
    return (items[i : i + MAX_PART_LIST] for i in range(0, len(items), MAX_PART_LIST))


def _missing_bytes(held: Resume) -> int:
    """Bytes of the file that are not held."""
    header, pages = held.head.header, held.head.root.pages
    held_bytes = (
        sum(held.table[chunk].packed_bytes for chunk in held.chunks)
        + sum(pages[number - 1].packed_bytes for number in held.have.pages)
        + sum(len(data) for data in held.partial.values())
    )
    return header.file_bytes - header.poster_end - held_bytes
