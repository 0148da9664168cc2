"""Sessions: whole exchanges, every cut, every state, every limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.constants import ErrorCode, FrameType
from exgs.codec.format.frame import content_hash
from exgs.wire import messages as m
from exgs.wire.client import ClientSession, Resume
from exgs.wire.errors import LocalProtocolError, RemoteProtocolError
from exgs.wire.events import (
    Cancel,
    ChunkArrived,
    Credit,
    Error,
    GoAway,
    Hello,
    Limits,
    PageArrived,
    View,
    Want,
    Welcome,
)
from exgs.wire.frames import pack_frame
from exgs.wire.parts import HaveSet, page_part
from exgs.wire.server import ServerSession
from exgs.wire.states import CLIENT_FRAMES, SERVER_FRAMES, State
from tests.wire.exchange import BoxFile, Exchange, camera_at, cut, outcome

PLENTY = 1 << 30


def _client(**options: Any) -> ClientSession:
    return ClientSession("box", **{"credit_bytes": PLENTY, **options})


def _opened(box: BoxFile, **options: Any) -> Exchange:
    exchange = Exchange(box, _client(**options))
    exchange.open()
    return exchange


# --- Whole exchanges --------------------------------------------------------------------------


@pytest.mark.parametrize("camera", [None, camera_at(0, 0, -3)])
def test_every_part_arrives_whole_and_once(box: BoxFile, camera: Any) -> None:
    exchange = _opened(box, camera=camera)
    exchange.run()
    assert exchange.client.missing_bytes == 0
    chunks = [event for event in exchange.events if isinstance(event, ChunkArrived)]
    assert sorted(c.chunk.id for c in chunks) == list(range(exchange.box.head.root.chunk_count))
    assert all(content_hash(c.packed) == c.chunk.hash for c in chunks)
    pages = [event for event in exchange.events if isinstance(event, PageArrived)]
    assert len(pages) == len(box.head.root.pages)
    sent = sum(len(fragment.data) for fragment in exchange.fragments)
    assert sent == len(box.data) - box.head.header.root_end


def test_without_a_view_the_file_comes_in_its_own_order(box: BoxFile) -> None:
    exchange = _opened(box)
    exchange.run()
    body = b"".join(fragment.data for fragment in exchange.fragments)
    assert box.head.packed + body == box.data
    assert all(fragment.view_serial == 0 for fragment in exchange.fragments)


@given(credit=st.integers(0, 70_000), seed=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_resume_at_any_byte_sends_exactly_the_rest(box: BoxFile, credit: int, seed: int) -> None:
    camera = camera_at(seed, 0, -3) if seed else None
    first = _opened(box, credit_bytes=credit, camera=camera)
    first.run()
    second = _opened(box, resume=first.client.resume(), camera=camera)
    second.run()
    assert second.client.missing_bytes == 0
    welcome = second.events[0]
    assert isinstance(welcome, Welcome)
    assert welcome.resumed
    sent = [(f.part, f.offset + i) for e in (first, second) for f in e.fragments
            for i in range(len(f.data))]  # fmt: skip
    assert len(sent) == len(set(sent)) == len(box.data) - box.head.header.root_end


def test_a_new_view_decides_the_very_next_fragment(box: BoxFile) -> None:
    exchange = _opened(box, camera=camera_at(0, 0, -3))
    exchange.step()
    serial = exchange.client.send_view(camera_at(1, 0, 0))
    exchange.step()
    assert exchange.fragments[-1].view_serial == serial == 2


def test_credit_is_what_is_sent_and_no_more(box: BoxFile) -> None:
    exchange = _opened(box, credit_bytes=1000)
    exchange.run()
    assert sum(len(f.data) for f in exchange.fragments) == 1000
    assert exchange.client.credit_bytes == exchange.server.credit_bytes == 0
    exchange.client.send_credit(50)
    exchange.run()
    assert sum(len(f.data) for f in exchange.fragments) == 1050


def test_cancelled_chunks_stay_away_until_they_are_wanted(box: BoxFile) -> None:
    exchange = _opened(box, camera=camera_at(0, 0, -3))
    last = box.head.root.chunk_count - 1
    exchange.client.send_cancel([last])
    exchange.run()
    assert last not in {fragment.part for fragment in exchange.fragments}
    assert exchange.client.missing_bytes
    exchange.client.send_want([last])
    exchange.run()
    assert exchange.client.missing_bytes == 0


def test_a_dropped_chunk_comes_again_from_its_first_byte(box: BoxFile) -> None:
    exchange = _opened(box)
    exchange.run()
    before = len(exchange.fragments)
    exchange.client.send_want([0], again=True)
    assert exchange.client.missing_bytes
    exchange.run()
    again = exchange.fragments[before:]
    assert {fragment.part for fragment in again} == {0}
    assert again[0].offset == 0
    assert exchange.client.missing_bytes == 0


# --- Any cut ----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 1 << 20), max_size=30), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_cut_gives_a_client_the_same_events(
    box: BoxFile, places: list[int], is_damaged: bool
) -> None:
    exchange = _opened(box, camera=camera_at(0, 0, -3))
    exchange.run()
    stream = bytearray(b"".join(exchange.sent))
    if is_damaged:
        stream[len(stream) // 2] ^= 0x10
    frames = outcome(_client(camera=camera_at(0, 0, -3)).receive_data, [bytes(stream)])
    pieces = outcome(_client(camera=camera_at(0, 0, -3)).receive_data, cut(bytes(stream), places))
    assert pieces == frames
    assert (frames[1] is not None) == is_damaged


@given(st.lists(st.integers(0, 5000), max_size=30), st.binary(max_size=30))
@settings(max_examples=40, deadline=None)
def test_any_cut_gives_a_server_the_same_events(
    box: BoxFile, places: list[int], tail: bytes
) -> None:
    client = _client(camera=camera_at(0, 0, -3), token="t")
    for x in range(5):
        client.send_view(camera_at(x, 0, -3))
        client.send_credit(10)
    stream = b"".join(client.data_to_send()) + tail
    whole = outcome(ServerSession().receive_data, [stream])
    assert outcome(ServerSession().receive_data, cut(stream, places)) == whole


# --- States -----------------------------------------------------------------------------------

FROM_CLIENT: dict[FrameType, bytes] = {
    FrameType.HELLO: m.pack_hello(Hello((1,), "box")),
    FrameType.VIEW: m.pack_view(View(1, camera_at(0, 0, -3))),
    FrameType.CREDIT: m.pack_credit(Credit(1)),
    FrameType.CANCEL: m.pack_cancel(Cancel((0,))),
    FrameType.WANT: m.pack_want(Want((0,), False)),
    FrameType.ERROR: m.pack_error(Error(ErrorCode.INTERNAL, "", False)),
    FrameType.GOAWAY: m.pack_goaway(GoAway(ErrorCode.NONE, "")),
}


def _server_in(box: BoxFile, state: State) -> ServerSession:
    exchange = Exchange(box, _client())
    if state is State.WELCOME:
        exchange.to_server()
    elif state is State.STREAM:
        exchange.open()
    elif state is State.CLOSED:
        exchange.to_server()
        exchange.server.send_error(ErrorCode.BUSY, "")
    exchange.server.data_to_send()
    assert exchange.server.state is state
    return exchange.server


def _client_in(box: BoxFile, state: State) -> ClientSession:
    exchange = Exchange(box, _client())
    if state is State.STREAM:
        exchange.open()
    elif state is State.CLOSED:
        exchange.client.send_goaway()
    exchange.client.data_to_send()
    assert exchange.client.state is state
    return exchange.client


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", FrameType)
def test_a_server_takes_what_its_table_allows_and_nothing_else(
    box: BoxFile, state: State, kind: FrameType
) -> None:
    server = _server_in(box, state)
    allowed = CLIENT_FRAMES[state].get(kind)
    frame = pack_frame(kind, FROM_CLIENT.get(kind, b""))
    if state is State.CLOSED:
        assert server.receive_data(frame) == []
    elif allowed is not None:
        assert len(server.receive_data(frame)) == 1
        assert server.state is allowed
    else:
        with pytest.raises(RemoteProtocolError) as caught:
            server.receive_data(frame)
        assert caught.value.code is ErrorCode.PROTOCOL
        assert server.closed
        (answer,) = server.data_to_send()
        assert answer[0] == FrameType.ERROR


@pytest.mark.parametrize("state", [State.WELCOME, State.STREAM, State.CLOSED])
@pytest.mark.parametrize("kind", FrameType)
def test_a_client_takes_what_its_table_allows_and_nothing_else(
    box: BoxFile, state: State, kind: FrameType
) -> None:
    client = _client_in(box, state)
    head = box.head
    ref = box.plan().ref(0)
    payloads = {
        FrameType.WELCOME: m.pack_welcome(Welcome(1, head.scene_hash, Limits(), head, False)),
        FrameType.CHUNK: m.pack_fragment(0, 0, 0, box.read(ref.offset, 10)),
        FrameType.ERROR: FROM_CLIENT[FrameType.ERROR],
        FrameType.GOAWAY: FROM_CLIENT[FrameType.GOAWAY],
    }
    frame = pack_frame(kind, payloads.get(kind, b""))
    allowed = SERVER_FRAMES[state].get(kind)
    if state is State.CLOSED:
        assert client.receive_data(frame) == []
    elif allowed is not None:
        assert len(client.receive_data(frame)) == 1
        assert client.state is allowed
    else:
        with pytest.raises(RemoteProtocolError):
            client.receive_data(frame)
        assert client.closed
        (answer,) = client.data_to_send()
        assert answer[0] == FrameType.ERROR


@pytest.mark.parametrize(
    "misuse",
    [
        lambda session: session.send_cancel([0]),
        lambda session: session.send_want([0]),
        lambda session: session.send_credit(0),
        lambda session: session.send_credit(1 << 49),
    ],
)
def test_a_client_can_not_break_the_rules_itself(misuse: Callable[[ClientSession], None]) -> None:
    with pytest.raises(LocalProtocolError):
        misuse(_client())


def test_a_server_can_not_break_the_rules_itself(box: BoxFile) -> None:
    with pytest.raises(LocalProtocolError):
        ServerSession().send_welcome(box.plan())
    exchange = _opened(box)
    piece = exchange.server.next_fragment()
    assert piece is not None
    with pytest.raises(LocalProtocolError, match="bytes for a fragment"):
        exchange.server.send_fragment(piece, b"short")
    poor = _opened(box, credit_bytes=1)
    with pytest.raises(LocalProtocolError, match="credit"):
        poor.server.send_fragment(piece, box.read(piece.file_offset, piece.length))


# --- Peers that break the rules ---------------------------------------------------------------


def _fault(session: ClientSession | ServerSession, kind: FrameType, payload: bytes) -> ErrorCode:
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive_data(pack_frame(kind, payload))
    assert session.closed
    return caught.value.code


def test_a_client_refuses_fragments_that_do_not_fit(box: BoxFile) -> None:
    def fault(part: int, offset: int, data: bytes, **options: Any) -> ErrorCode:
        exchange = _opened(box, **options)
        return _fault(exchange.client, FrameType.CHUNK, m.pack_fragment(part, offset, 0, data))

    size = box.plan().length(0)
    assert fault(0, 1, b"x") is ErrorCode.PROTOCOL
    assert fault(0, 0, bytes(size + 1)) is ErrorCode.PROTOCOL
    assert fault(1 << 20, 0, b"x") is ErrorCode.PROTOCOL
    assert fault(page_part(4000), 0, b"x") is ErrorCode.PROTOCOL
    assert fault(0, 0, bytes(100), credit_bytes=99) is ErrorCode.CREDIT
    assert fault(0, 0, bytes(1025), limits=Limits(fragment_bytes=1024)) is ErrorCode.LIMIT
    assert fault(0, 0, bytes(size)) is ErrorCode.DAMAGED


def test_a_client_refuses_what_it_has(box: BoxFile) -> None:
    exchange = _opened(box)
    exchange.run()
    payload = m.pack_fragment(0, 0, 0, b"x")
    assert _fault(exchange.client, FrameType.CHUNK, payload) is ErrorCode.PROTOCOL


def test_a_client_refuses_a_welcome_that_lies(box: BoxFile) -> None:
    def fault(client: ClientSession, welcome: Welcome) -> ErrorCode:
        return _fault(client, FrameType.WELCOME, m.pack_welcome(welcome))

    head = box.head
    good = Welcome(1, head.scene_hash, Limits(), head, False)
    resume = Resume(head, box.plan().table)
    assert fault(_client(), Welcome(1, bytes(16), Limits(), head, False)) is ErrorCode.DAMAGED
    assert fault(_client(), Welcome(2, head.scene_hash, Limits(), head, False)) is ErrorCode.VERSION
    resumed = Welcome(1, head.scene_hash, Limits(), head, True)
    assert fault(_client(), resumed) is ErrorCode.PROTOCOL
    assert fault(_client(resume=resume), good) is ErrorCode.PROTOCOL


def test_a_server_refuses_a_have_set_that_can_not_be(box: BoxFile) -> None:
    def answer(have: HaveSet) -> Error:
        server = ServerSession()
        hello = Hello((1,), "box", have=have, credit_bytes=10)
        server.receive_data(pack_frame(FrameType.HELLO, m.pack_hello(hello)))
        assert not server.send_welcome(box.plan())
        assert server.closed
        (frame,) = server.data_to_send()
        return m.parse_error(frame[8:])

    right = box.head.scene_hash
    assert answer(HaveSet(bytes(16))).code is ErrorCode.SCENE_CHANGED
    for have in (
        HaveSet(right, chunks=frozenset({9999})),
        HaveSet(right, pages=frozenset({0})),
        HaveSet(right, pages=frozenset({1000})),
        HaveSet(right, partial={0: 1 << 30}),
        HaveSet(right, partial={9999: 1}),
        HaveSet(right, chunks=frozenset({0}), partial={0: 1}),
    ):
        error = answer(have)
        assert (error.code, error.fatal) == (ErrorCode.PROTOCOL, True)


def test_a_server_speaks_only_versions_it_knows(box: BoxFile) -> None:
    for versions in ((2, 7), ((1 << 64) - 1,)):
        hello = m.pack_hello(Hello(versions, "box"))
        assert _fault(ServerSession(), FrameType.HELLO, hello) is ErrorCode.VERSION
    server = ServerSession()
    server.receive_data(pack_frame(FrameType.HELLO, m.pack_hello(Hello((1 << 63, 1), "box"))))
    assert not server.send_welcome(box.plan())
    assert server.state is State.STREAM


def test_credit_is_held_to_the_limits_of_both(box: BoxFile) -> None:
    own = m.pack_hello(Hello((1,), "box", limits=Limits(credit_bytes=1000), credit_bytes=1001))
    assert _fault(ServerSession(), FrameType.HELLO, own) is ErrorCode.LIMIT
    server = ServerSession(limits=Limits(credit_bytes=500))
    server.receive_data(
        pack_frame(FrameType.HELLO, m.pack_hello(Hello((1,), "box", credit_bytes=1000)))
    )
    assert server.credit_bytes == 500  # cut: the client could not know
    server.send_welcome(box.plan())
    client = ClientSession("box", credit_bytes=1000)
    client.data_to_send()
    for frame in server.data_to_send():
        client.receive_data(frame)
    assert client.credit_bytes == 500


def test_a_malformed_goaway_is_told_so(box: BoxFile) -> None:
    for payload in (b"\x80", b"\xc1"):
        exchange = _opened(box)
        assert _fault(exchange.server, FrameType.GOAWAY, payload) is ErrorCode.PROTOCOL
        (frame,) = exchange.server.data_to_send()
        assert m.parse_error(frame[8:]).code is ErrorCode.PROTOCOL
        assert exchange.server.failure is ErrorCode.PROTOCOL


def test_a_server_refuses_views_out_of_order_and_too_much_credit(box: BoxFile) -> None:
    view = m.pack_view(View(1, camera_at(0, 0, -3)))
    exchange = _opened(box, camera=camera_at(0, 0, -3))
    assert _fault(exchange.server, FrameType.VIEW, view) is ErrorCode.PROTOCOL
    exchange = _opened(box)
    for _ in range(2):
        payload = m.pack_credit(Credit(1 << 47))
        if exchange.server.credit_bytes < 1 << 47:
            exchange.server.receive_data(pack_frame(FrameType.CREDIT, payload))
    assert _fault(exchange.server, FrameType.CREDIT, payload) is ErrorCode.LIMIT


def test_a_server_refuses_parts_that_are_not_there(box: BoxFile) -> None:
    for kind, payload in (
        (FrameType.CANCEL, m.pack_cancel(Cancel((1 << 20,)))),
        (FrameType.WANT, m.pack_want(Want((1 << 20,), False))),
        (FrameType.WANT, m.pack_want(Want((0,), True))),  # it was never whole
    ):
        assert _fault(_opened(box).server, kind, payload) is ErrorCode.PROTOCOL


def test_events_before_a_fault_are_handed_out_first(box: BoxFile) -> None:
    server = _opened(box).server
    good = pack_frame(FrameType.CREDIT, m.pack_credit(Credit(5)))
    assert server.receive_data(good + b"\x00" * 8) == [Credit(5)]
    assert server.closed
    with pytest.raises(RemoteProtocolError):
        server.receive_eof()


def test_an_end_inside_a_frame_is_a_fault(box: BoxFile) -> None:
    server = _opened(box).server
    server.receive_data(b"\x04\x00")
    with pytest.raises(RemoteProtocolError, match="inside a frame"):
        server.receive_eof()


def test_the_smaller_limit_holds_on_both_sides(box: BoxFile) -> None:
    client = _client(limits=Limits(fragment_bytes=2000, credit_bytes=PLENTY))
    exchange = Exchange(box, client, ServerSession(limits=Limits(fragment_bytes=1500)))
    exchange.open()
    exchange.run()
    assert max(len(fragment.data) for fragment in exchange.fragments) == 1500
    assert client.limits == Limits(1500, PLENTY)


@given(st.binary(max_size=100), st.sampled_from([State.HELLO, State.WELCOME, State.STREAM]))
@settings(max_examples=100, deadline=None)
def test_any_bytes_leave_a_server_with_events_or_a_typed_fault(
    box: BoxFile, data: bytes, state: State
) -> None:
    server = _server_in(box, state)
    try:
        server.receive_data(data)
        server.receive_eof()
    except RemoteProtocolError as fault:
        assert server.closed
        assert len(str(fault)) < 1000
