"""The demo says what it does, and leaves what the documents tell a reader to type with."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import exgs.cli.demo
from exgs.cli.main import main
from exgs.codec.encoding.encode import EncodeOptions, EncodeReport, Progress, encode
from exgs.sample import sample_scene
from exgs.scene.cameras import read_cameras
from exgs.scene.gaussians import Gaussians


def _encode_quickly(
    scene: Gaussians, path: Path, options: EncodeOptions, progress: Progress
) -> EncodeReport:
    return encode(scene, path, replace(options, quality="low"), progress)


def test_the_demo_leaves_a_scene_its_cameras_and_what_was_on_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exgs.cli.demo, "sample_scene", partial(sample_scene, 3000))
    monkeypatch.setattr(exgs.cli.demo, "encode", _encode_quickly)
    folder = tmp_path / "demo"
    assert main(["demo", "-o", str(folder)]) == 0
    said = capsys.readouterr()
    names = {path.name for path in folder.iterdir()}
    assert names == {"sample.ply", "sample.exgs", "cameras.json", "contact.png", "frames"}
    assert len(read_cameras(folder / "cameras.json").cameras) == 40
    assert "last byte after" in said.out
    count = 4 + len(list((folder / "frames").iterdir()))
    assert f"wrote {count} files in {folder}" in said.err.splitlines()[-1]
