"""spec/protocol.md, the constants and the state tables say the same; recorded sessions replay."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec import constants
from exgs.codec.constants import (
    CHUNK_HEAD_BYTES,
    MAX_CREDIT_BYTES,
    ErrorCode,
    FrameType,
)
from exgs.wire import messages as m
from exgs.wire.events import Cancel, Credit, Error, GoAway, Hello, Limits, View, Want, Welcome
from exgs.wire.frames import payload_limit
from exgs.wire.parts import HaveSet
from exgs.wire.states import CLIENT_FRAMES, SERVER_FRAMES, State
from tests.wire.exchange import BoxFile, camera_at, cut
from tests.wire.recordings import load, records, replay

SPEC = Path(__file__).parents[2] / "spec"
TEXT = (SPEC / "protocol.md").read_text()
SESSIONS = SPEC / "vectors" / "sessions"


def _tables(heading: str) -> list[list[list[str]]]:
    """The tables below a heading, up to the next one, as rows of cells."""
    text = re.split(r"\n#+ ", TEXT.split(f"\n{heading}\n", 1)[1])[0]
    blocks = re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
        for block in blocks
    ]


def test_frame_types_and_their_limits() -> None:
    (_, types) = _tables("## 5. Frames")
    senders = {}
    for kind in FrameType:
        by_client = any(kind in row for row in CLIENT_FRAMES.values())
        by_server = any(kind in row for row in SERVER_FRAMES.values())
        senders[kind] = "both" if by_client and by_server else "client" if by_client else "server"
    assert types == [
        [str(int(kind)), kind.name, senders[kind], str(payload_limit(kind))] for kind in FrameType
    ]


def test_error_codes() -> None:
    (codes,) = _tables("## 9. Errors")
    assert [row[:2] for row in codes] == [[str(int(code)), code.name] for code in ErrorCode]


def test_limits() -> None:
    (limits,) = _tables("## 8. Limits")
    named = {name: int(value) for _, value, name in limits}
    assert named == {name: getattr(constants, name) for name in named}
    source = Path(constants.__file__).read_text().split("# --- Protocol")[1]
    assert set(named) == set(re.findall(r"^(\w+): Final", source, re.MULTILINE))


def test_states() -> None:
    (rows,) = _tables("## 7. States")
    spec = {
        (side, State[state], FrameType[frame], State[following])
        for state, frame, who, following in rows
        for side in (("client", "server") if who == "both" else (who,))
    }
    code = {
        (side, state, frame, following)
        for side, table in (("client", CLIENT_FRAMES), ("server", SERVER_FRAMES))
        for state, row in table.items()
        for frame, following in row.items()
    }
    assert spec == code


def _fields(heading: str) -> dict[str, str]:
    return {row[0]: row[1] for table in _tables(heading) for row in table}


def _named_fields(heading: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for frame, name, kind, _ in (row for table in _tables(heading) for row in table):
        found.setdefault(frame, {})[name] = kind
    return found


TYPES = {"text": str, "map": dict, "bin": bytes, "uint": int, "bool": bool, "float": float}


def _check(payload: bytes, fields: dict[str, str]) -> None:
    values: dict[str, Any] = m.msgpack.unpackb(payload)
    assert values.keys() == fields.keys()
    for name, kind in fields.items():
        if kind == "[uint]":
            assert all(type(value) is int for value in values[name])
        else:
            assert type(values[name]) is TYPES[kind]


def test_fields(box: BoxFile) -> None:
    view = View(1, camera_at(0, 0, -3))
    have = HaveSet(box.head.scene_hash, frozenset({1}), frozenset({1}), {3: 4})
    hello = m.pack_hello(Hello((1,), "box", "test", "token", Limits(), 5, have, view))
    (in_hello, in_have) = _tables("### 6.1 HELLO")
    _check(hello, {row[0]: row[1] for row in in_hello})
    packed_have = m.msgpack.unpackb(hello)["have"]
    _check(m.msgpack.packb(packed_have), {row[0]: row[1] for row in in_have})
    welcome = Welcome(1, box.head.scene_hash, Limits(), box.head, False)
    _check(m.pack_welcome(welcome), _fields("### 6.2 WELCOME"))
    _check(m.pack_view(view), _fields("### 6.3 VIEW"))
    control = _named_fields("### 6.4 CREDIT, CANCEL, WANT")
    _check(m.pack_credit(Credit(MAX_CREDIT_BYTES)), control["CREDIT"])
    _check(m.pack_cancel(Cancel((1,))), control["CANCEL"])
    _check(m.pack_want(Want((1,), True)), control["WANT"])
    last = _named_fields("### 6.6 ERROR, GOAWAY")
    _check(m.pack_error(Error(ErrorCode.BUSY, "", True)), last["ERROR"])
    _check(m.pack_goaway(GoAway(ErrorCode.BUSY, "", 1.0)), last["GOAWAY"])
    (chunk,) = _tables("### 6.5 CHUNK")
    assert [row[:3] for row in chunk] == [
        ["0", "u32", "part"],
        ["4", "u32", "offset"],
        ["8", "u32", "serial"],
        [str(CHUNK_HEAD_BYTES), "u8[]", "data"],
    ]


@pytest.mark.parametrize("record", load(SESSIONS), ids=lambda record: record.name)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=12))
@settings(max_examples=8, deadline=None)
def test_recorded_sessions_give_their_events_however_they_are_cut(
    record: Any, places: list[int]
) -> None:
    data = (SESSIONS / f"{record.name}.bin").read_bytes()
    held = (SESSIONS / f"{record.held}.bin").read_bytes() if record.held else None
    assert replay(record, cut(data, places), held) == record.gives


def test_every_recording_is_there_and_no_other() -> None:
    made = [(record.name, record.says, record.receiver) for record, _ in records()]
    assert [(r.name, r.says, r.receiver) for r in load(SESSIONS)] == made
    assert {path.stem for path in SESSIONS.glob("*.bin")} == {name for name, _, _ in made}
