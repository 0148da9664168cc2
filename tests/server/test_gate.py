"""Limits for connections that are too slow or too many."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from pathlib import Path

import pytest

from exgs.server.config import Patience, Quota
from exgs.wire.client import ClientSession
from tests.client.scenes import write_box
from tests.server.support import Site, on_site, streaming, until

LIMITED = frozenset[str]()
HEAD_S, IDLE_S, PIECE_S, PING_S = (
    Patience().head_s,
    Patience().idle_s,
    Patience().piece_s,
    Patience().ping_s,
)
SWEEP_S = 1.0  # between two looks at the connections


@pytest.fixture(scope="module")
def large_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene that is larger than the kernel's buffers for a reader that reads nothing."""
    folder = tmp_path_factory.mktemp("large")
    write_box(folder / "box.exgs", 150_000)
    return folder


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the server has closed a connection; waits for a second in case."""
    try:
        async with asyncio.timeout(1):
            while await reader.read(1 << 16):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("drip", [b"", b"GET /scenes HT", b"GET /scenes HTTP/1.1\r\nX: y\r\n"])
def test_a_missing_request_head_closes_the_connection(root: Path, drip: bytes) -> None:
    async def main(site: Site) -> None:
        reader, writer = await asyncio.open_connection(site.server.host, site.server.port)
        writer.write(drip)
        await site.settle()
        await site.advance(HEAD_S - 1)
        assert not reader.at_eof()
        await site.advance(1.1 + SWEEP_S)
        assert await _is_closed(reader)
        writer.close()
        assert await site.metric('exgs_dropped_connections_total{reason="head"}') == 1

    on_site(root, main)


def test_an_idle_connection_is_kept_between_requests_for_some_time(root: Path) -> None:
    async def main(site: Site) -> None:
        reader, writer = await asyncio.open_connection(site.server.host, site.server.port)
        for pause_s in (0.0, IDLE_S - 1):
            await site.advance(pause_s)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"ok" in await reader.readuntil(b"ok\n")
        await site.advance(IDLE_S + 0.1 + SWEEP_S)
        assert await _is_closed(reader)
        writer.close()

    on_site(root, main)


def _small_socket(site: Site) -> socket.socket:
    """A connection with a very small receive buffer."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    end.connect((site.server.host, site.server.port))
    return end


RANGE = "GET /scenes/box.exgs HTTP/1.1\r\nHost: x\r\nRange: bytes=0-{last}\r\n\r\n"
STREAM = (
    b"GET /scenes/box/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def _hello() -> bytes:
    """HELLO as a masked WebSocket message, with the mask 0."""
    (frame,) = ClientSession("box", credit_bytes=1 << 30).data_to_send()
    return b"\x82\xfe" + len(frame).to_bytes(2) + bytes(4) + frame


ASKING = {
    "file": RANGE.format(last=(1 << 20) - 1).encode(),
    "kernel": RANGE.format(last=40_000).encode(),  # the kernel takes the whole answer at once
    "stream": STREAM + _hello(),
}


@pytest.mark.parametrize("knows", ["the kernel", "the process"])
@pytest.mark.parametrize("asked", ["file", "stream"])
def test_a_reader_that_stalls_is_dropped(
    large_root: Path, asked: str, knows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if knows == "the process":
        monkeypatch.setattr("exgs.server.kernel._TCP_INFO", None)

    async def main(site: Site) -> None:
        with _small_socket(site) as end:
            end.sendall(ASKING[asked])
            assert await site.advance_until(lambda: _is_dropped(site)) >= PIECE_S
            assert (await site.get("/healthz")).status == 200

    on_site(large_root, main)


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="needs TCP_INFO")
def test_an_unread_answer_does_not_count_as_idle_time(large_root: Path) -> None:
    async def main(site: Site) -> None:
        with _small_socket(site) as end:
            end.sendall(ASKING["kernel"])
            assert PIECE_S <= await site.advance_until(lambda: _is_dropped(site)) < IDLE_S

    on_site(large_root, main)


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="needs TCP_INFO")
@pytest.mark.parametrize("asked", ["file", "stream"])
def test_a_slow_reader_stays_connected_while_it_makes_progress(
    large_root: Path, asked: str
) -> None:
    """A link of 100 kbit/s shared by six requests. Rate and timeout are both scaled by eight.

    In real time: the kernels decide when they report progress.
    """

    async def main(site: Site) -> None:
        loop = asyncio.get_running_loop()
        end_s, taken_bytes = loop.time() + 2.5, 0
        with _small_socket(site) as end:
            end.sendall(ASKING[asked])
            end.setblocking(False)
            while loop.time() < end_s:
                data = await loop.sock_recv(end, 1700)
                assert data, "the server has closed the connection"
                taken_bytes += len(data)
                await asyncio.sleep(0.1)
        assert taken_bytes > 20_000

    on_site(large_root, main, patience=Patience(piece_s=1.25))


@pytest.mark.parametrize("asked", ["file", "stream"])
def test_a_reader_that_reads_almost_nothing_is_dropped(large_root: Path, asked: str) -> None:
    async def main(site: Site) -> None:
        with _small_socket(site) as end:
            end.sendall(ASKING[asked])
            end.setblocking(False)

            async def is_dropped() -> bool:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    end.recv(50)  # every second
                return await _is_dropped(site)

            assert await site.advance_until(is_dropped) >= PIECE_S

    on_site(large_root, main)


def test_a_stream_that_stalls_ends_as_slow_reader(large_root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site) as client:
            await client.step()
            transport = client.socket._response.connection.transport  # type: ignore[union-attr]
            transport.pause_reading()
            await site.advance_until(lambda: _is_dropped(site))
            transport.resume_reading()
        assert await site.metric('exgs_rejects_total{code="slow_reader"}') == 1

    on_site(large_root, main)


async def _is_dropped(site: Site) -> bool:
    return await site.metric('exgs_dropped_connections_total{reason="slow reader"}') == 1


def test_a_reader_that_disconnects_is_not_logged_as_an_error(
    large_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(site: Site) -> None:
        with _small_socket(site) as end:
            end.sendall(b"GET /scenes/box.exgs HTTP/1.1\r\nHost: x\r\n\r\n")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await site.settle()

        async def is_counted() -> bool:
            return await site.metric('exgs_http_answers_total{status="499"}') == 1

        await until(is_counted)
        async with site.http.ws_connect(f"{site.server.url}/scenes/box/stream") as stream:
            stream._response.connection.transport.abort()  # type: ignore[union-attr]

        async def is_alone() -> bool:
            return await site.metric("exgs_connections") == 1

        await until(is_alone)

    on_site(large_root, main)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_a_malformed_request_gives_one_log_line(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(site: Site) -> None:
        assert (await site.raw(b"GET / HTTP/1.1\r\n\r\n")).split()[1] == b"400"

    on_site(root, main)
    refused = [record for record in caplog.records if record.msg == "malformed request"]
    assert len(refused) == 1
    assert refused[0].exc_info is None
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_stream_whose_client_has_vanished_is_closed(root: Path) -> None:
    async def main(site: Site) -> None:
        async with site.http.ws_connect(
            f"{site.server.url}/scenes/box/stream", autoping=False
        ) as stream:
            session = ClientSession("box", credit_bytes=1)
            for frame in session.data_to_send():
                await stream.send_bytes(frame)

            async def is_closed() -> bool:
                return await site.metric("exgs_streams") == 0

            await site.settle()
            for _ in range(4):
                assert not await is_closed()
                await site.advance(PING_S)
                await asyncio.sleep(0.05)  # the client's kernel acknowledges a ping after 40 ms
            await site.advance_until(is_closed)  # it does not answer CLOSE either
        assert await site.metric('exgs_rejects_total{code="timeout"}') == 1

    on_site(root, main)


def test_an_idle_stream_is_kept_while_it_answers(root: Path) -> None:
    async def main(site: Site) -> None:
        async with streaming(site, credit_bytes=1) as client:
            while client.session.credit_bytes:
                await client.step()
            waiting = asyncio.create_task(client.socket.receive())  # which answers pings
            for _ in range(10):
                await site.advance(PING_S)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
            client.session.send_credit(1 << 20)
            await client.flush()
            await client.finish()
            assert client.session.missing_bytes == 0

    on_site(root, main)


def test_a_slow_reader_is_served_while_it_reads(root: Path, box_bytes: bytes) -> None:
    async def main(site: Site) -> None:
        reader, writer = await asyncio.open_connection(site.server.host, site.server.port, limit=1)
        writer.write(b"GET /scenes/box.exgs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        taken = b""
        while piece := await reader.read(4096):
            taken += piece
            await site.advance(1.0)
        writer.close()
        assert taken.endswith(box_bytes)

    on_site(root, main)


def test_connections_per_address_are_limited(root: Path) -> None:
    async def main(site: Site) -> None:
        await site.http.close()
        held = [await asyncio.open_connection(site.server.host, site.server.port) for _ in range(3)]
        assert (await site.raw(b"")).startswith(b"HTTP/1.1 503 ")
        for _, writer in held:
            writer.close()

        async def is_let_in() -> bool:
            answer = await site.raw(b"GET /healthz HTTP/1.0\r\n\r\n")
            return answer.startswith(b"HTTP/1.0 200")

        await until(is_let_in)

    quota = Quota(connections_per_address=3, unlimited_addresses=LIMITED)
    on_site(root, main, quota=quota)


def test_the_total_of_connections_is_limited(root: Path) -> None:
    async def main(site: Site) -> None:
        _, writer = await asyncio.open_connection(site.server.host, site.server.port)
        assert (await site.raw(b"")).startswith(b"HTTP/1.1 503 ")
        writer.close()

    on_site(root, main, quota=Quota(connections=1))


def test_requests_per_address_are_limited(root: Path) -> None:
    async def main(site: Site) -> None:
        answers = [await site.get("/healthz") for _ in range(12)]
        assert [answer.status for answer in answers[:10]] == [200] * 10
        assert answers[-1].status == 429
        assert answers[-1].headers["Retry-After"] == "1"

    quota = Quota(requests_per_s=5, unlimited_addresses=LIMITED)
    on_site(root, main, quota=quota)
