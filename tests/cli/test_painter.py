"""`exgs painter eval` says how it goes, and measures no more than there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exgs.cli.main import main
from exgs.scene.formats.ply import write_ply
from tests.client.scenes import write_box


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    path = tmp_path / "box.exgs"
    write_ply(tmp_path / "box.ply", write_box(path, 500, proxies=False))
    options = ["--size", "32x32", "--views", "1"]
    return ["painter", "eval", str(path), "--reference", str(tmp_path / "box.ply"), *options]


def test_budgets_beyond_the_file_are_left_out_and_the_others_are_measured(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    size = Path(argv[2]).stat().st_size
    assert main([*argv, "--budgets", "5kB", str(size), "100kB", "1MB"]) == 0
    captured = capsys.readouterr()
    left_out = captured.err.splitlines()[0]
    assert left_out.startswith("the file has ")
    assert left_out.endswith(": larger budgets are left out")
    measured = [line.split()[0] for line in captured.out.splitlines()[1:]]
    assert measured[0] == "5" and "100" not in measured and len(set(measured)) == 2
    assert main([*argv, "--budgets", "5kB", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_without_a_reference_the_whole_file_is_compared_with(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    size = Path(argv[2]).stat().st_size
    without = [*argv[:3], *argv[5:]]
    assert main([*without, "--budgets", "5kB", str(size), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["psnr_db"] < rows[-1]["psnr_db"] == 60.0


def test_a_file_that_is_smaller_than_all_budgets_is_named(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, "--budgets", "100kB"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"exgs: {argv[2]}: has only ")
    assert error.endswith("; name smaller --budgets\n")


def test_a_recipe_of_the_network_that_spreads_leaves_ends_in_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "spread.toml"
    recipe.write_text(
        'sources = ["solids:1"]\n'
        "[spread]\nhidden = 4\nprefixes = 1\nviews = 1\nencode_views = 2\nheights = [24]\n"
        "[optimiser]\nsteps = 1\n"
    )
    out = tmp_path / "run"
    assert main(["painter", "train", str(recipe), "-o", str(out), "--data", str(tmp_path)]) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"wrote {out / 'spread.npz'} · ")
    assert (out / "curve.csv").exists()
    recipe.write_text('sources = ["lost.ply"]\n[spread]\n')
    assert main(["painter", "train", str(recipe), "-o", str(out), "--data", str(tmp_path)]) == 1
    assert "there is no" in capsys.readouterr().err
