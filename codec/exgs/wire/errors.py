"""Protocol faults, split by whose they are: ours (a bug of this program) or the peer's."""

from __future__ import annotations

from exgs.codec.constants import ErrorCode
from exgs.codec.errors import ExgsError


class ProtocolError(ExgsError):
    """The exchange can't go on.

    Attributes:
        code: what the ERROR frame for it says.
    """

    def __init__(self, problem: str, *, code: ErrorCode = ErrorCode.PROTOCOL) -> None:
        super().__init__(problem)
        self.code = code


class LocalProtocolError(ProtocolError):
    """This side asked its session for something that its state does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rules: the session is closed and holds an ERROR frame for it."""
