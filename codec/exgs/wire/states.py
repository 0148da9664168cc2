"""The state tables of spec/protocol.md, section 7.

Each side follows one table for the frames it sends and one for the frames it receives. A frame
without an entry in the current state is a fault. In CLOSED nothing is sent, and frames that still
arrive are ignored.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from exgs.codec.constants import FrameType


class State(Enum):
    """The state of a session on one side."""

    HELLO = "HELLO has not been sent"
    WELCOME = "HELLO has not been answered"
    STREAM = "parts flow"
    CLOSED = "closed"


Table = dict[State, dict[FrameType, State]]

CLIENT_FRAMES: Final[Table] = {
    State.HELLO: {FrameType.HELLO: State.WELCOME},
    State.WELCOME: {
        FrameType.VIEW: State.WELCOME,
        FrameType.CREDIT: State.WELCOME,
        FrameType.ERROR: State.WELCOME,
        FrameType.GOAWAY: State.CLOSED,
    },
    State.STREAM: {
        FrameType.VIEW: State.STREAM,
        FrameType.CREDIT: State.STREAM,
        FrameType.CANCEL: State.STREAM,
        FrameType.WANT: State.STREAM,
        FrameType.ERROR: State.STREAM,
        FrameType.GOAWAY: State.CLOSED,
    },
    State.CLOSED: {},
}

SERVER_FRAMES: Final[Table] = {
    State.HELLO: {FrameType.ERROR: State.HELLO, FrameType.GOAWAY: State.CLOSED},
    State.WELCOME: {
        FrameType.WELCOME: State.STREAM,
        FrameType.ERROR: State.WELCOME,
        FrameType.GOAWAY: State.CLOSED,
    },
    State.STREAM: {
        FrameType.CHUNK: State.STREAM,
        FrameType.ERROR: State.STREAM,
        FrameType.GOAWAY: State.CLOSED,
    },
    State.CLOSED: {},
}


def frames_of(table: Table) -> frozenset[FrameType]:
    """All frame types that a table allows in at least one state."""
    return frozenset(kind for row in table.values() for kind in row)
