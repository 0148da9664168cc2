"""Servers, caches and proxies as they are: ETags per node, compression, Retry-After, TLS."""

from __future__ import annotations

import datetime
import gzip
import http.server
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from exgs.cli.main import main
from exgs.client import receive_in_thread
from exgs.client.errors import ConnectionLostError, StreamError, refusal_of
from exgs.client.flow.backoff import Backoff, GiveUp, Retry
from exgs.client.link import Link
from exgs.client.route import proxy_of
from tests.client.scenes import write_box
from tests.client.test_stream import Site, served

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    write_box(folder / "box.exgs", 6000)
    return folder


def received(url: str, link: Link | None = None) -> int:
    """How many Gaussians a scene has that is received from `url`."""
    count = 0
    with receive_in_thread(url, link=link) as scene:
        for update in scene:
            count = len(update.gaussians)
    return count


def test_another_etag_from_every_node_does_not_end_a_stream(box: Path) -> None:
    def alter(_request: web.Request, answer: web.Response) -> web.Response:
        answer.headers["ETag"] = f'"node {len(site.ranges) % 2}"'
        return answer

    with served(box) as site:
        site.has_etag = False
        site.alter = alter
        assert received(f"{site.url}/box.exgs") == 6000


def test_a_server_that_refuses_every_if_match_is_asked_without(box: Path) -> None:
    def alter(request: web.Request, answer: web.Response) -> web.Response:
        if "If-Match" in request.headers:
            return web.Response(status=412)
        answer.headers["ETag"] = '"always"'
        return answer

    with served(box) as site:
        site.has_etag = False
        site.alter = alter
        assert received(f"{site.url}/box.exgs") == 6000


@pytest.mark.parametrize("name", ["gzip", "X-GZIP"])
def test_a_whole_answer_is_unpacked(box: Path, name: str) -> None:
    def alter(_request: web.Request, _answer: web.Response) -> web.Response:
        data = gzip.compress((box / "box.exgs").read_bytes())
        return web.Response(body=data, headers={"Content-Encoding": name})

    with served(box) as site:
        site.alter = alter
        assert received(f"{site.url}/box.exgs") == 6000


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (206, {"Content-Encoding": "gzip"}, "Content-Encoding: gzip"),
        (200, {"Content-Encoding": "br"}, "Content-Encoding: br"),
        (200, {"Content-Type": "text/html"}, "web page"),
        (206, {"Content-Range": "bytes 7-9/*"}, "another range"),
        (206, {}, "no Content-Range"),
        (403, {}, "403"),
        (401, {}, "token"),
    ],
)
def test_what_can_not_be_used_is_named(
    box: Path, status: int, headers: dict[str, str], message: str
) -> None:
    with served(box) as site:
        site.alter = lambda _request, _answer: web.Response(
            body=b"0123456789", status=status, headers=headers
        )
        with pytest.raises(StreamError, match=message) as caught:
            received(f"{site.url}/box.exgs")
    assert ("token" in str(caught.value)) == (status in (401, 403))


def test_the_unit_of_a_range_may_be_written_in_any_case(box: Path) -> None:
    def alter(_request: web.Request, answer: web.Response) -> web.Response:
        answer.headers["Content-Range"] = answer.headers["Content-Range"].title()
        return answer

    with served(box) as site:
        site.alter = alter
        assert received(f"{site.url}/box.exgs") == 6000


def test_a_server_that_asks_to_come_back_is_asked_again_before_its_first_byte() -> None:
    backoff = Backoff()
    for _ in range(5):
        assert isinstance(backoff.failed(0.0, 0, retry_after_s=9.0), Retry)
    assert isinstance(backoff.failed(0.0, 0, retry_after_s=9.0), GiveUp)


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [
        ("7", 7),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0),
        ("soon", 0),
        ("", 0),
        ("-3", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date_by_the_clock_of_the_server(
    retry_after: str, wait_s: float
) -> None:
    headers = {"Retry-After": retry_after, "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    error = refusal_of(503, headers, "")
    assert isinstance(error, ConnectionLostError)
    assert error.retry_after_s == wait_s


def test_without_the_clock_of_the_server_a_date_is_read_by_ours() -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    error = refusal_of(503, {"Retry-After": format_datetime(then, usegmt=True)}, "")
    assert isinstance(error, ConnectionLostError)
    assert 20 < error.retry_after_s <= 30


class _Proxy(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        request = urllib.request.Request(
            self.path, headers={k: v for k, v in self.headers.items() if k.lower() != "host"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request) as response:
            data = response.read()
            self.send_response(response.status)
            for name in ("Content-Range", "Content-Length", "ETag"):
                if name in response.headers:
                    self.send_header(name, response.headers[name])
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """The URL of an HTTP proxy, and the URLs that it was asked for."""
    handler = type("Proxy", (_Proxy,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", handler.asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("link", [None, Link(50e6)])
def test_the_proxy_of_the_environment_is_used_except_for_the_hosts_of_no_proxy(
    box: Path, monkeypatch: pytest.MonkeyPatch, link: Link | None
) -> None:
    with served(box) as site, proxy() as (url, asked):
        monkeypatch.setenv("http_proxy", url)
        assert received(f"{site.url}/box.exgs", link) == 6000
        assert asked
        assert set(asked) == {f"{site.url}/box.exgs"}
        asked.clear()
        monkeypatch.setenv("no_proxy", "example.org,127.0.0.1")
        assert received(f"{site.url}/box.exgs", link) == 6000
        assert not asked


def test_secure_and_plain_urls_have_proxies_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "plain.example:3128")
    monkeypatch.setenv("https_proxy", "http://user:pass@secure.example:3129")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_of(URL("http://a.example/x")) == URL("http://plain.example:3128")
    assert proxy_of(URL("ws://a.example/x")) == URL("http://plain.example:3128")
    assert proxy_of(URL("wss://a.example/x")) == URL("http://user:pass@secure.example:3129")
    assert proxy_of(URL("https://b.inside.example/x")) is None
    monkeypatch.setenv("http_proxy", "socks5://plain.example:1080")
    with pytest.raises(StreamError, match="http_proxy is 'socks5"):
        proxy_of(URL("http://a.example/x"))


def test_a_private_certificate_is_trusted_where_it_is_given(
    box: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key)]
    try:
        subprocess.run([*command, "-out", str(certificate)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    with _served_by_tls(box, key, certificate) as url:
        for words in (["info", f"{url}/box.exgs"], ["stream", f"{url}/box.exgs", "-o", "out"]):
            words = [str(tmp_path / word) if word == "out" else word for word in words]
            assert main(words) == 1
            assert "--ca FILE" in capsys.readouterr().err
            assert main([*words, "--ca", str(certificate)]) == 0
            capsys.readouterr()
        assert main(["info", f"{url}/box.exgs", "--ca", str(key)]) == 1
        assert "no certificate" in capsys.readouterr().err
        assert main(["info", f"{url}/box.exgs", "--ca", str(tmp_path / "none.pem")]) == 1
        assert "none.pem" in capsys.readouterr().err


@contextmanager
def _served_by_tls(folder: Path, key: Path, certificate: Path) -> Iterator[str]:
    import ssl
    from functools import partial

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_stream_that_fails_leaves_no_folder(box: Path, tmp_path: Path) -> None:
    with served(box) as site:
        site.alter = lambda _request, _answer: web.Response(status=404)
        assert main(["stream", f"{site.url}/box.exgs", "-o", str(tmp_path / "a" / "out")]) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["get?file=box.exgs&key=1", "no-ending"])
def test_a_url_may_name_its_file_in_a_query_or_not_at_all(
    box: Path, tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    for name in ("get", "no-ending"):
        (folder / name).write_bytes((box / "box.exgs").read_bytes())
    with served(folder) as site:
        assert main(["info", f"{site.url}/{path}"]) == 0
        assert main(["verify", f"{site.url}/{path}"]) == 0
        assert main(["decode", f"{site.url}/{path}", str(tmp_path / "a.ply")]) == 0
        assert received(f"{site.url}/{path}") == 6000
    capsys.readouterr()


def test_a_page_behind_a_url_without_ending_is_no_scene(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "login").write_text("<!doctype html>")
    with served(tmp_path) as site:
        assert main(["info", f"{site.url}/login"]) == 1
    assert "first bytes" in capsys.readouterr().err


def _packed(site: Site, data: bytes) -> Callable[[web.Request, web.Response], web.Response]:
    def alter(_request: web.Request, _answer: web.Response) -> web.Response:
        return web.Response(body=gzip.compress(data), headers={"Content-Encoding": "gzip"})

    return alter


def test_commands_unpack_a_whole_answer_and_come_back_when_asked(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("exgs.cli.urls.time.sleep", waits.append)
    with served(box) as site:
        site.alter = _packed(site, (box / "box.exgs").read_bytes())
        assert main(["verify", f"{site.url}/box.exgs"]) == 0
        assert main(["info", f"{site.url}/box.exgs"]) == 0
        site.alter = lambda _, answer: (
            web.Response(status=429, headers={"Retry-After": "2"}) if len(waits) < 3 else answer
        )
        assert main(["info", f"{site.url}/box.exgs"]) == 0
    assert waits == [2.0, 2.0, 2.0]
    capsys.readouterr()


def test_a_redirect_in_a_circle_is_named(
    box: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with served(box) as site:
        url = f"{site.url}/box.exgs"
        site.alter = lambda _request, _answer: web.Response(status=302, headers={"Location": url})
        for words in (["info", url], ["stream", url, "-o", str(tmp_path / "out")]):
            assert main(words) == 1
            assert capsys.readouterr().err == f"exgs: {url}: the server redirects in a circle\n"
