"""Frames: the same however the stream is cut, and refused by their heads alone."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgs.codec.constants import (
    MAX_CONTROL_BYTES,
    MAX_HELLO_BYTES,
    ErrorCode,
    FrameType,
)
from exgs.wire.errors import RemoteProtocolError
from exgs.wire.frames import Frame, FrameParser, pack_frame, payload_limit
from tests.wire.exchange import cut

ALL = frozenset(FrameType)

frames = st.lists(
    st.tuples(st.sampled_from(list(FrameType)), st.binary(max_size=300)), min_size=1, max_size=6
)


@given(frames, st.lists(st.integers(0, 4000), max_size=20))
def test_any_cut_gives_the_same_frames(sent: list[tuple[FrameType, bytes]], at: list[int]) -> None:
    stream = b"".join(pack_frame(kind, payload) for kind, payload in sent)
    parser = FrameParser(ALL)
    received = [frame for piece in cut(stream, at) for frame in parser.feed(piece)]
    assert received == [Frame(kind, payload) for kind, payload in sent]
    assert parser.pending_bytes == 0


@given(st.binary(max_size=64))
def test_any_bytes_give_frames_or_a_typed_fault(data: bytes) -> None:
    try:
        list(FrameParser(ALL).feed(data))
    except RemoteProtocolError as fault:
        assert "\n" not in str(fault)


@pytest.mark.parametrize("kind", list(FrameType))
def test_a_frame_beyond_its_limit_is_refused_before_its_payload_comes(kind: FrameType) -> None:
    parser = FrameParser(ALL)
    head = struct.pack("<BBHI", kind, 0, 0, payload_limit(kind) + 1)
    with pytest.raises(RemoteProtocolError) as caught:
        list(parser.feed(head))
    assert caught.value.code is ErrorCode.LIMIT


def test_the_longest_frames_pass() -> None:
    payload = bytes(MAX_HELLO_BYTES)
    (frame,) = FrameParser(ALL).feed(pack_frame(FrameType.HELLO, payload))
    assert frame.payload == payload


@pytest.mark.parametrize(("flags", "reserved"), [(1, 0), (0, 1), (128, 0), (0, 65535)])
def test_unknown_flags_are_refused(flags: int, reserved: int) -> None:
    with pytest.raises(RemoteProtocolError, match="flags"):
        list(FrameParser(ALL).feed(struct.pack("<BBHI", FrameType.VIEW, flags, reserved, 0)))


@pytest.mark.parametrize("number", [0, 10, 99, 127])
def test_an_unknown_type_below_128_is_refused(number: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"type {number}"):
        list(FrameParser(ALL).feed(struct.pack("<BBHI", number, 0, 0, 0)))


@pytest.mark.parametrize("number", [128, 200, 255])
def test_an_unknown_type_from_128_on_is_skipped(number: int) -> None:
    unknown = struct.pack("<BBHI", number, 0, 0, 5) + b"later"
    known = pack_frame(FrameType.CREDIT, b"x")
    assert list(FrameParser(ALL).feed(unknown + known)) == [Frame(FrameType.CREDIT, b"x")]
    too_long = struct.pack("<BBHI", number, 0, 0, MAX_CONTROL_BYTES + 1)
    with pytest.raises(RemoteProtocolError):
        list(FrameParser(ALL).feed(too_long))


def test_a_type_that_this_side_never_receives_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="not expected"):
        list(FrameParser(frozenset({FrameType.CHUNK})).feed(pack_frame(FrameType.HELLO, b"")))
