"""`exgs view` and `exgs export` without a browser; the tests of client/web have one."""

from __future__ import annotations

import base64
import functools
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from exgs.cli.main import main
from exgs.server.web_page import SinglePage, WebPage
from tests.codec.forge import JPEG, assemble
from tests.codec.forged_files import small_file

_TEMPLATE = """<!doctype html><html><head><!--policy--><title>exgs</title><style>p{}</style>
<script type="application/json" id="exgs-data"></script><script>let boot;</script>
<script type="module" async>let main;</script></head><body><!--poster--><!--scene--></body></html>
"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    parts = small_file()
    parts.poster = JPEG
    path = tmp_path / "my scene.exgs"
    path.write_bytes(assemble(parts))
    return path


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built page, as far as these commands look."""
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "exgs-viewer.js").touch()
    for name in ("index.html", "single.html"):
        (folder / name).write_text(_TEMPLATE)
    monkeypatch.setattr("exgs.server.web_page.load_page", lambda: WebPage(folder))
    monkeypatch.setattr("exgs.server.web_page.load_single_page", lambda: SinglePage(folder))
    return folder


def blocks(page: str) -> bytes:
    found = re.findall(r'<script type="application/x-exgs">(.*?)</script>', page)
    return b"".join(base64.b64decode(block) for block in found)


def test_an_export_holds_the_scene_and_its_poster(scene: Path, page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    assert main(["export", str(scene), "-o", str(out), "-q"]) == 0
    text = out.read_text("utf-8")
    assert blocks(text) == scene.read_bytes()
    assert f'"embedded":{scene.stat().st_size}' in text
    assert base64.b64encode(JPEG).decode() in text
    assert "connect-src 'none'" in text


def test_an_export_with_a_url_holds_the_page_alone(scene: Path, page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    url = "https://cdn.example/my%20scene.exgs"
    assert main(["export", str(scene), "-o", str(out), "--url", url, "-q"]) == 0
    text = out.read_text("utf-8")
    assert blocks(text) == b""
    assert f'"content":"{url}"' in text
    assert "connect-src 'self' https://cdn.example;" in text


def test_an_export_replaces_nothing_unasked(
    scene: Path, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.html"
    out.write_text("mine")
    assert main(["export", str(scene), "-o", str(out)]) == 1
    assert out.read_text() == "mine"
    assert "overwrite it with -w" in capsys.readouterr().err
    assert main(["export", str(scene), "-o", str(out), "-w", "-q"]) == 0
    assert out.read_text() != "mine"


def test_a_cut_file_is_not_exported(
    scene: Path, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.write_bytes(scene.read_bytes()[:-9])
    out = tmp_path / "out.html"
    assert main(["export", str(scene), "-o", str(out)]) == 1
    assert "ends at byte" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("command", [["view"], ["export", "-o", "out.html"]])
def test_without_a_built_page_the_remedy_is_named(
    scene: Path,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("exgs.server.web_page.load_page", lambda: None)
    monkeypatch.setattr("exgs.server.web_page.load_single_page", lambda: None)
    assert main([*command, str(scene)]) == 1
    assert capsys.readouterr().err == (
        "exgs: the page is not built; run `make page` in the exgs folder\n"
    )


@pytest.mark.parametrize("name", ["none.exgs", "text.exgs"])
def test_what_is_no_scene_is_not_shown(
    name: str, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.exgs").write_text("not a scene")
    assert main(["view", str(tmp_path / name), "--no-browser"]) == 1
    assert name in capsys.readouterr().err


_VIEW = """
import sys
from pathlib import Path
from exgs.server import app, web_page
page = web_page.WebPage(Path(sys.argv[1]))
app.load_page = web_page.load_page = lambda: page
from exgs.cli.main import main
sys.exit(main(["view", sys.argv[2], "--no-browser"]))
"""


def test_view_serves_the_file_until_it_is_interrupted(scene: Path, page: Path) -> None:
    (scene.parent / "other.exgs").write_bytes(scene.read_bytes())
    command = [sys.executable, "-c", _VIEW, str(page), str(scene)]
    environment = {key: value for key, value in os.environ.items() if key != "EXGS_TOKEN"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"is at (http://127\.0\.0\.1:\d+)(/scenes/my%20scene/)$", line.strip())
        assert found is not None, line
        with urllib.request.urlopen(f"{found[1]}{found[2]}") as response:
            assert b"my scene - exgs" in response.read()
        with urllib.request.urlopen(f"{found[1]}/scenes") as response:
            assert b"other" not in response.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_view_reads_a_url_itself_and_forwards_it(scene: Path, page: Path) -> None:
    """The page then needs no permission from the server of the URL."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=scene.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{there.server_port}/my scene.exgs"
        command = [sys.executable, "-c", _VIEW, str(page), url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            found = re.search(
                r"is at (http://[\d.:]+)/\?content=(\S+)$", process.stdout.readline().strip()
            )
            assert found is not None
            with urllib.request.urlopen(f"{found[1]}{found[2]}") as response:
                assert response.read() == scene.read_bytes()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        there.shutdown()
