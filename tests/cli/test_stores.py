"""URLs of stores in place of files: `exgs encode` from and to S3, other commands from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exgs.cli import encode_blocks
from exgs.cli.main import main
from exgs.codec.decoding.decode import read_facts
from exgs.scene.cameras import write_cameras
from exgs.scene.files import atomic_write
from exgs.scene.formats import write_scene
from exgs.scene.stores import StorePath, connect
from tests.client.scenes import write_box
from tests.codec.encoding import ball, ring

pytest.importorskip("s3fs", reason="the extra s3 is not installed")
QUICK = ("--quality", "low", "--views", "2", "--no-proxies", "-q")
BUCKET = StorePath("s3://bucket")


@pytest.fixture(autouse=True)
def here(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a store, and works in an empty folder."""
    monkeypatch.chdir(tmp_path)


def put(path: Path) -> StorePath:
    """Upload a file to the bucket."""
    with atomic_write(BUCKET / path.name) as file:
        file.write(path.read_bytes())
    return BUCKET / path.name


def error_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The line of a command that fails."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err.rstrip()


def test_a_scene_is_encoded_by_blocks_from_a_store_to_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene("ball.ply", ball(2400))
    monkeypatch.setattr(encode_blocks, "LARGE_COUNT", 2000)
    monkeypatch.setattr(encode_blocks, "BLOCK_COUNT", 1300)
    url = put(Path("ball.ply"))
    assert main(["encode", "ball.ply", "here.exgs", *QUICK]) == 0
    before = sorted(tmp_path.iterdir())
    assert main(["encode", str(url), "s3://bucket/here.exgs", *QUICK]) == 0
    work = ("--work", "s3://bucket/work")
    assert main(["encode", "ball.ply", "s3://bucket/sub/here.exgs", *work, *QUICK]) == 0
    assert sorted(tmp_path.iterdir()) == before  # no work folder stays, here or in the store
    assert BUCKET.files() == [url, BUCKET / "here.exgs", BUCKET / "sub/here.exgs"]
    for path in BUCKET.files()[1:]:
        assert path.read_bytes() == Path("here.exgs").read_bytes()


def test_scenes_and_cameras_in_a_store_are_read_by_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_scene("ball.spz", ball(300))
    write_cameras(Path("cameras.json"), ring(9).cameras)
    scene, cameras = put(Path("ball.spz")), put(Path("cameras.json"))
    for name in ("ball.spz", str(scene)):
        options = ("--cameras", str(cameras), "-w", "--json")
        assert main(["encode", name, "s3://bucket/x.exgs", *options, *QUICK]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["file"] == "s3://bucket/x.exgs"
        assert told["input_bytes"] == Path("ball.spz").stat().st_size
    for words in (
        ["info", "s3://bucket/x.exgs"],
        ["verify", "s3://bucket/x.exgs"],
        ["decode", "s3://bucket/x.exgs", "x.ply", "--max-bytes", "8000"],
        ["render", "s3://bucket/x.exgs", "-o", "x.png", "--size", "32x24"],
        ["compare", "s3://bucket/x.exgs", str(scene), "--views", "2"],
    ):
        assert main(words) == 0, words


def test_an_object_is_overwritten_on_demand_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scene("ball.ply", ball(300))
    write_box(Path("old.exgs"), 500)
    old = put(Path("old.exgs"))
    words = ("encode", "ball.ply", old, *QUICK)
    assert error_of(capsys, *words) == f"exgs: {old}: exists already; overwrite it with -w"

    files = connect(str(old))[0]
    put_file = files.put_file

    def fails(local: str, remote: str, **_: Any) -> None:
        if remote.endswith(".exgs"):
            raise PermissionError("Access Denied")
        put_file(local, remote)

    with monkeypatch.context() as patch:
        patch.setattr(files, "put_file", fails)
        error = error_of(capsys, *words, "-w")
    assert error == f"exgs: {old}: can't be written: Access Denied"
    assert old.read_bytes() == Path("old.exgs").read_bytes()
    assert BUCKET.files() == [old]
    assert main([str(word) for word in (*words, "-w")]) == 0
    Path("new.exgs").write_bytes(old.read_bytes())
    assert read_facts(Path("new.exgs")).leaf_count == 300


def test_mistakes_with_stores_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scene("ball.ply", ball(300))
    (tmp_path / "page.ply").write_bytes(b"\n<!DOCTYPE html><title>404</title>")
    page = put(tmp_path / "page.ply")
    nowhere = "s3://nowhere/x.exgs"
    for words, message in (
        (["encode", BUCKET / "none.ply", "x.exgs"], "s3://bucket/none.ply: no such file"),
        (["encode", BUCKET / "none", "x.exgs"], "s3://bucket/none: expected a name that ends"),
        (["encode", "ball.ply", nowhere], f"{nowhere}: can't be written: The specified bucket"),
        (["encode", "ball.ply", "x.exgs", "--block", 200, "--work", "s3://nowhere/w"], "exist"),
        (["encode", page, "x.exgs"], f"{page}: not a PLY file: it is a web page"),
        (["encode", page, "x.exgs", "--block", 200], f"{page}: not a PLY file: it is a web page"),
        (["info", BUCKET / "none.exgs"], "s3://bucket/none.exgs: no such file"),
        (["verify", "nowhere://x.exgs"], "Protocol not known: nowhere"),
    ):
        assert message in error_of(capsys, *words), words
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ball.ply", "fsspec", "page.ply"]
