"""The server's side of a session: the requests of a client, and the bytes to send next.

The caller looks up the scene when HELLO arrives and calls `send_welcome`. Then it calls
`next_fragment` and `send_fragment` each time the transport is ready.
"""

from __future__ import annotations

from collections.abc import Iterable

from exgs.codec.constants import (
    MAX_CREDIT_BYTES,
    MAX_FRAGMENT_BYTES,
    PROTOCOL_VERSION,
    ErrorCode,
    FrameType,
)
from exgs.codec.format.frame import Buffer
from exgs.wire.errors import LocalProtocolError, RemoteProtocolError
from exgs.wire.events import Cancel, Credit, Event, Hello, Limits, View, Want, Welcome
from exgs.wire.frames import Frame
from exgs.wire.messages import (
    pack_fragment,
    pack_welcome,
    parse_cancel,
    parse_credit,
    parse_hello,
    parse_view,
    parse_want,
)
from exgs.wire.parts import HaveSet, page_part, part_name
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import Scheduler, Slice
from exgs.wire.session import Session
from exgs.wire.states import CLIENT_FRAMES, SERVER_FRAMES, State


class ServerSession(Session):
    """The session of one client with one scene."""

    def __init__(self, *, limits: Limits = Limits()) -> None:  # noqa: B008 (a frozen value)
        super().__init__(sends=SERVER_FRAMES, receives=CLIENT_FRAMES)
        self.limits = limits  # after HELLO: the limits of both sides
        self.hello: Hello | None = None
        self.credit_bytes = 0  # data bytes that may still be sent
        self.scheduler: Scheduler | None = None
        self._view: View | None = None

    @property
    def view(self) -> View | None:
        """The newest view of the client."""
        return self._view

    def send_welcome(self, plan: PartPlan) -> bool:
        """Answer HELLO with this scene. Returns whether the client resumes.

        If the client has parts of another file, sends ERROR instead and closes the session.
        """
        hello = self.hello
        if hello is None or self.state is not State.WELCOME:
            raise LocalProtocolError("there is no HELLO to answer")
        have = hello.have
        if have is not None:
            if have.scene_hash != plan.head.scene_hash:
                self.send_error(
                    ErrorCode.SCENE_CHANGED,
                    f"scene {hello.scene!r} has changed; drop what is held of it, connect anew",
                )
                return False
            problem = _fault_in(have, plan)
            if problem is not None:
                self.send_error(ErrorCode.PROTOCOL, f"HELLO: have: {problem}")
                return False
        self.scheduler = Scheduler(plan, have)
        self.scheduler.set_view(self._view)
        welcome = Welcome(
            PROTOCOL_VERSION, plan.head.scene_hash, self.limits, plan.head, have is not None
        )
        self._send(FrameType.WELCOME, pack_welcome(welcome))
        return have is not None

    def next_fragment(self, max_bytes: int = MAX_FRAGMENT_BYTES) -> Slice | None:
        """The bytes to send next; None if there is no credit or nothing to send."""
        if self.scheduler is None or self.state is not State.STREAM:
            return None
        max_bytes = min(self.credit_bytes, self.limits.fragment_bytes, max_bytes)
        return self.scheduler.next(max_bytes) if max_bytes > 0 else None

    def send_fragment(self, piece: Slice, data: Buffer) -> None:
        """Send the bytes that `next_fragment` has returned."""
        if self.scheduler is None or len(data) != piece.length:
            raise LocalProtocolError(f"{len(data)} bytes for a fragment of {piece.length}")
        if piece.length > self.credit_bytes:
            raise LocalProtocolError("there is no credit for it", code=ErrorCode.CREDIT)
        self._send(
            FrameType.CHUNK, pack_fragment(piece.part, piece.offset, piece.view_serial, data)
        )
        self.credit_bytes -= piece.length
        self.scheduler.record(piece)

    # Private

    def _receive(self, frame: Frame) -> list[Event]:
        match frame.type:
            case FrameType.HELLO:
                return [self._receive_hello(parse_hello(frame.payload))]
            case FrameType.VIEW:
                return [self._receive_view(parse_view(frame.payload))]
            case FrameType.CREDIT:
                return [self._receive_credit(parse_credit(frame.payload))]
            case FrameType.CANCEL:
                return [self._receive_cancel(parse_cancel(frame.payload))]
            case FrameType.WANT:
                return [self._receive_want(parse_want(frame.payload))]
            case FrameType.ERROR:
                return [self._receive_error(frame)]
            case _:
                return [self._receive_goaway(frame)]

    def _receive_hello(self, hello: Hello) -> Hello:
        if PROTOCOL_VERSION not in hello.versions:
            raise RemoteProtocolError(
                f"this server speaks version {PROTOCOL_VERSION}; update", code=ErrorCode.VERSION
            )
        if hello.credit_bytes > hello.limits.credit_bytes:
            raise RemoteProtocolError(
                "HELLO: credit: more than the limit beside it", code=ErrorCode.LIMIT
            )
        self.hello = hello
        self._view = hello.view
        self.limits = self.limits.smaller(hello.limits)
        # The client did not know the limit of this side.
        self.credit_bytes = min(hello.credit_bytes, self.limits.credit_bytes)
        return hello

    def _receive_view(self, view: View) -> View:
        if self._view is not None and view.serial <= self._view.serial:
            raise RemoteProtocolError(
                f"VIEW: serial {view.serial} does not follow {self._view.serial}"
            )
        self._view = view
        if self.scheduler is not None:
            self.scheduler.set_view(view)
        return view

    def _receive_credit(self, credit: Credit) -> Credit:
        self.credit_bytes += credit.add_bytes
        limit = min(self.limits.credit_bytes, MAX_CREDIT_BYTES)
        if self.credit_bytes > limit:
            raise RemoteProtocolError(
                f"CREDIT: {self.credit_bytes} bytes outstanding, the limit is {limit}",
                code=ErrorCode.LIMIT,
            )
        return credit

    def _receive_cancel(self, cancel: Cancel) -> Cancel:
        self._known_scheduler(cancel.parts).cancel(cancel.parts)
        return cancel

    def _receive_want(self, want: Want) -> Want:
        scheduler = self._known_scheduler(want.parts)
        if want.again:
            for part in want.parts:
                if not scheduler.is_whole(part):
                    raise RemoteProtocolError(
                        f"WANT: {part_name(part)} was not whole, it can't come again"
                    )
        scheduler.want(want.parts, again=want.again)
        return want

    def _known_scheduler(self, parts: Iterable[int]) -> Scheduler:
        if self.scheduler is None:
            raise LocalProtocolError("no scene is open")
        for part in parts:
            if not self.scheduler.plan.knows(part):
                raise RemoteProtocolError(f"{part_name(part)} is not in the file")
        return self.scheduler


def _fault_in(have: HaveSet, plan: PartPlan) -> str | None:
    """Describe what is wrong with a have-set for this file; None if nothing is."""
    wholes = [*have.chunks, *map(page_part, have.pages)]
    for part in [*wholes, *have.partial]:
        try:
            length = plan.length(part)
        except KeyError:
            return f"{part_name(part)} is not in the file"
        if have.partial.get(part, 0) >= length:
            return f"{part_name(part)} has {length} bytes"
    if not have.partial.keys().isdisjoint(wholes):
        return "a part is listed as whole and as partial"
    return None
