"""Frames as long as they may be: an unknown field, which a receiver skips, fills them up."""

from __future__ import annotations

import msgpack

from exgs.codec.constants import FRAME_HEAD_BYTES, FrameType
from exgs.wire.frames import pack_frame

_LONG_BYTES = 1 << 16  # from here on MessagePack takes as many bytes for a length


def padded(frame: bytes, payload_bytes: int) -> bytes:
    """A control frame with a payload of this length."""
    fields = msgpack.unpackb(frame[FRAME_HEAD_BYTES:])
    short = len(msgpack.packb({**fields, "padding": bytes(_LONG_BYTES)})) - _LONG_BYTES
    payload = msgpack.packb({**fields, "padding": bytes(payload_bytes - short)})
    assert len(payload) == payload_bytes
    return pack_frame(FrameType(frame[0]), payload)
