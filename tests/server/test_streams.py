"""The streaming profile over real sockets."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from exgs.codec.constants import MAX_HELLO_BYTES, ErrorCode, FrameType
from exgs.server.config import TOKEN, Patience, Quota
from exgs.wire.client import ClientSession
from exgs.wire.events import Error, GoAway, Hello, Welcome
from exgs.wire.frames import pack_frame
from exgs.wire.messages import pack_error, pack_goaway, pack_hello
from tests.client.scenes import write_box
from tests.server.support import CREDIT_BYTES, Site, camera_at, on_site, streaming, until
from tests.wire.padding import padded

CLOSE_BASE = 4000


async def _code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The close code of the server."""
    while (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.BINARY:
        pass
    return socket.close_code


def test_a_stream_delivers_every_byte_once(root: Path, box_bytes: bytes) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, camera=camera_at(0, 0, -3)) as client:
            await client.finish()
            head = client.session.head
            assert head is not None
            sent = sum(len(fragment.data) for fragment in client.fragments)
            assert sent == len(box_bytes) - head.header.root_end
        assert await site.metric("exgs_sessions_total") == 1
        layers = [await site.metric(f'exgs_stream_bytes_total{{layer="{i}"}}') for i in range(3)]
        assert all(layers)
        assert sum(layers) + await site.metric("exgs_stream_page_bytes_total") == sent
        assert await site.metric("exgs_streams") == 0

    on_site(root, main)


def test_a_hello_of_the_largest_size_is_accepted(root: Path) -> None:
    async def main(site: Site) -> None:
        session = ClientSession("box", credit_bytes=CREDIT_BYTES)
        (hello,) = session.data_to_send()
        url = f"{site.server.url}/scenes/box/stream"
        async with site.http.ws_connect(url, compress=0, max_msg_size=0) as socket:
            await socket.send_bytes(padded(hello, MAX_HELLO_BYTES))
            message = await socket.receive(timeout=10)
            assert message.type is aiohttp.WSMsgType.BINARY
            (welcome,) = session.receive_data(message.data)
            assert isinstance(welcome, Welcome)

    on_site(root, main)


def test_nothing_is_sent_beyond_the_credit(root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, credit_bytes=5000) as client:
            while client.session.credit_bytes:
                assert await client.step()
            waiting = asyncio.create_task(client.socket.receive())
            await site.settle()
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
            client.session.send_credit(100)
            await client.flush()
            await client.step()
            assert len(client.fragments[-1].data) == 100

    on_site(root, main)


def test_a_resumed_stream_sends_only_the_rest(root: Path, box_bytes: bytes) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, credit_bytes=40_000) as client:
            while client.session.credit_bytes:
                await client.step()
            resume = client.session.resume()
            before = {(f.part, f.offset) for f in client.fragments}
        async with streaming(site, resume=resume) as client:
            await client.finish()
            after = {(f.part, f.offset) for f in client.fragments}
            sent = sum(len(fragment.data) for fragment in client.fragments)
        assert client.session.missing_bytes == 0
        assert not before & after
        assert client.session.head is not None
        assert sent == len(box_bytes) - client.session.head.header.root_end - 40_000
        assert await site.metric("exgs_resumes_total") == 1

    on_site(root, main)


def test_a_new_view_takes_effect_within_one_fragment_of_credit(root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, camera=camera_at(0, 0, -3), credit_bytes=20_000) as client:
            while client.session.credit_bytes:
                await client.step()
            serial = client.session.send_view(camera_at(3, 0, 0))
            client.session.send_credit(1 << 20)
            await client.flush()
            await client.step()
            assert client.fragments[-1].view_serial == serial
            assert await site.metric("exgs_view_to_chunk_seconds_count") == 1

    on_site(root, main)


def test_a_have_set_of_other_bytes_is_refused(root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, credit_bytes=20_000) as client:
            while client.session.credit_bytes:
                await client.step()
            resume = client.session.resume()
        write_box(root.parent / "next.exgs", 500, seed=3)
        (root.parent / "next.exgs").rename(root / "box.exgs")

        async def has_changed() -> bool:
            async with streaming(site, resume=resume) as client:
                await client.step()
                if not client.errors:
                    return False
                assert client.errors[0].code is ErrorCode.SCENE_CHANGED
                assert await _code(client.socket) == CLOSE_BASE + ErrorCode.SCENE_CHANGED
                return True

        await until(has_changed)
        assert await site.metric('exgs_rejects_total{code="scene_changed"}') == 1

    on_site(root, main, reload_s=0.05)


def test_a_missing_scene_gives_an_error(root: Path) -> None:
    async def main(site: Site) -> None:
        for name in ("none", "%2e%2e%2fbox", "box%00"):
            async with streaming(site, name) as client:
                await client.step()
                assert client.errors[0].code is ErrorCode.NOT_FOUND
                assert await _code(client.socket) == CLOSE_BASE + ErrorCode.NOT_FOUND

    on_site(root, main)


def test_the_token_may_be_in_a_header_or_in_hello(root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, token="right") as client:
            await client.finish()
        async with streaming(site, headers={"Authorization": "Bearer right"}) as client:
            await client.finish()
        for token in (None, "wrong"):
            async with streaming(site, token=token) as client:
                await client.step()
                assert client.errors[0].code is ErrorCode.UNAUTHORIZED
                assert await _code(client.socket) == CLOSE_BASE + ErrorCode.UNAUTHORIZED

    on_site(root, main, token="right")


def test_the_hook_sees_the_token_of_hello(root: Path) -> None:
    async def authorize(request: web.Request, scene: str) -> bool:
        return (request[TOKEN], scene) == ("mine", "box")

    async def main(site: Site) -> None:
        async with streaming(site, token="mine") as client:
            await client.finish()
        async with streaming(site, token="theirs") as client:
            await client.step()
            assert client.errors[0].code is ErrorCode.UNAUTHORIZED

    on_site(root, main, authorize=authorize)


def test_only_pages_of_allowed_origins_may_stream(root: Path) -> None:
    async def main(site: Site) -> None:
        for origin in (site.server.url, "https://a.example"):
            async with streaming(site, headers={"Origin": origin}) as client:
                await client.finish()
        for origin in ("https://b.example", "null", "https://a.example.b.example"):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                async with streaming(site, headers={"Origin": origin}):
                    pass

    on_site(root, main, cors_origins=("https://a.example",))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x01\x00\x00\x00\x01\x00\x00\x00\xc1", ErrorCode.PROTOCOL),
        (b"\x03\x00\x00\x00\x00\x00\x00\x00", ErrorCode.PROTOCOL),
        (b"\x07\x00\x00\x00\x00\x00\x00\x00", ErrorCode.PROTOCOL),
        (b"\x01\x01\x00\x00\x00\x00\x00\x00", ErrorCode.PROTOCOL),
        (b"\x01\x00\x00\x00\xff\xff\xff\xff", ErrorCode.LIMIT),
    ],
)
def test_protocol_faults_get_an_error_and_close_the_stream(
    root: Path, message: bytes, code: ErrorCode
) -> None:
    async def main(site: Site) -> None:
        async with site.http.ws_connect(f"{site.server.url}/scenes/box/stream") as socket:
            await socket.send_bytes(message)
            answer = await socket.receive(timeout=5)
            assert answer.type is aiohttp.WSMsgType.BINARY
            assert answer.data[0] == 8  # ERROR
            assert await _code(socket) == CLOSE_BASE + code

        async def is_counted() -> bool:
            return await site.metric(f'exgs_rejects_total{{code="{code.name.lower()}"}}') == 1

        await until(is_counted)

    on_site(root, main)


def test_a_client_may_disconnect_right_after_hello(root: Path) -> None:
    hello = pack_frame(FrameType.HELLO, pack_hello(Hello((1,), "box", credit_bytes=100)))
    goaway = pack_frame(FrameType.GOAWAY, pack_goaway(GoAway(ErrorCode.NONE, "", 0.0)))
    error = pack_frame(FrameType.ERROR, pack_error(Error(ErrorCode.INTERNAL, "no", True)))

    async def main(site: Site) -> None:
        for last in (goaway, error):
            async with site.http.ws_connect(f"{site.server.url}/scenes/box/stream") as socket:
                await socket.send_bytes(hello + last)
                assert await _code(socket) == aiohttp.WSCloseCode.OK

    on_site(root, main)


def test_a_text_message_is_refused(root: Path) -> None:
    async def main(site: Site) -> None:
        async with site.http.ws_connect(f"{site.server.url}/scenes/box/stream") as socket:
            await socket.send_str("hello")
            assert await _code(socket) == CLOSE_BASE + ErrorCode.PROTOCOL

    on_site(root, main)


def test_a_message_larger_than_any_hello_is_refused(root: Path) -> None:
    async def main(site: Site) -> None:
        async with site.http.ws_connect(f"{site.server.url}/scenes/box/stream") as socket:
            await socket.send_bytes(bytes(1 << 20))
            assert await _code(socket) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    on_site(root, main)


def test_a_client_without_hello_is_disconnected(root: Path) -> None:
    async def main(site: Site) -> None:
        async with site.http.ws_connect(f"{site.server.url}/scenes/box/stream") as socket:
            for byte in b"\x01\x00\x00\x00\x40":
                await socket.send_bytes(bytes([byte]))
            assert await _code(socket) == CLOSE_BASE + ErrorCode.TIMEOUT

    on_site(root, main, patience=Patience(hello_s=0.1))


def test_a_plain_request_to_a_stream_is_told_to_upgrade(root: Path) -> None:
    async def main(site: Site) -> None:
        assert (await site.get("/scenes/box/stream")).status == 426

    on_site(root, main)


def test_a_stream_beyond_the_limit_is_asked_to_retry_later(root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site) as first:
            await first.step()
            async with streaming(site) as second:
                await second.step()
                assert second.errors[0].code is ErrorCode.BUSY
        async with streaming(site) as third:
            await third.finish()
            assert third.session.missing_bytes == 0

    on_site(root, main, quota=Quota(streams=1))


def test_truncating_a_file_in_place_ends_the_stream_not_the_server(root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, credit_bytes=5000) as client:
            while client.session.credit_bytes:
                await client.step()
            os.truncate(root / "box.exgs", 1000)
            client.session.send_credit(1 << 20)
            await client.flush()
            await client.finish()
            assert client.errors[0].code is ErrorCode.INTERNAL
        assert (await site.get("/healthz")).status == 200

    on_site(root, main, reload_s=60.0)


def test_a_flood_of_views_slows_only_its_sender(root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, credit_bytes=1, camera=camera_at(0, 0, -3)) as flood:
            for _ in range(400):
                flood.session.send_view(camera_at(0, 0, -3))
            await flood.flush()
            loop = asyncio.get_running_loop()
            start_s = loop.time()
            async with streaming(site, camera=camera_at(0, 0, -3)) as client:
                await client.finish()
            assert loop.time() - start_s < 2.0

    on_site(root, main)
