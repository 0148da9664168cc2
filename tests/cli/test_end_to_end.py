"""The commands one after the other, on a small scene: encode, look, cut, serve, stream."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exgs.cli.main import main
from exgs.painter.choice import left_alone
from exgs.scene.camera import look_at, pinhole
from exgs.scene.cameras import write_cameras
from exgs.scene.formats.ply import read_ply, write_ply
from tests.client.scenes import box_scene

COUNT = 5000
SIZE = (160, 96)
VIEWS = [
    look_at((x, y, -3.2), (0.4 * x, 0, 0), (0, -1, 0), pinhole(*SIZE, 60), *SIZE)
    for x in (-0.9, -0.3, 0.3, 0.9)
    for y in (-0.4, 0.4)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """box.ply, cameras.json and the box.exgs made of them."""
    path = tmp_path_factory.mktemp("end_to_end")
    write_ply(path / "box.ply", box_scene(COUNT))
    write_cameras(path / "cameras.json", VIEWS)
    options = ["--quality", "low", "--credit", "made for a test"]
    names = [str(path / name) for name in ("box.ply", "box.exgs", "cameras.json")]
    assert main(["encode", *names[:2], "--cameras", names[2], "-q", *options]) == 0
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """host:port of `exgs serve` on the folder."""
    command = [sys.executable, "-m", "exgs.cli.main", "serve", str(folder), "--port", "0", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://(\S+)/scenes", line)
        assert found is not None, line
        yield found[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) in (0, 130)


_PROGRESS = re.compile(r".+: \d+%(, about .+ left)?")  # on a busy machine


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, object]:
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    captured = capsys.readouterr()
    notes = [line for line in captured.err.splitlines() if not _PROGRESS.fullmatch(line)]
    assert notes in ([], [left_alone("fill", has_proxies=True)])
    value = json.loads(captured.out)
    assert isinstance(value, dict)
    return value


def _error(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line of a command that fails."""
    capsys.readouterr()
    assert main(list(argv)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("exgs: ")
    assert captured.err.count("\n") == 1
    return captured.err[6:-1]


def test_a_file_tells_what_went_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = _json(capsys, "info", str(folder / "box.exgs"))
    assert facts["name"] == "box"
    assert facts["credit"] == "made for a test"
    assert facts["bytes"] == (folder / "box.exgs").stat().st_size
    assert facts["quality"]
    assert _json(capsys, "verify", str(folder / "box.exgs"))["ok"] is True


def test_an_old_file_stays_unless_it_may_be_replaced(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "old.exgs"
    out.write_bytes(b"old")
    scene = str(folder / "box.ply")
    assert (
        _error(capsys, "encode", scene, str(out)) == f"{out}: exists already; overwrite it with -w"
    )
    (tmp_path / "bad.ply").write_bytes(b"ply\nformat ascii 1.0\nend_header\n")
    message = _error(capsys, "encode", str(tmp_path / "bad.ply"), str(out), "-w")
    assert message.startswith(f"{tmp_path / 'bad.ply'}: ")
    assert "no folder" in _error(capsys, "encode", scene, str(tmp_path / "none" / "out.exgs"))
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.ply", "old.exgs"]


def _layers(report: dict[str, object]) -> list[dict[str, int]]:
    layers = report["layers"]
    assert isinstance(layers, list)
    return layers


def test_a_file_without_proxies_holds_only_the_scenes_own(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "pruned.exgs")
    options = ["--quality", "low", "--views", "8", "--no-proxies"]
    made = _json(capsys, "encode", str(folder / "box.ply"), out, *options)
    assert [layer["proxies"] for layer in _layers(made)] == [0] * len(_layers(made))
    assert _layers(_json(capsys, "info", str(folder / "box.exgs")))[0]["proxies"] > 0


def test_a_file_may_end_early(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "early.exgs"
    cameras = ["--cameras", str(folder / "cameras.json")]
    options = ["--quality", "low", "--final", "2"]
    made = _json(capsys, "encode", str(folder / "box.ply"), str(out), *options, *cameras)
    loss_db, reduced, kept = (made[name] for name in ("loss_db", "reduced", "gaussians"))
    assert isinstance(loss_db, float) and isinstance(reduced, int) and isinstance(kept, int)
    assert 0 < loss_db <= 2
    assert reduced > 0
    assert reduced + kept == COUNT
    assert out.stat().st_size < 0.9 * (folder / "box.exgs").stat().st_size


@pytest.mark.parametrize("delay_s", [2.5, 4, 6])
def test_an_interrupted_encode_leaves_the_old_file_and_no_other(
    folder: Path, tmp_path: Path, delay_s: float
) -> None:
    out = tmp_path / "old.exgs"
    out.write_bytes(b"old")
    command = [sys.executable, "-m", "exgs.cli.main", "encode", "--overwrite"]
    # All kernels are compiled anew, for an interrupt in the middle of that is the one to lose.
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    with subprocess.Popen(
        [*command, str(folder / "box.ply"), str(out), "--views", "400"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | cache,
    ) as process:
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == "exgs: interrupted\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"old.exgs", "kernels"}
    assert out.read_bytes() == b"old"


def test_decoding_gives_the_scene_or_the_part_that_is_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(folder / "box.exgs")
    whole = _json(capsys, "decode", source, str(tmp_path / "whole.ply"))
    assert whole["proxies"] == 0
    assert whole["gaussians"] == len(read_ply(tmp_path / "whole.ply").gaussians)
    part = _json(capsys, "decode", source, str(tmp_path / "part.ply"), "--max-bytes", "20kB")
    assert isinstance(part["proxies"], int)
    assert part["proxies"] > 0
    base = _json(capsys, "decode", source, str(tmp_path / "base.splat"), "--max-layer", "0")
    assert isinstance(base["gaussians"], int)
    assert base["gaussians"] < COUNT / 2


def test_pictures_of_a_part_are_poorer_than_those_of_the_whole(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def picture(name: str, source: str, *options: str) -> np.ndarray:
        out = tmp_path / f"{name}.png"
        camera = ["--camera", f"{folder}/cameras.json:0", "--size", "160x96"]
        report = _json(capsys, "render", str(folder / source), "-o", str(out), *camera, *options)
        assert (report["width"], report["height"]) == SIZE
        return np.asarray(Image.open(out), np.float64)

    wanted = picture("ply", "box.ply")
    whole = picture("whole", "box.exgs", "--painter", "fill")
    part = picture("part", "box.exgs", "--max-bytes", "12kB")
    assert np.square(whole - wanted).mean() < 0.25 * np.square(part - wanted).mean()


def test_damage_is_found_and_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray((folder / "box.exgs").read_bytes())
    data[-100] ^= 1
    bad = tmp_path / "bad.exgs"
    bad.write_bytes(data)
    assert re.match(rf"{bad}: chunk \d+ .* hash", _error(capsys, "verify", str(bad)))
    assert "hash" in _error(capsys, "decode", str(bad), str(tmp_path / "out.ply"))
    bad.write_bytes(data[:-200])
    assert "bytes are here" in _error(capsys, "verify", str(bad))
    assert main(["decode", str(bad), str(tmp_path / "cut.ply"), "-q"]) == 0  # any prefix is a scene
    bad.write_bytes(data[:30])
    for command in (["verify"], ["info"], ["decode", "-w"], ["render", "-w"]):
        out = {"decode": [str(tmp_path / "o.ply")], "render": ["-o", str(tmp_path / "o.png")]}
        arguments = [command[0], str(bad), *out.get(command[0], []), *command[1:]]
        assert _error(capsys, *arguments).startswith(f"{bad}: ")
    assert not (tmp_path / "o.ply").exists()


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "quality.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("profile", ["static", "streaming"])
def test_a_stream_over_a_slow_link_sharpens(
    server: str, folder: Path, tmp_path: Path, profile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = {
        "static": f"http://{server}/scenes/box.exgs",
        "streaming": f"ws://{server}/scenes/box/stream",
    }[profile]
    options = ["--link", "500kbit,20ms", "--size", "160x96", "--reference", str(folder / "box.ply")]
    report = _json(capsys, "stream", url, "-o", str(tmp_path), *options)
    rows = _rows(tmp_path)
    assert len(rows) >= 4
    quality = [float(row["psnr_db"]) for row in rows]
    # A box of noise: layers that help on the whole may cost a little in one view.
    assert all(later > earlier - 1.0 for earlier, later in itertools.pairwise(quality))
    assert quality[-1] > quality[0] + 8
    assert report["file_bytes"] == (folder / "box.exgs").stat().st_size
    assert isinstance(report["first_picture_s"], float)
    assert (tmp_path / "quality.png").exists()
    assert "holds results already" in _error(capsys, "stream", url, "-o", str(tmp_path))


def test_urls_serve_as_inputs(
    server: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://{server}/scenes/box.exgs"
    facts = _json(capsys, "info", url)
    assert facts["hash"] == _json(capsys, "info", str(folder / "box.exgs"))["hash"]
    assert main(["decode", url, str(tmp_path / "a.ply"), "-q", "--max-bytes", "20kB"]) == 0
    local = str(folder / "box.exgs")
    assert main(["decode", local, str(tmp_path / "b.ply"), "-q", "--max-bytes", "20kB"]) == 0
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()
    assert "404" in _error(capsys, "verify", f"http://{server}/scenes/none.exgs")
    assert "no such scene" in _error(
        capsys, "stream", f"ws://{server}/scenes/none/stream", "-o", str(tmp_path / "s")
    )
