"""The curve of a run is drawn whatever its scene is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from exgs.present.quality import QualityRow, plot
from exgs.scene.pictures import read_png

ROWS = [
    QualityRow(0.1 * n, 1000 * n, n - 1, 20.0 + n, 0.9, f"frame_{n:04d}.png", 900 * n)
    for n in (1, 2)
]


@pytest.mark.parametrize(
    "name", ["from $_^{$", "$x^2$", "\\frac{", "東京 \u0e01", "two\nlines\tand a tab"]
)
def test_a_scene_may_have_any_name(tmp_path: Path, name: str) -> None:
    plot(tmp_path / "quality.png", ROWS, name)
    assert read_png(tmp_path / "quality.png").shape == (504, 1200, 3)


def test_a_dollar_in_a_name_is_drawn_as_it_is(tmp_path: Path) -> None:
    for name in ("$x$", "x"):
        plot(tmp_path / "quality.png", ROWS, name)
        (tmp_path / "quality.png").rename(tmp_path / f"{name}.png")
    assert (read_png(tmp_path / "$x$.png") != read_png(tmp_path / "x.png")).any()
