"""The examples in deploy/ work: with a real nginx, and the parts of the unit that can be tested."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from exgs.client.arrivals import Arrivals
from exgs.client.delivery import Delivery
from exgs.client.errors import ConnectionLostError, SceneChangedError
from exgs.client.profiles.static import StaticProfile
from exgs.client.route import Route
from exgs.codec.constants import ErrorCode
from exgs.server.app import RunningServer, start
from exgs.server.config import ServerConfig
from tests.client.scenes import write_box
from tests.server.support import Site, camera_at, streaming

DEPLOY = Path(__file__).parents[2] / "deploy"
needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx")
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fullchain.pem and key.pem for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "fullchain.pem")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    return folder


@contextlib.contextmanager
def nginx(example: str, folder: Path, changes: dict[str, str]) -> Iterator[int]:
    """Run nginx with an example of deploy/ and other paths; yields its port."""
    port = _free_port()
    text = (DEPLOY / example).read_text("utf-8")
    for old, new in {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl", **changes}.items():
        assert old in text, f"{example} does not say {old!r}"
        text = text.replace(old, new)
    (folder / "example.conf").write_text(text)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{'user root;' * (os.geteuid() == 0)} daemon off; master_process off; pid {folder}/pid;"
        f"error_log stderr error; events {{}} http {{ access_log off; {places}"
        f"include {folder}/example.conf; }}"
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    log = folder / "log"
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors) as process:
        try:
            for _ in range(200):
                assert process.poll() is None, log.read_text()
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()


@contextlib.asynccontextmanager
async def behind_nginx(
    server: RunningServer, folder: Path, certificate: Path
) -> AsyncIterator[Site]:
    """A server, accessed through nginx."""
    folder.mkdir()
    trust = ssl.create_default_context(cafile=str(certificate / "fullchain.pem"))
    changes = {
        "server 127.0.0.1:8080": f"server 127.0.0.1:{server.port}",
        "/etc/ssl/exgs": str(certificate),
        "/var/cache/nginx/exgs": str(folder / "cache"),
    }
    connector = aiohttp.TCPConnector(ssl=trust)
    with nginx("nginx.conf", folder, changes) as port:
        async with aiohttp.ClientSession(connector=connector) as http:
            yield Site(RunningServer("127.0.0.1", port, "https"), http)
        await asyncio.sleep(0.1)  # aborted TLS connections still shut down


@contextlib.asynccontextmanager
async def proxied(
    root: Path, folder: Path, certificate: Path, *, token: str | None = None
) -> AsyncIterator[tuple[Site, Site]]:
    """An exgs server behind nginx, and the same server without nginx."""
    async with (
        start(ServerConfig(root=root, port=0, token=token)) as server,
        behind_nginx(server, folder, certificate) as front,
        aiohttp.ClientSession() as http,
    ):
        yield front, Site(server, http)


async def _hashed_path(site: Site, **headers: str) -> str:
    head = await site.get("/scenes/box.exgs", method="HEAD", **headers)
    return f"/scenes/box.{head.headers['Etag'].strip(chr(34))}.exgs"


@needs_nginx
def test_files_streams_and_errors_are_the_same_behind_nginx(
    root: Path, tmp_path: Path, certificate: Path, box_bytes: bytes
) -> None:
    async def main() -> None:
        async with proxied(root, tmp_path / "nginx", certificate) as (front, back):
            part = await front.get("/scenes/box.exgs", Range="bytes=5-9")
            assert (part.status, part.body) == (206, box_bytes[5:10])
            other = await front.get("/scenes/box.exgs", Range="bytes=5-9", If_Match='"other"')
            assert other.status == 412
            assert (await front.get("/scenes")).body == (await back.get("/scenes")).body
            for path in ("/metrics", "/readyz", "/scenes/none.exgs", "/scenes/..%2fbox.exgs"):
                assert (await front.get(path)).status == 404, path
            own_page = {"Origin": str(URL(front.server.url))}
            async with streaming(front, camera=camera_at(0, 0, -3), headers=own_page) as client:
                await client.finish()
                assert client.session.missing_bytes == 0
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                async with streaming(front, headers={"Origin": "https://other.example"}):
                    pass

    asyncio.run(main())


@needs_nginx
def test_nginx_caches_names_with_a_hash_and_serves_them_without_the_server(
    root: Path, tmp_path: Path, certificate: Path, box_bytes: bytes
) -> None:
    async def main() -> None:
        async with proxied(root, tmp_path / "nginx", certificate) as (front, back):
            path = await _hashed_path(front)
            found = []
            for start_at in (0, 100, 1000):
                span = f"bytes={start_at}-{start_at + 99}"
                answer = await front.get(path, Range=span)
                assert (answer.status, answer.body) == (206, box_bytes[start_at : start_at + 100])
                assert "immutable" in answer.headers["Cache-Control"]
                found.append(answer.headers["X-Cache"])
            assert found == ["MISS", "HIT", "HIT"]
            assert (await front.get(path)).body == box_bytes
            assert (await front.get(path, Range="bytes=0-1", If_Match='"other"')).status == 412
            served = await back.metric("exgs_file_bytes_total")
            assert served == len(box_bytes)

    asyncio.run(main())


@needs_nginx
def test_nginx_does_not_cache_what_needs_a_token(
    root: Path, tmp_path: Path, certificate: Path, box_bytes: bytes
) -> None:
    async def main() -> None:
        async with proxied(root, tmp_path / "nginx", certificate, token="s") as (front, _):
            shown = {"Authorization": "Bearer s"}
            path = await _hashed_path(front, **shown)
            for _ in range(2):
                assert (await front.get(path, Range="bytes=0-9", **shown)).body == box_bytes[:10]
                assert (await front.get(path, Range="bytes=0-9")).status == 401

    asyncio.run(main())


@needs_nginx
def test_goaway_comes_through_nginx(root: Path, tmp_path: Path, certificate: Path) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as running:
            server = await running.enter_async_context(start(ServerConfig(root=root, port=0)))
            async with (
                behind_nginx(server, tmp_path / "nginx", certificate) as front,
                streaming(front, credit_bytes=1000) as client,
            ):
                while client.session.credit_bytes:
                    await client.step()
                leaving = asyncio.create_task(running.aclose())
                await client.finish()
                assert client.goaways[0].code is ErrorCode.SHUTDOWN
                await leaving

    asyncio.run(main())


@needs_nginx
def test_plain_nginx_serves_the_static_profile(
    root: Path, tmp_path: Path, certificate: Path, box_bytes: bytes
) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    (tmp_path / "secret.exgs").write_bytes(box_bytes)
    (root / "link.exgs").symlink_to(tmp_path / "secret.exgs")
    trust = ssl.create_default_context(cafile=str(certificate / "fullchain.pem"))
    changes = {"/srv/exgs": str(root), "/etc/ssl/exgs": str(certificate)}

    async def receive(http: aiohttp.ClientSession, url: str, profile: StaticProfile) -> None:
        await profile.receive(http, Route(URL(url)))

    async def main(port: int) -> None:
        base = f"https://127.0.0.1:{port}/scenes"
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(connector=connector) as http:
            delivery = Delivery(Arrivals())
            profile = StaticProfile(delivery)
            await receive(http, f"{base}/box.exgs", profile)
            assert delivery.kept_bytes == len(box_bytes)
            for name in ("link.exgs", "none.exgs", "%2e%2e%2fsecret.exgs"):
                async with http.get(URL(f"{base}/{name}", encoded=True)) as answer:
                    assert answer.status in (403, 404), name
            stopped = StaticProfile(Delivery(Arrivals()), limit_bytes=20_000)
            await receive(http, f"{base}/box.exgs", stopped)
            write_box(root / "box.exgs", 8000, seed=5)
            stopped.lift_limit()
            with pytest.raises(ConnectionLostError, match="ETag"):
                await receive(http, f"{base}/box.exgs", stopped)
            with pytest.raises(SceneChangedError):
                await receive(http, f"{base}/box.exgs", stopped)
        await asyncio.sleep(0.3)  # aborted TLS connections still shut down

    with nginx("nginx-static.conf", folder, changes) as port:
        asyncio.run(main(port))


def _setting(name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", (DEPLOY / "exgs.service").read_text("utf-8"), re.MULTILINE)
    assert found is not None, name
    return found[1]


@needs_systemd
def test_systemd_accepts_the_unit_and_rates_it_safe(tmp_path: Path) -> None:
    unit = tmp_path / "exgs.service"
    text = (DEPLOY / "exgs.service").read_text("utf-8")
    unit.write_text(text.replace("/opt/exgs/bin/exgs", "/bin/true"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    said = [line for line in checked.stderr.splitlines() if "exgs.service" in line]
    assert not said, said
    result = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
    )
    if "unrecognized option" in result.stderr:
        pytest.skip("this systemd-analyze can't check a file")
    assert result.returncode == 0, result.stdout[-300:] + result.stderr


def test_the_command_of_the_unit_serves_and_stops_in_time(root: Path, tmp_path: Path) -> None:
    program, *arguments = _setting("ExecStart").split()
    assert program.endswith("/exgs")
    port = _free_port()
    places = {"/srv/exgs": str(root), "8080": str(port)}
    command = [places.get(word, word) for word in arguments]
    assert set(places.values()) <= set(command)
    home = tmp_path / "home"  # a dynamic user has no writable home
    home.mkdir(mode=0o500)
    process = subprocess.Popen(
        [sys.executable, "-m", "exgs.cli.main", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "HOME": str(home)},
        text=True,
    )
    with process:
        try:
            assert process.stderr is not None
            first = ""
            while '"serving"' not in first:
                first = process.stderr.readline()
                assert first.startswith("{"), first
            with socket.create_connection(("127.0.0.1", port)) as end:
                end.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                assert end.recv(1000).split()[1] == b"200"
            process.send_signal(getattr(signal, _setting("KillSignal")))
            assert process.wait(float(_setting("TimeoutStopSec"))) == 0
        finally:
            process.kill()
    quota = ServerConfig(root=root).quota
    assert (
        _setting("SystemCallErrorNumber") == "EPERM"
    )  # otherwise numpy's mbind would kill the process
    assert int(_setting("LimitNOFILE")) > quota.connections + quota.streams


def _instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, with continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines]


def test_the_image_copies_what_is_there_and_runs_as_nobody_special() -> None:
    instructions = _instructions()
    for kind, words in instructions:
        if kind == "COPY" and not words.startswith("--from"):
            for source in words.split()[:-1]:
                assert (DEPLOY.parent / source).exists(), source
    users = [number for number, (kind, _) in enumerate(instructions) if kind == "USER"]
    starts = [number for number, (kind, _) in enumerate(instructions) if kind == "ENTRYPOINT"]
    assert users[-1] < starts[-1]
    assert instructions[users[-1]][1] not in ("root", "0")
    assert "EXGS_TOKEN=" not in " ".join(words for _, words in instructions)


def test_the_image_starts_a_server_that_its_health_check_finds_well(tmp_path: Path) -> None:
    said = dict(_instructions())
    write_box(tmp_path / "box.exgs", 50)
    port = _free_port()
    command = json.loads(said["ENTRYPOINT"])
    assert command[:3] == ["exgs", "serve", "/scenes"]
    check = said["HEALTHCHECK"].partition("CMD")[2].replace(":8080", f":{port}")
    served = [sys.executable, "-m", "exgs.cli.main", "serve", str(tmp_path), *command[3:]]
    with subprocess.Popen([*served, "--port", str(port)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline()
            healthy = [sys.executable, *json.loads(check)[1:]]
            assert subprocess.run(healthy, check=False).returncode == 0
        finally:
            server.terminate()
    failing = subprocess.run(healthy, check=False, capture_output=True)
    assert failing.returncode
