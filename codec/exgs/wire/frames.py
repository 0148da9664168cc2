"""Frames: an 8-byte head and a payload, on any ordered byte transport.

    0 u8 type    1 u8 flags (0)    2 u16 reserved (0)    4 u32 payload length    8 payload

The parser accepts the stream in pieces of any size, refuses invalid frames by their heads, and
holds at most one frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from exgs.codec.constants import (
    CHUNK_HEAD_BYTES,
    FRAME_HEAD_BYTES,
    IGNORABLE_FRAME_TYPE,
    MAX_CONTROL_BYTES,
    MAX_FRAGMENT_BYTES,
    MAX_HELLO_BYTES,
    MAX_WELCOME_BYTES,
    ErrorCode,
    FrameType,
)
from exgs.codec.format.frame import Buffer
from exgs.wire.errors import RemoteProtocolError

_HEAD = struct.Struct("<BBHI")
_PAYLOAD_LIMITS = {
    FrameType.HELLO: MAX_HELLO_BYTES,
    FrameType.WELCOME: MAX_WELCOME_BYTES,
    FrameType.CHUNK: CHUNK_HEAD_BYTES + MAX_FRAGMENT_BYTES,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    type: FrameType
    payload: bytes = field(repr=False)


def pack_frame(kind: FrameType, payload: Buffer) -> bytes:
    """Encode one frame."""
    return _HEAD.pack(kind, 0, 0, len(payload)) + payload


def payload_limit(kind: FrameType) -> int:
    """The maximum payload of a frame of this type, in bytes."""
    return _PAYLOAD_LIMITS.get(kind, MAX_CONTROL_BYTES)


class FrameParser:
    """Splits a byte stream into frames of the expected types."""

    def __init__(self, expected: frozenset[FrameType]) -> None:
        self._expected = expected
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """The number of received bytes of an incomplete frame."""
        return len(self._buffer)

    def feed(self, data: Buffer) -> Iterator[Frame]:
        """Add bytes and yield the frames that are complete.

        Raises RemoteProtocolError at the first invalid head. The parser can't be used after that.
        """
        self._buffer += data
        while len(self._buffer) >= FRAME_HEAD_BYTES:
            kind, length = self._parse_head()
            end = FRAME_HEAD_BYTES + length
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[FRAME_HEAD_BYTES:end])
            del self._buffer[:end]
            if kind is not None:
                yield Frame(kind, payload)

    def _parse_head(self) -> tuple[FrameType | None, int]:
        number, flags, reserved, length = _HEAD.unpack_from(self._buffer)
        if flags or reserved:
            raise RemoteProtocolError(f"frame type {number}: unknown flags are set")
        if number >= IGNORABLE_FRAME_TYPE:
            kind, limit, name = None, MAX_CONTROL_BYTES, f"frame of type {number}"
        else:
            kind = next((known for known in self._expected if known == number), None)
            if kind is None:
                raise RemoteProtocolError(f"frame type {number} is not expected here")
            limit, name = payload_limit(kind), f"{kind.name} frame"
        if length > limit:
            raise RemoteProtocolError(
                f"a {name} of {length} bytes, the limit is {limit}", code=ErrorCode.LIMIT
            )
        return kind, length
