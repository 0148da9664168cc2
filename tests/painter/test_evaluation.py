"""`exgs painter eval` measures each painter at each budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exgs.cli.main import main
from exgs.client.painter.evaluation import COLUMNS
from exgs.scene.ply import write_ply
from tests.client.scenes import write_box


def test_each_painter_is_measured_at_each_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "box.exgs", tmp_path / "out.csv"
    scene = write_box(path, 2000, proxies=False)
    write_ply(tmp_path / "box.ply", scene)
    size = path.stat().st_size
    argv = ["painter", "eval", str(path), "--reference", str(tmp_path / "box.ply")]
    argv += ["--budgets", "50", str(size // 2), str(size), "--size", "64x48", "--views", "2"]
    assert main([*argv, "--walk", "3", "--json", "-o", str(out)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["budget_bytes"], row["painter"]) for row in rows] == [
        (budget, painter) for budget in (size // 2, size) for painter in ("none", "fill", "gauss")
    ]
    raw, filled = rows[0], rows[1]
    assert filled["psnr_db"] > raw["psnr_db"]
    assert 0 < raw["masked_share"] <= 1
    assert raw["flicker"] > 0
    whole = rows[3:]
    assert all(row | {"painter": ""} == whole[0] | {"painter": ""} for row in whole)
    assert out.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_budgets_that_hold_nothing_are_said_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "box.exgs"
    write_ply(tmp_path / "box.ply", write_box(path, 500))
    argv = ["painter", "eval", str(path), "--reference", str(tmp_path / "box.ply")]
    assert main([*argv, "--budgets", "50", "--size", "32x32", "--views", "1"]) == 1
    assert "larger --budgets" in capsys.readouterr().err


def test_training_without_a_recipe_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["painter", "train", str(tmp_path / "none.toml"), "-o", str(tmp_path)]) == 1
    assert "none.toml: No such file" in capsys.readouterr().err
