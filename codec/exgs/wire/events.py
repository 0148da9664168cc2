"""What a session reports: one frozen class per kind of frame, and two for whole parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from exgs.codec.constants import MAX_CREDIT_BYTES, MAX_FRAGMENT_BYTES, ErrorCode
from exgs.codec.format.container import FileHead
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.scene.camera import Camera
from exgs.wire.parts import HaveSet


@dataclass(frozen=True, slots=True)
class Limits:
    """What one side agrees to take; both announce theirs and the smaller holds."""

    fragment_bytes: int = MAX_FRAGMENT_BYTES  # data in one CHUNK frame
    credit_bytes: int = MAX_CREDIT_BYTES  # credit that may be outstanding

    def smaller(self, other: Limits) -> Limits:
        """What both sides take."""
        return Limits(
            min(self.fragment_bytes, other.fragment_bytes),
            min(self.credit_bytes, other.credit_bytes),
        )


@dataclass(frozen=True, slots=True)
class View:
    """What the client looks at; a newer one replaces it."""

    serial: int  # counts from 1; 0 stands for 'no view yet'
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
    resumed: bool  # the server skips what the client said that it has


@dataclass(frozen=True, slots=True)
class Credit:
    """The server may send this many data bytes on top."""

    add_bytes: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """The client does not want (the rest of) these parts for now."""

    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """The client wants these parts after all; or, with `again`, once more from their first byte."""

    parts: tuple[int, ...]
    again: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """Bytes of a part; the fragments of a part come in order and without gaps."""

    part: int
    offset: int  # in the part
    data: bytes = field(repr=False)
    view_serial: int  # the view that it was chosen for, 0 = none


@dataclass(frozen=True, slots=True)
class PageArrived:
    """A page of the chunk table is whole and its rows are in the session's table."""

    page: PageRef
    rows: tuple[ChunkRef, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChunkArrived:
    """A chunk is whole and its hash is right."""

    chunk: ChunkRef
    packed: bytes = field(repr=False)
    view_serial: int  # of its last fragment


@dataclass(frozen=True, slots=True)
class Error:
    """The peer reports a fault; after a fatal one the session is closed."""

    code: ErrorCode | int  # a plain int where this version does not know the code
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer is about to close: come back later, with what has arrived."""

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
