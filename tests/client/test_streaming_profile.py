"""The streaming profile against a server that misbehaves in every way that a client must bear."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from yarl import URL

from exgs.client.arrivals import Arrivals
from exgs.client.delivery import Delivery
from exgs.client.engine import Options
from exgs.client.errors import SceneChangedError, StreamError
from exgs.client.link import parse_link
from exgs.client.profiles.streaming import StreamingProfile
from exgs.client.receiver import Receiver
from exgs.client.route import Route
from exgs.codec.constants import MAX_WELCOME_BYTES, ErrorCode
from exgs.codec.format.container import open_table, parse_head
from exgs.present.stream import StreamOptions, stream
from exgs.scene.camera import look_at, pinhole
from exgs.scene.gaussians import Gaussians
from exgs.wire.errors import RemoteProtocolError
from exgs.wire.events import View
from exgs.wire.plan import PartPlan
from exgs.wire.server import ServerSession
from tests.client.scenes import write_box
from tests.client.threads import on_thread
from tests.wire.padding import padded

CAMERA = look_at((0, 0, -3), (0, 0, 0), (0, -1, 0), pinhole(96, 64, 70), 96, 64)
OPTIONS = StreamOptions(choose_camera=lambda *_: CAMERA)


class Server:
    """Streams one file; `faults` are met by the first connections, in order."""

    def __init__(self, data: bytes, faults: list[str]) -> None:
        self.data = data
        self.faults = iter(faults)
        self.sent: list[tuple[int, int]] = []  # (part, offset) over all connections
        self.connections = 0
        self.poster_requests = 0
        self.later = b""  # what it serves from the second connection on
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if self.connections == 2 and self.later:
            self.data = self.later
        fault = next(self.faults, "")
        if fault.isdecimal():
            return web.Response(status=int(fault))
        if request.match_info["name"] != "box":
            raise web.HTTPNotFound
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        data = self.data
        plan = PartPlan(*open_table(lambda offset, length: data[offset : offset + length]))
        session = ServerSession()
        fragments = itertools.count()
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                break
            try:
                session.receive_data(message.data)
            except RemoteProtocolError:
                break
            if session.hello is not None and session.scheduler is None:
                if fault == "silent":
                    continue
                if fault == "refuse":
                    session.send_error(ErrorCode.UNAUTHORIZED, "the token is wrong")
                else:
                    session.send_welcome(plan)
                if fault == "long":
                    (welcome,) = session.data_to_send()
                    await socket.send_bytes(padded(welcome, MAX_WELCOME_BYTES))
                    fault = ""
            while (piece := session.next_fragment()) is not None:
                body = data[piece.file_offset : piece.file_offset + piece.length]
                number = next(fragments)
                if number == 5 and fault:
                    if fault == "drop":
                        assert request.transport is not None
                        request.transport.abort()
                        return socket
                    if fault == "away":
                        session.send_goaway(ErrorCode.SHUTDOWN, "back soon", retry_after_s=0.1)
                        break
                    body = bytes([body[0] ^ 1]) + body[1:]
                self.sent.append((piece.part, piece.offset))
                session.send_fragment(piece, body)
                await _flush(session, socket)
            await _flush(session, socket)
        return socket

    async def answer_poster(self, _request: web.Request) -> web.Response:
        self.poster_requests += 1
        header = parse_head(self.data).header
        poster = self.data[header.root_end : header.poster_end]
        return web.Response(body=poster) if poster else web.Response(status=404)

    async def run(self, ready: threading.Event, stop: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_get("/scenes/{name}/stream", self.answer)
        app.router.add_get("/scenes/box/poster", self.answer_poster)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = "ws://{}:{}/scenes/box/stream".format(*runner.addresses[0][:2])
        ready.set()
        await stop.wait()
        await runner.cleanup()


async def _flush(session: ServerSession, socket: web.WebSocketResponse) -> None:
    for frame in session.data_to_send():
        await socket.send_bytes(frame)


@contextmanager
def streaming(box: Path, *faults: str) -> Iterator[Server]:
    server = Server(box.read_bytes(), list(faults))
    with on_thread(server.run):
        yield server


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streamed") / "box.exgs"
    write_box(path, 6000)
    return path


def test_a_stream_brings_the_whole_scene(box: Path, tmp_path: Path) -> None:
    with streaming(box) as server:
        report = stream(server.url, tmp_path, OPTIONS)
    assert report.rows[-1].psnr_db == float("inf")
    assert report.reconnections == 0
    assert report.file_bytes < report.received_bytes < 1.02 * report.file_bytes


@pytest.mark.parametrize("fault", ["drop", "away"])
def test_after_a_break_nothing_comes_twice(box: Path, tmp_path: Path, fault: str) -> None:
    with streaming(box, fault, "503", fault) as server:
        report = stream(server.url, tmp_path, OPTIONS)
    assert report.reconnections == 3
    assert report.rows[-1].psnr_db == float("inf")
    assert len(server.sent) == len(set(server.sent))


@pytest.mark.parametrize("status", ["429", "500", "502", "503", "504"])
def test_a_status_that_passes_is_waited_for(box: Path, tmp_path: Path, status: str) -> None:
    with streaming(box, "drop", status) as server:
        report = stream(server.url, tmp_path, OPTIONS)
    assert report.reconnections == 2
    assert report.rows[-1].psnr_db == float("inf")


def test_a_fragment_that_was_flipped_on_the_way_comes_again(box: Path, tmp_path: Path) -> None:
    with streaming(box, "flip") as server:
        report = stream(server.url, tmp_path, OPTIONS)
    assert report.reconnections == 1
    assert report.rows[-1].psnr_db == float("inf")


def test_a_server_that_never_recovers_is_given_up(box: Path, tmp_path: Path) -> None:
    with (
        streaming(box, *["503"] * 20) as server,
        pytest.raises(StreamError, match="gave up after 2 attempts"),
    ):
        stream(server.url, tmp_path, OPTIONS)


def test_a_refusal_is_final(box: Path, tmp_path: Path) -> None:
    with streaming(box, "refuse") as server:
        with pytest.raises(StreamError, match="wants a token, or another"):
            stream(server.url, tmp_path, OPTIONS)
        with pytest.raises(StreamError, match="404"):
            stream(server.url.replace("box", "other"), tmp_path, OPTIONS)
    assert server.connections == 2


def test_a_scene_that_changes_meanwhile_is_never_mixed_in(box: Path, tmp_path: Path) -> None:
    write_box(tmp_path / "other.exgs", 6000, seed=9)
    with streaming(box, "drop") as server:
        server.later = (tmp_path / "other.exgs").read_bytes()
        with pytest.raises(SceneChangedError, match="start again"):
            stream(server.url, tmp_path / "out", OPTIONS)


def test_a_byte_limit_is_kept_by_credit(box: Path, tmp_path: Path) -> None:
    with streaming(box) as server:
        report = stream(server.url, tmp_path, replace(OPTIONS, max_bytes=60_000))
    assert 55_000 < report.received_bytes < 61_000
    assert report.rows[-1].psnr_db < 60


def test_the_cache_spares_the_network_and_a_stale_one_does_no_harm(
    box: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, cache=tmp_path / "cache")
    with streaming(box) as server:
        part = replace(options, max_bytes=80_000, reference=Gaussians.empty(1))
        stream(server.url, tmp_path / "a", part)
        before = len(server.sent)
        again = stream(server.url, tmp_path / "b", options)
        assert len(server.sent) == len(set(server.sent))
        assert before < len(server.sent)
        assert again.rows[-1].psnr_db == float("inf")
        write_box(tmp_path / "other.exgs", 6000, seed=9)
        server.data = (tmp_path / "other.exgs").read_bytes()
        fresh = stream(server.url, tmp_path / "c", options)
    assert fresh.scene_hash != again.scene_hash
    assert fresh.rows[-1].psnr_db == float("inf")


def test_saying_goodbye_is_no_time_of_receiving(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = aiohttp.ClientWebSocketResponse.close
    closing_s: list[float] = []

    async def noted(socket: aiohttp.ClientWebSocketResponse) -> bool:
        closing_s.append(asyncio.get_running_loop().time())
        return await close(socket)

    monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "close", noted)
    with streaming(box) as server, Receiver(URL(server.url), Options()) as scene:
        list(scene)
        assert 0 < scene.received_at_s <= closing_s[0]


def test_a_message_that_takes_long_on_a_slow_link_is_no_silence(box: Path) -> None:
    link = parse_link("60kbit,10ms")  # 16 KiB in 2.2 s
    with streaming(box) as server:
        options = Options(link=link, max_bytes=20_000, silence_s=1.0)
        with Receiver(URL(server.url), options) as scene:
            updates = list(scene)
    assert updates[-1].reconnections == 0


def test_a_server_that_only_answers_pings_is_given_up(box: Path) -> None:
    with (
        streaming(box, *["silent"] * 9) as server,
        Receiver(URL(server.url), Options(silence_s=0.2)) as scene,
        pytest.raises(StreamError, match="nothing came for a while; gave up after 2 attempts"),
    ):
        list(scene)


def test_a_welcome_of_the_greatest_length_is_taken(box: Path, tmp_path: Path) -> None:
    with streaming(box, "long") as server:
        report = stream(server.url, tmp_path, OPTIONS)
    assert report.reconnections == 0
    assert report.rows[-1].psnr_db == float("inf")


class _FullSocket:
    """A WebSocket whose connection takes a frame, and then no more until there is `room`."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.sent: list[bytes] = []

    @asynccontextmanager
    async def ws_connect(self, *_: Any, **__: Any) -> AsyncIterator[_FullSocket]:
        yield self

    async def send_bytes(self, frame: bytes) -> None:
        self.sent.append(frame)
        await self.room.wait()

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


def test_views_never_overtake_one_another_and_the_newest_replaces_those_that_wait() -> None:
    async def run() -> list[bytes]:
        socket: Any = _FullSocket()
        socket.room.set()
        profile = StreamingProfile("box", Delivery(Arrivals()))
        receiving = asyncio.create_task(profile.receive(socket, Route(URL("ws://x/"))))
        await _settle()
        socket.room.clear()
        profile.look(CAMERA)
        await _settle()
        for _ in range(3):  # the first of them still fills the connection
            profile.look(CAMERA)
        await _settle()
        socket.room.set()
        await _settle()
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        return list(socket.sent)

    session = ServerSession()
    frames = asyncio.run(run())
    views = [event for frame in frames for event in session.receive_data(frame)]
    session.receive_eof()  # raises the fault of a view that came too late
    assert [event.serial for event in views if isinstance(event, View)] == [1, 4]


async def _settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)
