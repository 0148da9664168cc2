"""The blind pair kit hides where the painted picture is, and counts answers by its key."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.painter_pairs import make_pairs, score, write_sheet
from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render
from tests.client.scenes import write_box


def test_pairs_show_both_pictures_and_answers_are_counted(tmp_path: Path) -> None:
    path, out = tmp_path / "box.exgs", tmp_path / "pairs"
    write_box(path, 2000)
    budgets = [path.stat().st_size // 3, path.stat().st_size]
    assert make_pairs(out, [path], budgets, 4, _Brightener(), 0) == 4
    with (out / "key.csv").open(newline="") as text:
        key = list(csv.DictReader(text))
    assert {int(row["bytes"]) for row in key} == {budgets[0]}  # the whole file is not painted
    assert {row["painted"] for row in key} <= {"left", "right"}
    for row in key:
        picture = np.asarray(Image.open(out / f"pair_{int(row['pair']):03d}.png"), np.float32)
        bright = [picture[:, side].mean() for side in (_LEFT, _RIGHT)]
        assert row["painted"] == ("left", "right")[int(np.argmax(bright))]
    answers = tmp_path / "answers.txt"
    answers.write_text(f"1 {key[0]['painted']}\n2 {key[1]['painted']}\n3 equal\n")
    counted = score(out, answers).splitlines()
    assert counted[1].split() == ["all", "2", "0", "1"]
    assert counted[-1].endswith("0.2500")
    answers.write_text("1 middle\n")
    with pytest.raises(ValueError, match="left, right or equal"):
        score(out, answers)


def test_a_sheet_has_a_row_for_each_pair(tmp_path: Path) -> None:
    path, out = tmp_path / "box.exgs", tmp_path / "sheet.webp"
    write_box(path, 2000)
    size = path.stat().st_size
    assert write_sheet(out, [path], [size // 3, size // 2, size], 1, _Brightener()) == 2
    with Image.open(out) as sheet:
        width, height = sheet.size
    assert width >= 3 * 640
    assert height >= 2 * 360


_LEFT, _RIGHT = slice(0, 640), slice(-640, None)


class _Brightener:
    slow = False
    spreads = False

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        return render.rgb + np.float32(0.2) * (confidence.proxies > 0.01)[..., None]
