"""`exgs painter eval` measures each painter at each budget."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from exgs.cli.main import main
from exgs.codec.decoding.decode import decode, open_scene
from exgs.painter.confidence import Confidence, measure_confidence
from exgs.painter.evaluation import COLUMNS, evaluate
from exgs.painter.inputs import gate
from exgs.painter.interface import Painter
from exgs.scene.backends import default_rasterizer
from exgs.scene.formats.ply import write_ply
from exgs.scene.gaussians import FloatArray
from exgs.scene.metrics import psnr, ssim
from exgs.scene.rasterizer import Render
from exgs.scene.views.made_up import synthesise_views
from tests.client.scenes import write_box


def test_each_painter_is_measured_at_each_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "box.exgs", tmp_path / "out.csv"
    scene = write_box(path, 2000, proxies=False)
    write_ply(tmp_path / "box.ply", scene)
    size = path.stat().st_size
    argv = ["painter", "eval", str(path), "--reference", str(tmp_path / "box.ply")]
    argv += ["--budgets", "50", str(size // 3), str(size), "--size", "64x48", "--views", "2"]
    assert main([*argv, "--walk", "3", "--json", "-o", str(out)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["budget_bytes"], row["painter"]) for row in rows] == [
        (budget, painter) for budget in (size // 3, size) for painter in ("none", "fill", "gauss")
    ]
    raw, filled = rows[0], rows[1]
    assert filled["psnr_db"] > raw["psnr_db"]
    assert 0 < raw["masked_share"] <= 1
    assert raw["flicker"] > 0
    whole = rows[3:]
    assert all(row | {"painter": ""} == whole[0] | {"painter": ""} for row in whole)
    assert out.read_text().splitlines()[0] == ",".join(COLUMNS)


class _Grey:
    slow = False
    spreads = False

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        return np.full_like(render.rgb, 0.5)


def test_figures_are_computed_from_the_pictures_of_the_painter(tmp_path: Path) -> None:
    path = tmp_path / "box.exgs"
    scene = write_box(path, 2000, proxies=False)
    rasterizer, budget = default_rasterizer(), path.stat().st_size // 4
    views = synthesise_views(scene, 3, width=64, height=48, seed=5)
    painters: dict[str, Painter | None] = {"none": None, "grey": _Grey()}
    raw, grey = evaluate(path, scene, rasterizer, views, [budget], painters)
    whole = [np.clip(rasterizer.render(scene, view).rgb, 0, 1) for view in views]
    drawn = decode(path, max_bytes=budget)
    shown = [np.clip(rasterizer.render(drawn.gaussians, view).rgb, 0, 1) for view in views]
    masks = [
        gate(measure_confidence(rasterizer, drawn, open_scene(path).facts, view)) > 0.5
        for view in views
    ]
    for row, pictures in ((raw, shown), (grey, [np.full_like(w, 0.5) for w in whole])):
        pairs = list(zip(pictures, whole, masks, strict=True))
        assert row.psnr_db == pytest.approx(np.mean([psnr(p, w) for p, w, _ in pairs]))
        assert row.ssim == pytest.approx(np.mean([ssim(p, w) for p, w, _ in pairs]))
        inside = np.mean([psnr(p, w, m) for p, w, m in pairs if m.any()])
        assert row.masked_psnr_db == pytest.approx(inside)
        assert row.masked_share == pytest.approx(np.mean([m.mean() for _, _, m in pairs]))


def test_budgets_that_are_too_small_give_a_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "box.exgs"
    write_ply(tmp_path / "box.ply", write_box(path, 500))
    argv = ["painter", "eval", str(path), "--reference", str(tmp_path / "box.ply")]
    assert main([*argv, "--budgets", "50", "--size", "32x32", "--views", "1"]) == 1
    assert "larger --budgets" in capsys.readouterr().err


def test_a_missing_recipe_gives_a_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["painter", "train", str(tmp_path / "none.toml"), "-o", str(tmp_path)]) == 1
    assert "none.toml: No such file" in capsys.readouterr().err
