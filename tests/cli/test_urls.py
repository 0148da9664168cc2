"""A URL in place of a file: fetched as far as it is needed, written as people do, with a token."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from exgs.cli.main import main
from tests.client.scenes import write_box


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "box.exgs"
    write_box(path, 2000)
    return path


class _Counting(http.server.SimpleHTTPRequestHandler):
    requests: list[str]

    def __init__(self, *args: object, requests: list[str], **options: object) -> None:
        self.requests = requests
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.requests.append(self.headers.get("Range", ""))
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """URL of a plain server that knows no ranges, and the ranges that it was asked for."""
    requests: list[str] = []
    handler = partial(_Counting, requests=requests, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


def test_info_of_a_url_costs_one_request(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(box.parent) as (url, requests):
        assert main(["info", f"{url}/box.exgs", "--json"]) == 0
    assert requests == ["bytes=0-16383"]
    assert json.loads(capsys.readouterr().out)["gaussians"] == 2000


def test_a_url_is_asked_for_with_the_token(
    box: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def note(handler: http.server.SimpleHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("Authorization"))
        http.server.SimpleHTTPRequestHandler.do_GET(handler)

    monkeypatch.setattr(_Counting, "do_GET", note)
    with served(box.parent) as (url, _):
        assert main(["info", f"{url}/box.exgs"]) == 0
        monkeypatch.setenv("EXGS_TOKEN", "secret")
        assert main(["info", f"{url}/box.exgs"]) == 0
    assert asked == [None, "Bearer secret"]
    capsys.readouterr()


def test_a_url_is_fetched_as_far_as_it_is_needed_and_whole_or_not_at_all(
    box: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = box.read_bytes()

    def breaks_off(handler: http.server.SimpleHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:41_000])
        handler.close_connection = True

    out = str(tmp_path / "box.ply")
    with served(box.parent) as (url, _):
        assert main(["verify", f"{url}/box.exgs"]) == 0
        assert main(["decode", f"{url}/box.exgs", out, "--max-bytes", "40000"]) == 0
        monkeypatch.setattr(_Counting, "do_GET", breaks_off)
        assert main(["decode", f"{url}/box.exgs", out, "-w", "--max-bytes", "40000"]) == 0
        capsys.readouterr()
        for argv in (["verify"], ["decode", "-w", out]):
            assert main([argv[0], f"{url}/box.exgs", *argv[1:]]) == 1
            error = capsys.readouterr().err
            assert error == f"exgs: {url}/box.exgs: the connection broke; try again\n"


def test_urls_may_be_written_as_people_do(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "ünï 名 100%25 [a].exgs"
    (tmp_path / "ünï 名 100% [a].exgs").write_bytes(box.read_bytes())
    monkeypatch.setenv("EXGS_TOKEN", "secret")
    asked = []

    def note(handler: http.server.SimpleHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("Authorization"))
        http.server.SimpleHTTPRequestHandler.do_GET(handler)

    monkeypatch.setattr(_Counting, "do_GET", note)
    with served(tmp_path) as (url, _):
        port = url.rpartition(":")[2]
        assert main(["info", f"HTTP://localhost:{port}/{name}?q=a b#top"]) == 0
        assert main(["verify", f"http://us%65r:sec:ret@127.0.0.1:{port}/{name}"]) == 0
    assert asked == ["Bearer secret", f"Basic {base64.b64encode(b'user:sec:ret').decode()}"]
    assert capsys.readouterr().err == ""


def test_a_token_that_is_missing_is_asked_for(
    box: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_Counting, "do_GET", lambda handler: handler.send_error(401))
    with served(box.parent) as (url, _):
        assert main(["info", f"{url}/box.exgs"]) == 1
    error = capsys.readouterr().err
    assert error.endswith(
        ": the server answers 401 Unauthorized: it wants a token, or another one:"
        " give it with EXGS_TOKEN\n"
    )


def test_a_missing_page_of_a_server_is_named(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(box.parent) as (url, _):
        assert main(["info", f"{url}/none.exgs"]) == 1
    assert capsys.readouterr().err.endswith("/none.exgs: the server answers 404 File not found\n")
