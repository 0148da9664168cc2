"""The command line's promises: exit statuses, one-line errors, nothing half-written."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from exgs.cli.commands import COMMANDS
from exgs.cli.main import main
from exgs.codec.decoding.decode import decode
from exgs.codec.encoding.encode import EncodeOptions
from exgs.codec.errors import SceneError
from exgs.painter.choice import left_alone
from exgs.sample import sample_scene
from exgs.scene.formats.ply import write_ply
from exgs.server.config import Quota, ServerConfig
from tests.client.scenes import write_box


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "box.exgs"
    write_box(path, 2000)
    return path


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert "--quiet" in capsys.readouterr().out


@pytest.mark.parametrize("command", [*COMMANDS, "painter train", "painter eval"])
def test_help_describes_the_command_and_every_option(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert main([*command.split(), "--help"]) == 0
    text = re.sub(r"\n {12,}", "  ", capsys.readouterr().out)  # each option in one line
    usage, described, *groups = text.split("\n\n")
    assert usage.startswith("usage: ")
    assert described.endswith(".")
    lines = [line for group in groups for line in group.splitlines() if line[:3] == "  -"]
    assert lines
    assert not [line for line in lines if not re.search(r"\S {2,}\S", line[2:])]


@pytest.mark.parametrize(
    "argv",
    [
        ["painter", "train", "no.toml", "-o", "out", "--verbose"],
        ["painter", "--verbose", "train", "no.toml", "-o", "out"],
        ["painter", "eval", "no.exgs", "--reference", "no.ply", "--verbose", "--no-tty"],
        ["info", "no.exgs", "--verbose"],
    ],
)
def test_what_all_commands_take_may_stand_anywhere(
    argv: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 1
    assert "Traceback" in capsys.readouterr().err  # that is what --verbose is for


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["info"],
        ["decode", "a.exgs", "b.ply", "--max-bytes", "0"],
        ["decode", "a.exgs", "b.ply", "--max-bytes", "1", "--max-layer", "1"],
        ["render", "a.exgs"],
        ["render", "a.exgs", "-o", "a.png", "--size", "0x3"],
        ["render", "a.exgs", "-o", "a.png", "--painter", "oil"],
        ["painter", "paint"],
        ["painter", "train", "recipe.toml"],
        ["render", "a.exgs", "-o", "a.png", "--background", "green"],
        ["stream", "ws://x/scenes/y/stream", "-o", "out", "--link", "fast"],
        ["encode", "a.ply", "b.exgs", "--quality", "best"],
        ["encode", "a.ply", "b.exgs", "--seed", "-1"],
        ["encode", "a.ply", "b.exgs", "--final", "0"],
        ["encode", "a.ply", "b.exgs", "--final", "-0.3"],
        ["encode", "a.ply", "b.exgs", "--final", "nan"],
        ["encode", "a.ply", "b.exgs", "--final", "little"],
        ["encode", "a.ply", "b.exgs", "--final", "3.5"],
        ["encode", "a.ply", "b.exgs", "--final", "0.3", "--seconds", "9"],
        ["decode", "a.exgs", "b.ply", "--max-layer", "-1"],
        ["serve", ".", "--port", "70000"],
        ["serve", ".", "--token", ""],
        ["stream", "ws://x/scenes/y/stream", "-o", "out", "--token", "two words"],
        ["painter", "eval", "a.exgs", "--reference", "a.ply", "--walk", "-1"],
        ["render", "a.exgs", "-o", "a.png", "--painter-model", "folder"],
        ["render", "a.exgs", "-o", "a.png", "--side-by-side"],
        ["render", "a.ply", "-o", "a.png", "--max-bytes", "1MB"],
        ["stream", "ws://x/scenes/y/stream", "-o", "out", "--painter-model", "folder"],
        ["stream", "ws://x/y/stream", "-o", "out", "--fade", "0.1", "--painter", "gauss"],
        ["serve", ".", "--tls-key", "key.pem"],
        ["serve", ".", "--host", ""],
        ["serve", ".", "--host", "a..b"],
        ["encode", "a.ply", "b.exgs", "--views", "100000"],
        ["serve", ".", "--cors-origin", "viewer.example"],
    ],
)
def test_wrong_usage_is_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "usage:" in capsys.readouterr().err


def test_info_tells_layers_and_quality(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(box)]) == 0
    text = capsys.readouterr().out
    assert "2,000 Gaussians" in text
    assert "made for a test" in text
    assert main(["info", str(box), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == box.stat().st_size
    assert [layer["tiles"] for layer in facts["layers"]] == [1, 2, 4]
    assert sum(layer["bytes"] for layer in facts["layers"]) < facts["bytes"]
    first_bytes = facts["head_bytes"] + 20_000
    assert facts["quality"][0] == {"bytes": first_bytes, "psnr_db": 20.0, "ssim": 0.7}


def test_info_of_a_cut_file_tells_what_its_head_says(
    box: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.exgs"
    cut.write_bytes(box.read_bytes()[:5000])
    assert main(["info", str(cut)]) == 0
    text = capsys.readouterr().out
    assert "2,000 Gaussians" in text
    assert "cut: only its first 5 kB are here" in text


def test_a_cut_file_is_drawn_as_far_as_it_goes(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.exgs", tmp_path / "cut.exgs"
    write_box(whole, 6000)  # of more than one page
    cut.write_bytes(whole.read_bytes()[:60_000])
    size = ["--size", "64x48", "--painter", "fill", "-q"]
    assert main(["render", str(cut), "-o", str(tmp_path / "cut.png"), *size]) == 0
    budget = ["--max-bytes", "60000"]
    assert main(["render", str(whole), "-o", str(tmp_path / "part.png"), *budget, *size]) == 0
    assert (tmp_path / "cut.png").read_bytes() == (tmp_path / "part.png").read_bytes()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["info", "none.exgs"], "none.exgs: No such file or directory"),
        (["info", "scene.txt"], "scene.txt: expected a name that ends in .exgs"),
        (["info", "garbage.exgs"], "garbage.exgs: header at byte 0: this is not an .exgs file"),
        (["info", "http://127.0.0.1:9/x.exgs"], "http://127.0.0.1:9/x.exgs: Connection refused"),
        (["stream", "box.exgs", "-o", "out"], "box.exgs: neither a URL nor a file"),
        (["serve", "none"], "none: is not a folder"),
        (["serve", ".", "--tls-cert", "none.pem"], "none.pem: No such file or directory"),
        (["serve", ".", "--tls-cert", "garbage.json"], "garbage.json: no certificate and key"),
        (["serve", ".", "--host", "203.0.113.1"], "can't listen at 203.0.113.1:8080: "),
        (["info", "."], ".: expected a name that ends in .exgs"),
        (["info", "folder.exgs"], "folder.exgs: Is a directory"),
        (["verify", "empty.exgs"], "empty.exgs: header: "),
        (["encode", "garbage.ply", "o.exgs"], "garbage.ply: "),
        (["encode", "a.lcc2", "o.exgs"], "a.lcc2: version 2 of LCC is not supported; export"),
        (["render", "a.rad", "-o", "o.png"], "a.rad: .rad is not supported"),
        (["encode", "garbage.ply", "o.txt"], "o.txt: the name of the output must end in .exgs"),
        (["decode", "garbage.exgs", "o.obj"], "o.obj: the name of the output must end in .ply, "),
        (
            ["render", "garbage.ply", "-o", "o.jpg"],
            "o.jpg: the name of the output must end in .png",
        ),
        (["render", "garbage.ply", "-o", "o.png"], "garbage.ply: "),
        (["info", "http:///x.exgs"], "http:///x.exgs: no host given"),
        (["info", "http://a%3Ab:c@h/x.exgs"], "http://a%3Ab:c@h/x.exgs: a name that goes with"),
        (["info", "http://[/x.exgs"], "http://[/x.exgs: "),
        (["info", "http://a..b/x.exgs"], "http://a..b/x.exgs: "),
        (["stream", "http://a..b/x.exgs", "-o", "out"], "http://a..b/x.exgs: not an http"),
        (
            ["stream", "ws://127.0.0.1:9/scenes/x/stream", "-o", "out"],
            "ws://127.0.0.1:9/scenes/x/stream: can't connect: ",
        ),
        (["stream", "ws://h/scenes/x/stream", "-o", "empty.exgs"], "empty.exgs: is not a folder"),
        (
            ["stream", "http://h/x.exgs", "-o", "garbage.ply", "--reference", "none.ply"],
            "garbage.ply: is not a folder",
        ),
        (
            ["encode", "http://127.0.0.1:9/meta.json", "o.exgs"],
            "http://127.0.0.1:9/meta.json: names",
        ),
        (
            ["render", "HTTP://127.0.0.1:9/a.json", "-o", "o.png"],
            "HTTP://127.0.0.1:9/a.json: names",
        ),
        (
            ["stream", "http://h/x.exgs", "-o", "out", "--reference", "http://h/lod-meta.json"],
            "http://h/lod-meta.json: names other files",
        ),
        (
            ["stream", "http://h/x.exgs", "-o", "out", "--cameras", "garbage.json"],
            "garbage.json: not a JSON file: ",
        ),
    ],
)
def test_bad_input_is_status_1_and_one_line(
    argv: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("garbage.exgs", "garbage.ply", "garbage.json"):
        Path(name).write_bytes(b"GIF89a" * 100)
    Path("empty.exgs").touch()
    Path("folder.exgs").mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    assert main([*argv, "-q"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"exgs: {says}")
    assert captured.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= before | {"out"}


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that takes no file: /proc")
@pytest.mark.parametrize(
    ("out", "argv"),
    [
        ("/proc/o.exgs", ["encode", "none.ply", "/proc/o.exgs"]),
        ("/proc/o.ply", ["decode", "none.exgs", "/proc/o.ply"]),
        ("/proc/o.png", ["render", "none.exgs", "-o", "/proc/o.png"]),
        ("/proc", ["stream", "http://127.0.0.1:9/x.exgs", "-o", "/proc"]),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    out: str, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, "-q"]) == 1
    reason = "can't be written: No such file or directory"
    assert capsys.readouterr().err == f"exgs: {out}: {reason}\n"


def test_texts_that_no_file_can_hold_are_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = tmp_path / "scene.ply"
    write_ply(scene, sample_scene(3000))
    out = tmp_path / "out.exgs"
    assert main(["encode", str(scene), str(out), "--credit", "J. Doe\r\nAcme", "-q"]) == 1
    assert "the credit of the file has control characters" in capsys.readouterr().err
    latin = tmp_path / "caf\udce9.exgs"
    assert main(["encode", str(scene), str(latin), "-q"]) == 1
    assert "the name of the file is not UTF-8" in capsys.readouterr().err
    assert not out.exists()


def test_a_stream_that_fails_leaves_older_results_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = [tmp_path / name for name in ("frame_0000.png", "quality.csv")]
    for path in old:
        path.write_text("precious")
    for url in ("htp://typo/x", "ws://127.0.0.1:9/x.exgs"):
        assert main(["stream", url, "-o", str(tmp_path / "new"), "-q"]) == 1
        assert not (tmp_path / "new").exists()
    for url in ("htp://typo/x", "http://127.0.0.1:9/x.exgs"):
        assert main(["stream", url, "-o", str(tmp_path), "-w", "-q"]) == 1
        assert all(path.read_text() == "precious" for path in old)


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "exgs.cli.serve", raising=False)
    monkeypatch.delitem(sys.modules, "exgs.server.app", raising=False)
    assert main(["serve", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "exgs: aiohttp is not installed: pip install 'exgs[server,client]', or in a source folder"
        " pip install '.[server,client]'\n"
    )


def test_a_port_that_is_taken_is_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(tmp_path), "-q", "--port", str(port)]) == 1
    reason = "Address already in use; choose another --port"
    assert f"can't listen at 127.0.0.1:{port}: {reason}\n" in capsys.readouterr().err


def test_a_host_that_is_not_found_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert main(["serve", str(tmp_path), "-q", "--host", "nosuch.invalid"]) == 1
    said = "exgs: can't listen at nosuch.invalid:8080: Name or service not known\n"
    assert capsys.readouterr().err == said


def test_a_layer_that_is_not_there_is_refused(
    box: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.ply"
    assert main(["decode", str(box), str(out), "--max-layer", "3"]) == 1
    said = f"exgs: {box}: there is no layer 3; the file has layers 0 to 2\n"
    assert capsys.readouterr().err == said
    assert not out.exists()
    assert main(["decode", str(box), str(out), "--max-layer", "2"]) == 0
    with pytest.raises(ValueError, match="layers count from 0"):
        decode(box, max_layer=-1)


def test_a_painter_that_leaves_a_picture_alone_says_so(
    box: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "out.png"), "--size", "64x48", "-w"]
    pruned = tmp_path / "pruned.exgs"
    write_box(pruned, 1000, proxies=False)
    for path, painter, note in (
        (box, "fill", left_alone("fill", has_proxies=True)),
        (box, "sharpen", None),
        (pruned, "fill", None),
        (pruned, "sharpen", left_alone("sharpen", has_proxies=False)),
    ):
        options = ["--painter", painter, "--max-bytes", "20kB", "--side-by-side"]
        assert main(["render", str(path), *out, *options]) == 0
        said = capsys.readouterr().err
        assert said.startswith(note) if note else "change" not in said


def test_serve_takes_its_limits_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def serve(config: ServerConfig, **_: object) -> None:
        seen.append(config.quota)

    monkeypatch.setattr("exgs.cli.serve.serve", serve)
    assert main(["serve", str(tmp_path), "-q"]) == 0
    limits = "--connections-per-address 9 --requests-per-address 0 --unlimited-address 10.0.0.9"
    assert main(["serve", str(tmp_path), "-q", *limits.split()]) == 0
    assert seen[0] == Quota()
    assert seen[1].connections_per_address == 9
    assert seen[1].requests_per_s == 0
    assert seen[1].unlimited_addresses == {"127.0.0.1", "::1", "10.0.0.9"}
    assert main(["serve", str(tmp_path), "--connections-per-address", "-1"]) == 2


def test_the_views_of_an_encode_are_the_qualitys_unless_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def encode(_scene: object, _path: object, options: EncodeOptions, _progress: object) -> None:
        seen.append(options.views)
        raise SceneError("enough")

    monkeypatch.setattr("exgs.cli.encode.encode", encode)
    write_ply(tmp_path / "scene.ply", sample_scene(100))
    argv = ["encode", str(tmp_path / "scene.ply"), str(tmp_path / "out.exgs"), "--quality", "low"]
    assert main(argv) == 1
    assert main([*argv, "--views", "30"]) == 1
    assert seen == [None, 30]


def test_a_reader_that_goes_away_is_no_error(box: Path) -> None:
    script = f"{sys.executable} -m exgs.cli.main info {box} --json | head -c 10"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == '{\n  "file"'
    assert done.stderr == ""


def test_an_interrupt_is_status_130_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.exgs"
        process = subprocess.Popen(
            [sys.executable, "-m", "exgs.cli.main", "stream", url, "-o", str(out)],
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        connection.close()
    assert process.returncode == 130
    assert errors == "exgs: interrupted\n"
    assert not out.exists()
