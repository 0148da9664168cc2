"""What newcomers do by mistake ends in one line that says what is wrong, and harms no file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.cli.main import main
from exgs.scene.formats import write_scene
from exgs.scene.gaussians import Gaussians
from tests.client.scenes import box_scene, write_box

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)
PAGE = b"\n<!DOCTYPE html><title>404</title>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a scene, an .exgs file, and things that are neither."""
    monkeypatch.chdir(tmp_path)
    write_box(tmp_path / "box.exgs", 500)
    write_scene("box.ply", box_scene(50))
    write_scene("none.ply", Gaussians.empty())
    faint = replace(box_scene(50), opacities=np.full(50, 0.001, np.float32))
    write_scene("faint.ply", faint)
    for ending in (".ply", ".spz", ".glb", ".sog", ".exgs"):
        Path(f"empty{ending}").write_bytes(b"")
        Path(f"photo{ending}").write_bytes(JPEG)
        Path(f"pointer{ending}").write_bytes(POINTER)
        Path(f"page{ending}").write_bytes(PAGE)
    Path("photo.png").write_bytes(PNG)
    Path("scene").write_bytes(Path("box.ply").read_bytes())
    Path("empty.splat").write_bytes(b"")
    return tmp_path


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The line of a command that fails, and leaves all files as they were."""
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    assert main(list(words)) == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert captured.out == ""
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
    return lines[0]


@pytest.mark.parametrize("ending", [".ply", ".spz", ".glb", ".sog"])
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("empty", "it is empty"),
        ("photo", "a JPEG picture"),
        ("pointer", "git lfs pull"),
        ("page", "a web page"),
    ],
)
def test_a_file_of_something_else_is_named_as_what_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], ending: str, name: str, what: str
) -> None:
    error = error_of(capsys, "render", f"{name}{ending}", "-o", "o.png")
    assert error.startswith(f"exgs: {name}{ending}: not a")
    assert what in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("info photo.exgs", "not an .exgs file: it is a JPEG picture"),
        ("verify pointer.exgs", "git lfs pull"),
        ("info empty.exgs", "ends after 0 bytes"),
        ("info box.ply", "make one of it with `exgs encode`"),
        ("encode box.exgs out.exgs", "make a scene file of it with `exgs decode`"),
        ("encode scene out.exgs", "it is a .ply"),
        ("render photo.png -o o.png", "it is a PNG picture"),
        ("encode box.ply box.ply", "output must end in .exgs"),
        ("encode box.ply out", "output must end in .exgs"),
        ("decode box.exgs box.exgs -w", "output must end in .ply, .splat"),
        ("render box.ply -o o.jpg", "output must end in .png"),
        ("encode box.ply nowhere/out.exgs", "there is no folder nowhere"),
        ("render none.ply -o o.png", "none.ply: has no Gaussian that can be seen"),
        ("render faint.ply -o o.png", "faint.ply: has no Gaussian that can be seen"),
        ("render . -o o.png", "a folder without"),
        ("encode nowhere://host/box.ply out.exgs", "Protocol not known: nowhere"),
        ("export box.exgs -o o.txt", "output must end in .html or .htm"),
        ("encode . out.exgs", "a folder without"),
        ("render empty.splat -o o.png", "empty.splat: 0 bytes"),
        ("serve box.exgs", "serve its folder, or look at it with `exgs view`"),
        ("stream box.ply -o out", "not an .exgs file: it is a .ply"),
        ("stream localhost:8080/scenes/a.exgs -o out", "neither a URL nor a file"),
    ],
)
def test_a_mistake_is_said_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert message in error_of(capsys, *words.split())
    assert not (folder / "out").exists()


def test_an_output_folder_that_can_not_be_made_is_named_before_any_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = error_of(capsys, "stream", "http://127.0.0.1:1/a.exgs", "-o", "box.ply/out")
    assert "is not a folder" in error


def test_cameras_of_nothing_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for value in ([], {"frames": []}, {"a": 1}):
        Path("cameras.json").write_text(json.dumps(value))
        error = error_of(capsys, "encode", "box.ply", "o.exgs", "--cameras", "cameras.json")
        assert error.startswith("exgs: cameras.json: ")


def test_names_of_any_script_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bøx 名 [1] 100%.ply").write_bytes(Path("box.ply").read_bytes())
    assert main(["render", "bøx 名 [1] 100%.ply", "-o", "ö 名.png", "--size", "32x32"]) == 0
    assert Path("ö 名.png").exists()
    assert "ö 名.png" in capsys.readouterr().err


def test_a_picture_of_nothing_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = box_scene(50)
    tiny = replace(tiny, means=tiny.means * np.float32(1e-7), scales=tiny.scales * np.float32(1e-7))
    write_scene("tiny.ply", tiny)
    for name, is_seen in (("box.ply", True), ("tiny.ply", False)):
        assert main(["render", name, "-o", "o.png", "-w", "--size", "32x32"]) == 0
        assert ("shows nothing of the scene" in capsys.readouterr().err) != is_seen
