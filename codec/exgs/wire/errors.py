"""Protocol faults, separated by origin: this program or the peer."""

from __future__ import annotations

from exgs.codec.constants import ErrorCode
from exgs.codec.errors import ExgsError


class ProtocolError(ExgsError):
    """The session can't continue.

    Attributes:
        code: the code for the ERROR frame.
    """

    def __init__(self, problem: str, *, code: ErrorCode = ErrorCode.PROTOCOL) -> None:
        super().__init__(problem)
        self.code = code


class LocalProtocolError(ProtocolError):
    """This program called its session in a way that the state does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer violated the protocol. The session is closed and has an ERROR frame to send."""
