"""The blind pair kit hides where the painted picture is, and counts answers by its key."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.painter_pairs import make_pairs, score
from exgs.painter.sharpen import SharpenPainter
from tests.client.scenes import write_box


def test_pairs_show_both_pictures_and_answers_are_counted(tmp_path: Path) -> None:
    path, out = tmp_path / "box.exgs", tmp_path / "pairs"
    write_box(path, 2000)
    budgets = [path.stat().st_size // 3, path.stat().st_size]
    assert make_pairs(out, [path], budgets, 4, SharpenPainter(), 0) == 4
    with (out / "key.csv").open(newline="") as text:
        key = list(csv.DictReader(text))
    assert {int(row["bytes"]) for row in key} == {budgets[0]}  # the whole file is not painted
    assert {row["painted"] for row in key} <= {"left", "right"}
    for row in key:
        picture = np.asarray(Image.open(out / f"pair_{int(row['pair']):03d}.png"), np.float32)
        detail = [np.abs(np.diff(picture[:, side], axis=1)).mean() for side in (_LEFT, _RIGHT)]
        assert row["painted"] == ("left", "right")[int(np.argmax(detail))]
    answers = tmp_path / "answers.txt"
    answers.write_text(f"1 {key[0]['painted']}\n2 {key[1]['painted']}\n3 equal\n")
    counted = score(out, answers).splitlines()
    assert counted[1].split() == ["all", "2", "0", "1"]
    assert counted[-1].endswith("0.2500")
    answers.write_text("1 middle\n")
    with pytest.raises(ValueError, match="left, right or equal"):
        score(out, answers)


_LEFT, _RIGHT = slice(0, 640), slice(-640, None)
