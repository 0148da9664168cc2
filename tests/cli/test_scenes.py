"""Scenes as commands take them: several, placed, compared, of any frame; prefixes too short."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.cli.commands import COMMANDS, run_command
from exgs.codec.decoding.decode import decode, open_scene, read_facts
from exgs.scene.cameras import write_cameras
from exgs.scene.formats import read_scene, write_scene
from exgs.scene.scene import Scene
from tests.cli.test_view import AWAY, INSIDE
from tests.client.scenes import box_scene
from tests.scene.format_files import spz_bytes

FAR = (2_600_000.0, 1_200_000.0, 450.0)


def command(*words: object) -> int:
    return run_command([str(word) for word in words])


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert command(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    write_scene(tmp_path / "box.ply", box_scene(800))
    return tmp_path / "box.ply"


def encoded(out: Path, *words: object) -> Path:
    assert command("encode", *words, out, "--quality", "low", "-w", "-q") == 0
    return out


def test_several_scenes_become_one(tmp_path: Path, scene: Path) -> None:
    moved = replace(box_scene(300), means=box_scene(300).means + np.float32(5))
    write_scene(tmp_path / "other.spz", moved)
    path = encoded(tmp_path / "both.exgs", scene, tmp_path / "other.spz")
    assert len(decode(path).gaussians) == len(read_scene(scene)) + len(
        read_scene(tmp_path / "other.spz")
    )


def test_a_scene_is_turned_scaled_moved_and_cropped(tmp_path: Path, scene: Path) -> None:
    before = box_scene(800).means.astype(float)
    turned = before[:, [1, 0, 2]] * (-1, 1, 1)  # 90 degrees about z
    wanted = 2 * turned + (10, 0, 0)
    wanted = wanted[wanted[:, 0] >= 10]
    words = ("--rotate", "0,0,90", "--scale", "2", "--translate", "10,0,0")
    path = encoded(tmp_path / "a.exgs", scene, *words, "--crop=10,-99,-99,99,99,99")
    got = decode(path).gaussians.means
    assert len(got) == len(wanted)
    assert np.abs(np.sort(got[:, 1]) - np.sort(wanted[:, 1])).max() < 0.01


def test_a_far_scene_keeps_its_place_through_a_file(tmp_path: Path) -> None:
    small = replace(box_scene(400), scales=np.full((400, 3), 0.05, np.float32))
    write_scene(tmp_path / "far.ply", Scene(small, origin=FAR))
    path = encoded(tmp_path / "far.exgs", tmp_path / "far.ply")
    assert read_facts(path).origin == read_scene(tmp_path / "far.ply").origin
    assert command("decode", path, tmp_path / "back.ply", "-q") == 0
    back = read_scene(tmp_path / "back.ply")
    places = np.sort(back.gaussians.means[:, 0].astype(float) + back.origin[0])
    assert np.abs(places - np.sort(small.means[:, 0].astype(float) + FAR[0])).max() < 0.01


def test_the_rendering_mode_goes_through_a_file(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.ply", Scene(box_scene(400), antialiased=True))
    path = encoded(tmp_path / "a.exgs", tmp_path / "a.ply")
    assert read_facts(path).antialiased
    assert command("decode", path, tmp_path / "b.sog", "-q") == 0
    assert read_scene(tmp_path / "b.sog").antialiased


@pytest.mark.parametrize("ending", [".sog", ".glb", ".compressed.ply", ".spz"])
def test_decode_writes_every_format(tmp_path: Path, scene: Path, ending: str) -> None:
    path = encoded(tmp_path / "a.exgs", scene)
    assert command("decode", path, tmp_path / f"out{ending}", "-q") == 0
    assert len(read_scene(tmp_path / f"out{ending}")) == len(decode(path).gaussians)


def test_too_few_bytes_for_a_picture_are_refused_with_what_it_takes(
    tmp_path: Path, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = encoded(tmp_path / "a.exgs", scene)
    ends = sorted(chunk.end for chunk in open_scene(path).table.values())
    first = next(end for end in ends if len(decode(path, max_bytes=end).gaussians))
    capsys.readouterr()
    for words in (
        ("render", path, "-o", tmp_path / "a.png"),
        ("decode", path, tmp_path / "out.ply"),
        ("compare", path, scene),
    ):
        assert command(*words, "--max-bytes", first - 1) == 1
        assert f"the first one takes {first:,} bytes" in capsys.readouterr().err
    assert command("render", path, "-o", tmp_path / "a.png", "--max-bytes", first, "-q") == 0


def test_home_and_up_by_hand_are_what_the_file_says(tmp_path: Path, scene: Path) -> None:
    path = encoded(tmp_path / "a.exgs", scene, "--home", "0,0,-5,0,0,1", "--up", "z")
    facts = read_facts(path)
    assert facts.home is not None
    assert facts.home.eye == (0, 0, -5)
    assert facts.home.forward == (0, 0, 6)
    assert facts.up == (0, 0, 1)
    write_cameras(tmp_path / "cameras.json", [INSIDE, AWAY])
    facts = read_facts(encoded(path, scene, "--home", tmp_path / "cameras.json:1"))
    assert facts.home is not None
    np.testing.assert_allclose(facts.home.eye, AWAY.position, atol=1e-5)


def test_one_scene_is_measured_against_another(
    tmp_path: Path, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = encoded(tmp_path / "a.exgs", scene)
    small = ("--size", "96x64", "--views", "4")
    same = printed(capsys, "compare", scene, scene, *small)
    assert same["psnr_db"] is None
    assert same["ssim"] == 1
    close = printed(capsys, "compare", path, scene, *small)
    assert close["psnr_db"] > 30
    assert len(close["views"]) == 4
    write_cameras(tmp_path / "cameras.json", [INSIDE, AWAY])
    own = printed(
        capsys, "compare", path, scene, "--cameras", tmp_path / "cameras.json", "--size", "96x64"
    )
    assert own["cameras"].endswith("cameras.json")
    assert len(own["views"]) == 2


def test_scenes_of_different_origins_are_compared_in_one_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = replace(box_scene(300), scales=np.full((300, 3), 0.05, np.float32))
    write_scene(tmp_path / "a.ply", Scene(small, origin=FAR))
    shifted = replace(small, means=small.means + np.array([0, 0, 50], np.float32))
    write_scene(tmp_path / "b.glb", Scene(shifted, origin=(FAR[0], FAR[1], FAR[2] - 50)))
    words = (tmp_path / "a.ply", tmp_path / "b.glb", "--size", "96x64", "--views", "3")
    got = printed(capsys, "compare", *words)
    assert got["psnr_db"] is None or got["psnr_db"] > 45


def test_a_frame_by_hand_turns_a_scene_upright(
    tmp_path: Path, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = box_scene(800)
    flipped = replace(box, means=box.means * np.array([1, -1, -1], np.float32))
    (tmp_path / "a.spz").write_bytes(spz_bytes(flipped, 3))
    words = ("compare", tmp_path / "a.spz", scene, "--size", "96x64", "--views", "3")
    assert command(*words, "--frame", "UP") == 2
    assert "names no axes" in capsys.readouterr().err
    path = encoded(tmp_path / "a.exgs", tmp_path / "a.spz", "--frame", "rub")
    got = decode(path).gaussians.means
    assert np.abs(np.sort(got[:, 1]) - np.sort(box.means[:, 1])).max() < 0.01


@pytest.mark.parametrize(
    "words",
    [
        ("--rotate", "1,2"),
        ("--scale", "0"),
        ("--crop", "1,1,1,0,2,2"),
        ("--home", "1,2,3"),
        ("--up", "w"),
        ("--frame", "RUX"),
    ],
)
def test_senseless_places_are_wrong_usage(
    tmp_path: Path, scene: Path, words: Sequence[str]
) -> None:
    assert command("encode", scene, tmp_path / "a.exgs", *words) == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_option(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("completion", shell) == 0
    script = capsys.readouterr().out
    for name in COMMANDS:
        assert name in script
    assert "cameras" in script
    assert "low default high" in script


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_completes_a_command_an_option_and_a_choice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("completion", "bash") == 0
    script = capsys.readouterr().out
    for words, wanted in (
        (["exgs", "enc"], "encode"),
        (["exgs", "encode", "--cam"], "--cameras"),
        (["exgs", "encode", "--quality", "h"], "high"),
    ):
        line = " ".join(f"'{word}'" for word in words)
        program = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _exgs\n"
        program += 'printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [wanted]


def test_a_scene_that_does_not_tell_which_way_is_up_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = box_scene(800)
    wall = replace(
        box,
        means=box.means * np.float32([0, 1, 1]),
        quats=np.tile(np.float32([1, 0, 0, 0]), (800, 1)),
        scales=np.tile(np.float32([0.001, 0.05, 0.05]), (800, 1)),
    )
    write_scene(tmp_path / "wall.ply", wall)
    words = ("encode", tmp_path / "wall.ply", tmp_path / "a.exgs", "--quality", "low", "-w")
    assert command(*words) == 0
    assert "--up" in capsys.readouterr().err
    assert command(*words, "--up=-y") == 0
    assert "--up" not in capsys.readouterr().err


def test_a_folder_of_a_scene_is_a_scene(tmp_path: Path, scene: Path) -> None:
    assert command("decode", encoded(tmp_path / "a.exgs", scene), tmp_path / "a.sog", "-q") == 0
    with zipfile.ZipFile(tmp_path / "a.sog") as archive:
        archive.extractall(tmp_path / "folder")
    path = encoded(tmp_path / "b.exgs", tmp_path / "folder")
    assert read_facts(path).leaf_count == len(read_scene(scene))


def test_a_file_that_is_larger_than_its_source_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scene(tmp_path / "few.ply", box_scene(3))
    assert command("encode", tmp_path / "few.ply", tmp_path / "few.exgs") == 0
    assert "times larger than" in capsys.readouterr().err
