"""The events of a session: one frozen class per type of frame, and two for complete parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from exgs.codec.constants import MAX_CREDIT_BYTES, MAX_FRAGMENT_BYTES, ErrorCode
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.container import FileHead
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.scene.camera import Camera
from exgs.wire.parts import HaveSet


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that one side announces. The smaller value of both sides applies."""

    fragment_bytes: int = MAX_FRAGMENT_BYTES  # data bytes in one CHUNK frame
    credit_bytes: int = MAX_CREDIT_BYTES  # outstanding credit

    def smaller(self, other: Limits) -> Limits:
        """The smaller value of each limit."""
        return Limits(
            min(self.fragment_bytes, other.fragment_bytes),
            min(self.credit_bytes, other.credit_bytes),
        )


@dataclass(frozen=True, slots=True)
class View:
    """The client's camera. A newer view replaces it."""

    serial: int  # from 1; 0 means that there is no view
    camera: Camera


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's first frame."""

    versions: tuple[int, ...]
    scene: str
    agent: str = ""
    token: str | None = field(default=None, repr=False)
    limits: Limits = Limits()
    credit_bytes: int = 0
    have: HaveSet | None = None
    view: View | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """The server's first frame."""

    version: int
    scene_hash: bytes
    limits: Limits
    head: FileHead
    resumed: bool  # whether the server skips the parts in the have-set


@dataclass(frozen=True, slots=True)
class Credit:
    """The server may send this many more data bytes."""

    add_bytes: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """The client does not want these parts, or the rest of them, for now."""

    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """The client wants cancelled parts after all, or with `again` parts from their first byte."""

    parts: tuple[int, ...]
    again: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """Bytes of a part. The fragments of a part arrive in order and without gaps."""

    part: int
    offset: int  # in the part
    data: bytes = field(repr=False)
    view_serial: int  # the view that it was chosen for; 0: none


@dataclass(frozen=True, slots=True)
class PageArrived:
    """A page is complete and its rows are in the chunk table of the session."""

    page: PageRef
    rows: ChunkRows = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChunkArrived:
    """A chunk is complete and its hash is correct."""

    chunk: ChunkRef
    packed: bytes = field(repr=False)
    view_serial: int  # of its last fragment


@dataclass(frozen=True, slots=True)
class Error:
    """The peer reports a fault. After a fatal one the session is closed."""

    code: ErrorCode | int  # an int if the code is unknown
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer is about to close. The client should reconnect later and resume."""

    code: ErrorCode | int
    message: str
    retry_after_s: float = 0.0


Event = (
    Hello
    | Welcome
    | View
    | Credit
    | Cancel
    | Want
    | Fragment
    | PageArrived
    | ChunkArrived
    | Error
    | GoAway
)
