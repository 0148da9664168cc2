"""What a command says comes out whatever its streams are, and steers no terminal."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exgs.cli.main import main
from exgs.cli.output import Output
from exgs.wire.errors import RemoteProtocolError
from tests.client.scenes import write_box

_RUN = [sys.executable, "-m", "exgs.cli.main"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("output")
    write_box(path / "box.exgs", 1000)
    return path


@pytest.mark.parametrize(
    ("command", "closed", "status"),
    [
        ("info box.exgs", ">&-", 0),
        ("decode box.exgs out.ply -w", ">&-", 0),
        ("verify box.exgs", "2>&-", 0),
        ("info none.exgs", "2>&-", 1),
        ("info none.exgs", ">&- 2>&- <&-", 1),
    ],
)
def test_closed_streams_change_no_status(
    folder: Path, command: str, closed: str, status: int
) -> None:
    script = f"{sys.executable} -m exgs.cli.main {command} {closed}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status
    assert "none.exgs" not in done.stdout
    assert not done.stderr.startswith("Traceback")


@pytest.mark.parametrize(
    ("encoding", "name", "said"),
    [
        ("ascii", "ünï 名.exgs", r"\xfcn\xef \u540d.exgs"),
        ("utf-8:strict", os.fsdecode(b"bad\xffname.exgs"), r"bad\udcffname.exgs"),
    ],
)
def test_a_name_that_cannot_be_shown_is_escaped(
    folder: Path, encoding: str, name: str, said: str
) -> None:
    try:
        (folder / name).write_bytes((folder / "box.exgs").read_bytes())
    except OSError:
        pytest.skip("this file system has no such names")

    def run(*argv: str) -> subprocess.CompletedProcess[bytes]:
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        command = [*_RUN, *argv]
        return subprocess.run(
            command, cwd=folder, capture_output=True, env=environment, timeout=60, check=False
        )

    done = run("info", name)
    assert done.stdout.decode().startswith(f"{said}: box, ")
    assert json.loads(run("info", name, "--json").stdout)["file"] == name
    done = run("info", f"no {name}")
    assert done.stderr.decode() == f"exgs: no {said}: No such file or directory\n"


class _Rude(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(418, "\x1b[2J\x07 no\x1b]0;title\x07")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_what_a_server_says_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Rude) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/x.exgs"
            assert main(["info", url]) == 1
            assert main(["info", url, "--verbose"]) == 1
        finally:
            server.shutdown()
            thread.join()
    error = capsys.readouterr().err
    assert error.startswith(f"exgs: {url}: the server answers 418 [2J no ]0;title\n")
    assert "\x1b" not in error
    assert "\x07" not in error


def test_notes_are_single_lines_without_codes(capsys: pytest.CaptureFixture[str]) -> None:
    Output(verbose=True).note("one\x1b[2J\ntwo")
    Output(verbose=True).detail("one\x9b2J\ntwo")
    assert capsys.readouterr().err == "one [2J two\none 2J two\n"


def test_a_fault_of_the_protocol_names_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stream(*_: object, **__: object) -> None:
        raise RemoteProtocolError("frame type 255: unknown flags are set")

    monkeypatch.setattr("exgs.cli.stream.stream", stream)
    url = "ws://127.0.0.1:9/scenes/x/stream"
    assert main(["stream", url, "-o", str(tmp_path / "out")]) == 1
    said = f"exgs: {url}: frame type 255: unknown flags are set\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("module", ["exgs.cli.commands", "rich.console", "exgs.cli.info"])
def test_an_interrupt_while_modules_load_is_status_130(module: str) -> None:
    program = f"""
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from exgs.cli.main import main
sys.exit(main(["info", "none.exgs"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "exgs: interrupted\n"
