"""`exgs encode` of large scenes, and decoding them cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from exgs.cli import decode as decode_command
from exgs.cli import encode_blocks
from exgs.cli.main import main
from exgs.codec.decoding.decode import decode, read_facts
from exgs.codec.measuring.home_view import find_up
from exgs.scene.cameras import write_cameras
from exgs.scene.formats.ply import read_ply, write_ply
from tests.codec.encoding import ball, ring

COUNT = 3600
QUICK = ("--quality", "low", "--views", "2", "-q")


@pytest.fixture(scope="module")
def ply(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "ball.ply"
    write_ply(path, ball(COUNT))
    return path


@pytest.fixture(scope="module")
def exgs(ply: Path) -> Path:
    out = ply.with_suffix(".exgs")
    block = ("--block", "1900", "--no-proxies")  # with proxies: tests/codec/test_blocks.py
    assert main(["encode", str(ply), str(out), *block, *QUICK]) == 0
    return out


def test_a_scene_is_encoded_by_blocks(exgs: Path, ply: Path) -> None:
    assert read_facts(exgs).leaf_count == COUNT
    assert len(read_facts(exgs).layers) > 2
    assert sorted(path.name for path in ply.parent.iterdir()) == ["ball.exgs", "ball.ply"]
    assert main(["verify", str(exgs)]) == 0


def test_a_large_file_is_decoded_to_the_same_ply(
    exgs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = str(exgs.stat().st_size // 2)
    plies = []
    for name, limit in (("small.ply", 1 << 40), ("large.ply", 0)):
        monkeypatch.setattr(decode_command, "_LARGE_BYTES", limit)
        for more in ([], ["--max-bytes", size], ["--max-layer", "1"]):
            out = tmp_path / name
            assert main(["decode", str(exgs), str(out), "-w", "-q", *more]) == 0
            plies.append(out.read_bytes())
    assert plies[:3] == plies[3:]
    assert len(decode(exgs, max_bytes=int(size)).gaussians) > 0


def test_cropping_a_large_scene_leaves_a_small_one(
    ply: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_blocks, "LARGE_COUNT", 3000)
    box = "0,-9,-9,9,9,9"
    inside = int((read_ply(ply).gaussians.means[:, 0] >= 0).sum())
    out = tmp_path / "half.exgs"
    assert main(["encode", str(ply), str(out), "--crop", box, *QUICK]) == 0
    assert read_facts(out).leaf_count == inside


def test_a_large_scene_with_cameras_is_encoded_by_blocks(
    ply: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode_blocks, "LARGE_COUNT", 3000)
    monkeypatch.setattr(encode_blocks, "BLOCK_COUNT", 1900)
    cameras, out = tmp_path / "cameras.json", tmp_path / "seen.exgs"
    write_cameras(cameras, ring(9).cameras)
    options = ["--cameras", str(cameras), "--no-proxies", *QUICK]
    assert main(["encode", str(ply), str(out), *options]) == 0
    facts = read_facts(out)
    assert facts.leaf_count == COUNT
    assert min(layer.tile_level for layer in facts.layers) >= 1
    assert facts.up == pytest.approx(find_up(ball(10), ring(9).fit), abs=1e-6)


def test_options_of_large_scenes_need_blocks(
    ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", str(ply), str(tmp_path / "x.exgs"), "--resume"]) == 2
    timed = ["--seconds", "9"]
    assert main(["encode", str(ply), str(tmp_path / "x.exgs"), "--block", "1900", *timed]) == 2
    assert main(["encode", str(ply), str(tmp_path / "x.exgs"), "--quality", "low", *timed]) == 2
    assert "give --block" in capsys.readouterr().err


def test_a_scene_in_blocks_cannot_be_reduced(
    ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    final = ["--final", "0.3", "--block", "1900"]
    assert main(["encode", str(ply), str(tmp_path / "x.exgs"), *final]) == 2
    assert "leave it out, or give --block 0" in capsys.readouterr().err
    assert not (tmp_path / "x.exgs").exists()
