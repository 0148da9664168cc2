"""One connection of the streaming profile, without its socket: bytes in, bytes out.

It handles the events of a ClientSession: passes parts to the delivery, gives credit, and keeps the
memory budget. It uses no sockets and no clocks; `streaming` connects it to a WebSocket.
"""

from __future__ import annotations

from typing import NoReturn

from exgs.client.delivery import Delivery
from exgs.client.errors import (
    TOKEN_REFUSED,
    ConnectionLostError,
    DamagedOnTheWayError,
    SceneChangedError,
    StreamError,
)
from exgs.client.flow.credit import CreditWindow
from exgs.codec.constants import ErrorCode
from exgs.codec.format.frame import Buffer
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

_RETRYABLE_CODES = (  # faults after which another connection may work
    ErrorCode.BUSY,
    ErrorCode.DAMAGED,
    ErrorCode.INTERNAL,
    ErrorCode.SHUTDOWN,
    ErrorCode.SLOW_READER,
    ErrorCode.TIMEOUT,
)


class Exchange:
    """The client's side of one connection. Its HELLO is ready to send."""

    def __init__(
        self,
        name: str,
        delivery: Delivery,
        credit: CreditWindow,
        *,
        token: str | None = None,
        camera: Camera | None = None,
        resume: Resume | None = None,
    ) -> None:
        self._delivery = delivery
        self._credit = credit
        self._is_stale = False  # the have-set came from a cache and belongs to another file
        self._view = View(1, camera) if camera is not None else None
        if camera is not None:
            delivery.look(camera)
        self._plan: PartPlan | None = None
        self._session = ClientSession(
            name, credit_bytes=self._more_credit(0), token=token, camera=camera, resume=resume
        )

    @property
    def is_done(self) -> bool:
        """Whether everything has arrived, or all that the byte limit allows.

        If memory is full, another view may need chunks that found no room.
        """
        if not self._delivery.is_open:
            return False
        session = self._session
        is_spent = session.credit_bytes == 0 and self._more_credit(0) == 0
        return is_spent or (session.missing_bytes == 0 and not self._delivery.is_full)

    @property
    def is_idle(self) -> bool:
        """Whether nothing more will arrive for the current view."""
        return self._delivery.is_settled

    def resume(self) -> Resume | None:
        """What the next connection needs to continue; None: start again."""
        return None if self._is_stale else self._session.resume()

    # What is to be sent

    def data_to_send(self, most_frames: int | None = None) -> list[bytes]:
        """The frames to send, one message each; see ClientSession."""
        return self._session.data_to_send(most_frames)

    def look(self, camera: Camera) -> None:
        """Set the camera."""
        if self._session.closed:
            return
        self._view = View(self._session.send_view(camera), camera)
        self._delivery.look(camera)
        if self._plan is not None:
            self._revise(self._plan)

    # What comes

    def receive_data(self, data: Buffer, now_s: float) -> None:
        """Process a message that arrived at `now_s`.

        Raises ConnectionLostError if another connection may work, other StreamErrors, and
        RemoteProtocolError for a fault of the server; an ERROR frame is then ready to send.
        """
        session = self._session
        self._delivery.count(len(data), now_s)
        try:
            for event in session.receive_data(data):
                self._handle(event)
        except RemoteProtocolError as fault:
            if fault.code is ErrorCode.DAMAGED:  # that part will be sent again
                raise DamagedOnTheWayError(str(fault), part=session.damaged_part) from fault
            raise
        more_bytes = self._more_credit(session.credit_bytes)
        if more_bytes and not session.closed:
            session.send_credit(more_bytes)

    def receive_eof(self) -> NoReturn:
        """The connection has ended. Raises ConnectionLostError or the fault that ended it."""
        self._session.receive_eof()
        raise ConnectionLostError("the server closed the connection")

    def _handle(self, event: Event) -> None:
        match event:
            case Welcome(head=head):
                self._delivery.open(head)
                if self._session.table is not None:
                    self._plan = PartPlan(head, self._session.table)
                    self._delivery.follow(self._plan)
                    self._revise(self._plan, anew=True)
            case Fragment(part, offset, data):
                self._delivery.add_fragment(part, offset, data)
            case PageArrived(page, rows) if self._plan is not None:
                self._plan.add_page(page, rows)
                self._delivery.add_page(page, rows)
                self._revise(self._plan)
            case ChunkArrived(chunk, packed):
                self._delivery.add_chunk(chunk, packed)
            case GoAway(message=message, retry_after_s=retry_after_s):
                raise ConnectionLostError(
                    f"the server goes away: {message}", retry_after_s=retry_after_s
                )
            case Error(code, message, fatal) if fatal:
                self._refused(code, message)

    def _revise(self, plan: PartPlan, *, anew: bool = False) -> None:
        """Send the changes of what fits in memory to the server."""
        session = self._session
        if session.closed or not self._delivery.has_budget:
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
        return self._credit.more_bytes(
            outstanding_bytes, self._delivery.received_bytes, is_open=self._delivery.is_open
        )
