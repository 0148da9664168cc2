"""The state tables of spec/protocol.md, section 7, and nothing else.

Each side walks both tables: one for the frames that it sends, one for those that it receives. A
frame that has no entry in the current state is a fault. In CLOSED nothing is sent, and what still
arrives is ignored: it crossed on the way.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from exgs.codec.constants import FrameType


class State(Enum):
    """Where an exchange stands, as one side sees it."""

    HELLO = "the client has not said HELLO"
    WELCOME = "HELLO waits for its WELCOME"
    STREAM = "parts flow"
    CLOSED = "nothing more is sent"


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
    """Every frame type that a table allows in some state."""
    return frozenset(kind for row in table.values() for kind in row)
