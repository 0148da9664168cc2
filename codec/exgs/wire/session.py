"""What both sides of an exchange share: frames in and out, states, and how a fault ends it.

A session knows no socket and no clock. Events in front of a fault are handed out first; the fault
is raised by the next call, and what there is to send then is an ERROR frame for the peer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from exgs.codec.constants import ErrorCode, FrameType
from exgs.codec.format.frame import Buffer
from exgs.wire.errors import LocalProtocolError, RemoteProtocolError
from exgs.wire.events import Error, Event, GoAway
from exgs.wire.frames import Frame, FrameParser, pack_frame, payload_limit
from exgs.wire.messages import pack_error, pack_goaway, parse_error, parse_goaway
from exgs.wire.states import State, Table, frames_of


class Session(ABC):
    """One side of one exchange."""

    def __init__(self, *, sends: Table, receives: Table) -> None:
        self.state = State.HELLO
        self.failure = ErrorCode.NONE  # of the fatal ERROR that this side has sent
        self._sends = sends
        self._receives = receives
        self._parser = FrameParser(frames_of(receives))
        self._outgoing: list[tuple[FrameType, bytes]] = []
        self._fault: RemoteProtocolError | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing more will be sent or understood."""
        return self.state is State.CLOSED

    # Public: receiving

    def receive_data(self, data: Buffer) -> list[Event]:
        """Take bytes of the stream, in any cuts, and return what they complete.

        Raises RemoteProtocolError; the session is closed then. Data that arrives in a closed
        session is ignored.
        """
        self._raise_fault()
        events: list[Event] = []
        if self.closed:
            return events
        try:
            for frame in self._parser.feed(data):
                state = self._step(self._receives, frame.type, remote=True)
                events += self._receive(frame)
                if not self.closed:  # by a fatal ERROR
                    self.state = state
                if self.closed:
                    break
        except RemoteProtocolError as fault:
            self._fault = fault
            self._fail(fault)
            if not events:
                self._raise_fault()
        return events

    def receive_eof(self) -> None:
        """The transport has ended; raises a fault that is held, or that of a frame cut short."""
        self._raise_fault()
        cut = self._parser.pending_bytes and not self.closed
        self.state = State.CLOSED
        if cut:
            raise RemoteProtocolError("the stream ends inside a frame")

    # Public: sending

    def data_to_send(self, most_frames: int | None = None) -> list[bytes]:
        """What is to be sent, one frame an item: one WebSocket message each.

        Who asks for one frame at a time, when the transport can take it, sends the newest VIEW:
        one that has not been handed out yet is replaced by the next.
        """
        outgoing = self._outgoing[:most_frames]
        del self._outgoing[:most_frames]
        return [frame for _, frame in outgoing]

    def send_error(self, code: ErrorCode, message: str, *, fatal: bool = True) -> None:
        """Tell the peer what went wrong; a fatal error closes the session."""
        self._send(FrameType.ERROR, pack_error(Error(code, message, fatal)))
        if fatal:
            self.failure = code
            self.state = State.CLOSED

    def send_goaway(
        self,
        code: ErrorCode = ErrorCode.NONE,
        message: str = "",
        *,
        retry_after_s: float = 0.0,
    ) -> None:
        """Tell the peer that this side is about to close; the session is closed then."""
        self._send(FrameType.GOAWAY, pack_goaway(GoAway(code, message, retry_after_s)))

    # Private

    @abstractmethod
    def _receive(self, frame: Frame) -> list[Event]:
        """The events of a frame that the state allows; raises RemoteProtocolError."""

    def _send(self, kind: FrameType, payload: bytes) -> None:
        state = self._step(self._sends, kind, remote=False)
        if len(payload) > payload_limit(kind):
            raise LocalProtocolError(
                f"a {kind.name} frame of {len(payload)} bytes, the limit is {payload_limit(kind)}",
                code=ErrorCode.LIMIT,
            )
        self.state = state
        self._outgoing.append((kind, pack_frame(kind, payload)))

    def _step(self, table: Table, kind: FrameType, *, remote: bool) -> State:
        state = table[self.state].get(kind)
        if state is None:
            problem = f"{kind.name} is not allowed while {self.state.value}"
            raise RemoteProtocolError(problem) if remote else LocalProtocolError(problem)
        return state

    def _receive_error(self, frame: Frame) -> Error:
        error = parse_error(frame.payload)
        if error.fatal:
            self.state = State.CLOSED
        return error

    def _receive_goaway(self, frame: Frame) -> GoAway:
        return parse_goaway(frame.payload)

    def _fail(self, fault: RemoteProtocolError) -> None:
        if FrameType.ERROR in self._sends[self.state]:
            self.send_error(fault.code, str(fault))
        self.state = State.CLOSED

    def _raise_fault(self) -> None:
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
