"""The common part of both sides of a session: frames in and out, states, faults.

A session uses no socket and no clock. Events before a fault are returned first; the next call
raises the fault. An ERROR frame for the peer is then ready to send.
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
    """One side of a session."""

    def __init__(self, *, sends: Table, receives: Table) -> None:
        self.state = State.HELLO
        self.failure = ErrorCode.NONE  # code of the fatal ERROR that this side has sent
        self._sends = sends
        self._receives = receives
        self._parser = FrameParser(frames_of(receives))
        self._outgoing: list[tuple[FrameType, bytes]] = []
        self._fault: RemoteProtocolError | None = None

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self.state is State.CLOSED

    # Public: receiving

    def receive_data(self, data: Buffer) -> list[Event]:
        """Add bytes of the stream, in pieces of any size, and return the completed events.

        Raises RemoteProtocolError; the session is then closed. A closed session ignores data.
        """
        self._raise_fault()
        events: list[Event] = []
        if self.closed:
            return events
        try:
            for frame in self._parser.feed(data):
                state = self._step(self._receives, frame.type, remote=True)
                events += self._receive(frame)
                if not self.closed:  # a fatal ERROR closes the session
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
        """The transport has ended. Raises a pending fault, or a fault if a frame is incomplete."""
        self._raise_fault()
        cut = self._parser.pending_bytes and not self.closed
        self.state = State.CLOSED
        if cut:
            raise RemoteProtocolError("the stream ends inside a frame")

    # Public: sending

    def data_to_send(self, most_frames: int | None = None) -> list[bytes]:
        """The frames to send, one item per frame: one WebSocket message each.

        A caller that takes one frame at a time, when the transport is ready, sends the newest VIEW:
        a VIEW that has not been taken is replaced by the next.
        """
        outgoing = self._outgoing[:most_frames]
        del self._outgoing[:most_frames]
        return [frame for _, frame in outgoing]

    def send_error(self, code: ErrorCode, message: str, *, fatal: bool = True) -> None:
        """Send an ERROR to the peer. A fatal error closes the session."""
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
        """Send GOAWAY to the peer and close the session."""
        self._send(FrameType.GOAWAY, pack_goaway(GoAway(code, message, retry_after_s)))

    # Private

    @abstractmethod
    def _receive(self, frame: Frame) -> list[Event]:
        """The events of a frame that the state allows. Raises RemoteProtocolError."""

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
