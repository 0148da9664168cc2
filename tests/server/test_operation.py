"""Operation of the server process: start, shutdown, metrics, logs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from exgs.codec.constants import ErrorCode
from exgs.server.app import RunningServer, create_app, start
from exgs.server.config import ServerConfig
from exgs.server.log import JsonFormatter
from exgs.server.storage import RootError
from tests.server.support import Site, on_site, streaming


@contextmanager
def process(root: Path) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """Run `exgs serve` in its own process."""
    command = [sys.executable, "-m", "exgs.cli.main", "serve", str(root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"at http://(.+):(\d+)/scenes$", server.stdout.readline())
            assert found is not None
            yield server, found[1], int(found[2])
        finally:
            server.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_streams_get_goaway_before_the_process_ends(root: Path, number: int) -> None:
    with process(root) as (server, host, port):

        async def main() -> float:
            async with aiohttp.ClientSession() as http:
                site = Site(RunningServer(host, port, "http"), http)
                async with (
                    streaming(site, credit_bytes=1000) as one,
                    streaming(site, credit_bytes=1000) as other,
                ):
                    for client in (one, other):
                        while client.session.credit_bytes:
                            await client.step()
                    server.send_signal(number)
                    start_s = time.monotonic()
                    for client in (one, other):
                        await client.finish()
                        assert client.goaways[0].code is ErrorCode.SHUTDOWN
                        assert client.socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
                    await asyncio.to_thread(server.wait, 10)
                    return time.monotonic() - start_s

        assert asyncio.run(main()) < 2.0
        assert server.returncode == 0


def test_stalled_readers_do_not_delay_the_shutdown(root: Path, box_bytes: bytes) -> None:
    (root / "long.exgs").write_bytes(box_bytes)
    with process(root) as (server, host, port):

        async def main() -> float:
            async with aiohttp.ClientSession() as http:
                site = Site(RunningServer(host, port, "http"), http)
                async with streaming(site) as client:
                    await client.step()
                    connection = client.socket._response.connection
                    assert connection is not None
                    assert connection.transport is not None
                    connection.transport.pause_reading()
                    _, writer = await asyncio.open_connection(host, port)
                    writer.write(b"GET /scenes/box.exgs HTTP/1.1\r\n")
                    server.send_signal(signal.SIGTERM)
                    start_s = time.monotonic()
                    await asyncio.to_thread(server.wait, 10)
                    taken_s = time.monotonic() - start_s
                    connection.transport.resume_reading()
                    writer.close()
                    return taken_s

        assert asyncio.run(main()) < 2.0
        assert server.returncode == 0


def test_the_server_needs_no_torch(root: Path) -> None:
    code = "import sys, exgs.server.app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_folder_is_named_in_the_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with start(ServerConfig(root=tmp_path / "none", port=0)):
            pass

    with pytest.raises(RootError, match="none: No such file"):
        asyncio.run(main())


def test_metrics_have_the_format_of_prometheus(root: Path) -> None:
    async def main(site: Site) -> None:
        await site.get("/scenes/box.exgs", Range="bytes=0-99")
        answer = await site.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert await site.metric("exgs_file_bytes_total") == 100
        assert await site.metric("exgs_scenes") == 1
        assert await site.metric('exgs_http_answers_total{status="206"}') == 1

    on_site(root, main)


def test_log_lines_are_json() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.getLogger("test.json")
    log.propagate = False
    log.addHandler(handler)
    log.warning("it is %s", "so", extra={"scene": 'a"b\n', "path": Path("x")})
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["level"], first["event"]) == ("warning", "it is so")
    assert (first["scene"], first["path"]) == ('a"b\n', "x")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert "ValueError: no" in second["trace"]


def test_every_answer_gives_one_log_line(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exgs.server")
    asked = [
        ("GET", "/scenes/box.exgs", {"Range": "bytes=0-99"}, 206, 100),
        ("GET", "/scenes/box.exgs", {"Range": "bytes=0-99999"}, 206, 100_000),
        ("GET", "/healthz", {}, 200, 3),
        ("HEAD", "/scenes/box.exgs", {}, 200, 0),
        ("GET", "/scenes/none.exgs", {}, 404, 0),
    ]

    async def main(site: Site) -> None:
        for method, path, headers, _, _ in asked:
            await site.get(path, method, **headers)

    on_site(root, main)
    lines = [record for record in caplog.records if record.message == "request"]
    assert [(r.method, r.path, r.status, r.bytes) for r in lines] == [  # type: ignore[attr-defined]
        (method, path, status, size) for method, path, _, status, size in asked
    ]


def test_the_application_can_be_mounted_in_another_one(root: Path) -> None:
    async def main() -> None:
        runner = aiohttp.web.AppRunner(create_app(ServerConfig(root=root)))
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as http:
            site = Site(RunningServer(host, port, "http"), http)
            assert (await site.get("/scenes/box.exgs")).status == 200
            async with streaming(site) as client:
                await client.finish()
        await runner.cleanup()

    asyncio.run(main())


def test_streams_work_over_tls(root: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))

    async def main() -> None:
        async with (
            start(ServerConfig(root=root, port=0, tls=tls)) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
        ):
            site = Site(server, http)
            assert server.url.startswith("https://")
            assert (await site.get("/scenes/box.exgs")).status == 200
            async with streaming(site) as client:
                await client.finish()
                assert client.session.missing_bytes == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "statuses"),
    [
        ({}, {None: 200, "s": 200, "m": 200}),
        ({"token": "s"}, {None: 401, "s": 200, "m": 401}),
        ({"token": "s", "metrics_token": "m"}, {None: 401, "s": 401, "m": 200}),
        ({"metrics_token": "m"}, {None: 401, "s": 401, "m": 200}),
        ({"token": "s", "is_metrics_open": True}, {None: 200, "s": 200, "m": 200}),
    ],
)
def test_metrics_have_a_token_of_their_own_or_none(
    root: Path, settings: dict[str, object], statuses: dict[str | None, int]
) -> None:
    async def test(site: Site) -> None:
        for token, status in statuses.items():
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            assert (await site.get("/metrics", **headers)).status == status
        if "token" in settings:
            assert (await site.get("/scenes")).status == 401

    on_site(root, test, **settings)


def test_urls_of_scenes_are_right_behind_the_path_of_a_proxy(root: Path) -> None:
    async def test(site: Site) -> None:
        (scene,) = json.loads((await site.get("/scenes")).body)["scenes"]
        assert scene["url"] == "/shows/gs/scenes/box.exgs"
        assert scene["stream"] == "/shows/gs/scenes/box/stream"
        async with site.http.get(f"{site.server.url}/scenes/box", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/shows/gs/scenes/box/"

    on_site(root, test, prefix="/shows/gs")


@pytest.mark.parametrize("prefix", ["gs", "/gs/", "/"])
def test_a_prefix_is_a_path(root: Path, prefix: str) -> None:
    with pytest.raises(ValueError, match="slash"):
        ServerConfig(root, prefix=prefix)
