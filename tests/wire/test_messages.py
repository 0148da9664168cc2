"""Payloads: what is packed is parsed again, and nothing else gets through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgs.codec.constants import (
    MAX_CHUNKS,
    MAX_CREDIT_BYTES,
    MAX_FRAGMENT_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_BYTES,
    MAX_PAGES,
    MAX_PART_LIST,
    MAX_TOKEN_BYTES,
    MAX_VIEWPORT,
    MIN_FRAGMENT_BYTES,
    PAGE_PART_BIT,
    ErrorCode,
)
from exgs.wire import messages as m
from exgs.wire.errors import RemoteProtocolError
from exgs.wire.events import Cancel, Credit, Error, Fragment, GoAway, Hello, Limits, View, Want
from exgs.wire.parts import HaveSet, pack_bitmap, page_part, unpack_bitmap
from tests.wire.exchange import camera_at

ids = st.integers(0, MAX_CHUNKS - 1)
parts = st.one_of(ids, st.integers(1, MAX_PAGES).map(page_part))
haves = st.builds(
    HaveSet,
    st.binary(min_size=16, max_size=16),
    st.frozensets(ids, max_size=20),
    st.frozensets(st.integers(1, MAX_PAGES), max_size=5),
    st.dictionaries(parts, st.integers(1, 1 << 25), max_size=5),
)
limits = st.builds(
    Limits,
    st.integers(MIN_FRAGMENT_BYTES, MAX_FRAGMENT_BYTES),
    st.integers(0, MAX_CREDIT_BYTES),
)
VIEW = View(3, camera_at(1, 2, -3))
PARSERS: dict[str, Callable[[bytes], object]] = {
    "HELLO": m.parse_hello,
    "VIEW": m.parse_view,
    "CREDIT": m.parse_credit,
    "CANCEL": m.parse_cancel,
    "WANT": m.parse_want,
    "ERROR": m.parse_error,
    "GOAWAY": m.parse_goaway,
    "WELCOME": lambda payload: m.parse_welcome(payload, None),
    "CHUNK": m.parse_fragment,
}


@given(
    st.builds(
        Hello,
        st.lists(st.integers(0, 65535), min_size=1, max_size=64).map(tuple),
        st.text(max_size=60),
        st.text(max_size=60),
        st.none() | st.text(max_size=200),
        limits,
        st.integers(0, MAX_CREDIT_BYTES),
        st.none() | haves,
    )
)
def test_hello_comes_back(hello: Hello) -> None:
    assert m.parse_hello(m.pack_hello(hello)) == hello


def test_a_view_comes_back_to_the_bit() -> None:
    view = m.parse_view(m.pack_view(VIEW))
    assert view.serial == VIEW.serial
    assert np.array_equal(view.camera.viewmat, VIEW.camera.viewmat)
    assert np.array_equal(view.camera.K, VIEW.camera.K)
    assert (view.camera.width, view.camera.height) == (96, 64)


@given(st.lists(ids, min_size=1, max_size=50).map(tuple), st.booleans())
def test_lists_of_parts_come_back(chunks: tuple[int, ...], again: bool) -> None:
    assert m.parse_cancel(m.pack_cancel(Cancel(chunks))) == Cancel(chunks)
    assert m.parse_want(m.pack_want(Want(chunks, again))) == Want(chunks, again)


@given(st.integers(1, MAX_CREDIT_BYTES))
def test_credit_comes_back(add_bytes: int) -> None:
    assert m.parse_credit(m.pack_credit(Credit(add_bytes))) == Credit(add_bytes)


@given(st.sampled_from(ErrorCode), st.text(max_size=3000), st.booleans())
def test_errors_come_back_with_as_much_text_as_is_allowed(
    code: ErrorCode, text: str, fatal: bool
) -> None:
    error = m.parse_error(m.pack_error(Error(code, text, fatal)))
    assert (error.code, error.fatal) == (code, fatal)
    assert text.startswith(error.message)
    assert len(error.message.encode()) >= min(len(text.encode()), MAX_MESSAGE_BYTES - 3)
    goaway = m.parse_goaway(m.pack_goaway(GoAway(code, text, 1.5)))
    assert (goaway.code, goaway.message, goaway.retry_after_s) == (code, error.message, 1.5)


def test_a_code_of_a_later_version_stays_a_number() -> None:
    payload = m.pack_error(Error(999, "new", False))
    assert m.parse_error(payload).code == 999


@given(
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    st.binary(min_size=1, max_size=100),
)
def test_fragments_come_back(part: int, offset: int, serial: int, data: bytes) -> None:
    payload = m.pack_fragment(part, offset, serial, data)
    assert m.parse_fragment(payload) == Fragment(part, offset, data, serial)


@given(st.frozensets(st.integers(0, 5000), max_size=60))
def test_bitmaps_come_back(members: frozenset[int]) -> None:
    packed = pack_bitmap(members)
    assert unpack_bitmap(packed) == members
    assert not packed or packed[-1] or not members


# --- What must not get through ----------------------------------------------------------------


@pytest.mark.parametrize("kind", PARSERS)
@given(data=st.data())
def test_any_bytes_are_parsed_or_a_typed_fault(kind: str, data: st.DataObject) -> None:
    payload = data.draw(st.binary(max_size=200))
    try:
        PARSERS[kind](payload)
    except RemoteProtocolError as fault:
        assert "\n" not in str(fault)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
FIELDS = {
    "HELLO": m.pack_hello(
        Hello((1,), "box", have=HaveSet(bytes(16), partial={3: 5}), view=VIEW, token="t")
    ),
    "VIEW": m.pack_view(VIEW),
    "CREDIT": m.pack_credit(Credit(5)),
    "CANCEL": m.pack_cancel(Cancel((1,))),
    "WANT": m.pack_want(Want((1,), True)),
    "ERROR": m.pack_error(Error(ErrorCode.BUSY, "no", True)),
    "GOAWAY": m.pack_goaway(GoAway(ErrorCode.SHUTDOWN, "bye", 1.0)),
}


@pytest.mark.parametrize("kind", FIELDS)
@given(data=st.data())
def test_any_value_in_any_field_is_parsed_or_a_typed_fault(kind: str, data: st.DataObject) -> None:
    fields = msgpack.unpackb(FIELDS[kind])
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(values)
    try:
        PARSERS[kind](msgpack.packb(fields))
    except RemoteProtocolError as fault:
        assert str(fault).startswith(f"{kind}: ")


NOTHING = {"hash": bytes(16), "chunks": b"", "pages": b"", "partial": b""}


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("HELLO", {"scene": "a" * (MAX_NAME_BYTES + 1)}, ErrorCode.LIMIT),
        ("HELLO", {"scene": "\u00e9" * (MAX_NAME_BYTES // 2 + 1)}, ErrorCode.LIMIT),
        ("HELLO", {"agent": "a" * (MAX_NAME_BYTES + 1)}, ErrorCode.LIMIT),
        ("HELLO", {"token": "a" * (MAX_TOKEN_BYTES + 1)}, ErrorCode.LIMIT),
        ("HELLO", {"credit": MAX_CREDIT_BYTES + 1}, ErrorCode.LIMIT),
        ("HELLO", {"credit": True}, ErrorCode.PROTOCOL),
        ("HELLO", {"credit": -1}, ErrorCode.PROTOCOL),
        ("HELLO", {"versions": []}, ErrorCode.PROTOCOL),
        ("HELLO", {"versions": [1] * 65}, ErrorCode.PROTOCOL),
        (
            "HELLO",
            {"limits": {"fragment": MIN_FRAGMENT_BYTES - 1, "credit": 0}},
            ErrorCode.PROTOCOL,
        ),
        ("HELLO", {"limits": None}, ErrorCode.PROTOCOL),
        ("HELLO", {"have": {**NOTHING, "hash": bytes(15)}}, ErrorCode.PROTOCOL),
        ("HELLO", {"have": {**NOTHING, "partial": b"1"}}, ErrorCode.PROTOCOL),
        ("HELLO", {"have": {**NOTHING, "partial": bytes(8)}}, ErrorCode.PROTOCOL),
        ("HELLO", {"have": {**NOTHING, "partial": b"\0\0\0\0\5\0\0\0" * 2}}, ErrorCode.PROTOCOL),
        ("HELLO", {"have": {**NOTHING, "hash": bytes(17)}}, ErrorCode.PROTOCOL),
        ("HELLO", {"have": {**NOTHING, "partial": bytes(8 * MAX_PART_LIST + 8)}}, ErrorCode.LIMIT),
        ("HELLO", {"limits": {"fragment": 4096, "credit": MAX_CREDIT_BYTES + 1}}, ErrorCode.LIMIT),
        ("VIEW", {"viewmat": bytes(136)}, ErrorCode.PROTOCOL),
        ("VIEW", {"serial": 0}, ErrorCode.PROTOCOL),
        ("VIEW", {"serial": 1 << 32}, ErrorCode.PROTOCOL),
        ("VIEW", {"size": [0, 10]}, ErrorCode.PROTOCOL),
        ("VIEW", {"size": [MAX_VIEWPORT + 1, 10]}, ErrorCode.LIMIT),
        ("VIEW", {"size": [10]}, ErrorCode.PROTOCOL),
        ("VIEW", {"viewmat": np.full((4, 4), np.nan).tobytes()}, ErrorCode.PROTOCOL),
        ("VIEW", {"viewmat": np.diag([1.0, 1, -1, 1]).tobytes()}, ErrorCode.PROTOCOL),
        ("VIEW", {"viewmat": np.diag([2.0, 2, 2, 1]).tobytes()}, ErrorCode.PROTOCOL),
        ("VIEW", {"viewmat": (np.eye(4) * 1e300).tobytes()}, ErrorCode.PROTOCOL),
        ("VIEW", {"viewmat": b""}, ErrorCode.PROTOCOL),
        ("VIEW", {"K": np.zeros((3, 3)).tobytes()}, ErrorCode.PROTOCOL),
        ("VIEW", {"K": np.diag([np.inf, 1, 1]).tobytes()}, ErrorCode.PROTOCOL),
        ("CREDIT", {"add": 0}, ErrorCode.PROTOCOL),
        ("CREDIT", {"add": MAX_CREDIT_BYTES + 1}, ErrorCode.LIMIT),
        ("CANCEL", {"parts": b""}, ErrorCode.PROTOCOL),
        ("CANCEL", {"parts": bytes(4 * MAX_PART_LIST + 4)}, ErrorCode.LIMIT),
        ("CANCEL", {"parts": bytes(5)}, ErrorCode.PROTOCOL),
        ("CANCEL", {"parts": (PAGE_PART_BIT | 1).to_bytes(4, "little")}, ErrorCode.PROTOCOL),
        ("WANT", {"again": 1}, ErrorCode.PROTOCOL),
        ("ERROR", {"message": "a" * (MAX_MESSAGE_BYTES + 1)}, ErrorCode.LIMIT),
        ("GOAWAY", {"retry_after": float("nan")}, ErrorCode.PROTOCOL),
        ("GOAWAY", {"retry_after": 1e9}, ErrorCode.PROTOCOL),
    ],
)
def test_values_beyond_the_rules_are_refused(
    kind: str, change: dict[str, Any], code: ErrorCode
) -> None:
    fields = msgpack.unpackb(FIELDS[kind])
    with pytest.raises(RemoteProtocolError, match=f"^{kind}: ") as caught:
        PARSERS[kind](msgpack.packb(fields | change))
    assert caught.value.code is code


def test_integers_may_be_as_large_as_messagepack_lets_them() -> None:
    fields = msgpack.unpackb(FIELDS["HELLO"])
    most = (1 << 64) - 1
    fields |= {"versions": [most, 1], "limits": {"fragment": most, "credit": 5}}
    hello = m.parse_hello(msgpack.packb(fields))
    assert hello.versions == (most, 1)
    assert hello.limits.fragment_bytes == MAX_FRAGMENT_BYTES
    error = msgpack.unpackb(FIELDS["ERROR"]) | {"code": most}
    assert m.parse_error(msgpack.packb(error)).code == most


@pytest.mark.parametrize("kind", FIELDS)
def test_unknown_fields_are_skipped(kind: str) -> None:
    fields = msgpack.unpackb(FIELDS[kind])
    PARSERS[kind](msgpack.packb({**fields, "of a later version": [1, {"a": None}]}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x90",
        b"\x80\x80",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 2000,
        b"\x81\x01\x01",
        b"\x81\xa1\xff\x01",
        b"\x82\xa1a\x01\xa1a\x01",
        b"\x81\xc4\x01a\x01",
        b"\x81\xa1a" + b"\x91" * 16 + b"\xc0",
    ],
)
@pytest.mark.parametrize("kind", FIELDS)
def test_hostile_messagepack_is_refused(kind: str, payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{kind}: "):
        PARSERS[kind](payload)
