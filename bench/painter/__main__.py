"""Measures the painter on held-out scenes: `python -m bench.painter`.

    python -m bench.painter [--scenes fox donut blocks] [--sheet-only] [--model DIR]

Draws prefixes of files with and without proxies raw, filled and painted, and compares them with
pictures of the whole scene. Figures go to bench/results/painter.csv and painter.md, pictures to
docs/painter.webp. A run over some scenes replaces only their rows. Encoded files are cached in
~/.cache/exgs-bench until the encoder changes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from bench.painter.held_out import BUDGETS, KINDS, SCENES, held_out_file, load, walk_from
from bench.painter.sheet import write_sheet
from bench.painter.tables import TIMES, Row, read_rows, tables, write_rows
from exgs.painter.confidence import Confidence
from exgs.painter.evaluation import evaluate
from exgs.painter.fill import FillPainter
from exgs.painter.gaps import Gaps
from exgs.painter.gauss import GaussPainter
from exgs.painter.interface import Painter
from exgs.scene.backends import default_rasterizer
from exgs.scene.rasterizer import Render

_ROOT = Path(__file__).parents[2]
_CSV = _ROOT / "bench" / "results" / "painter.csv"
_TABLES = _CSV.with_suffix(".md")
_SHEET = _ROOT / "docs" / "painter.webp"


def measure(name: str, kind: str, painters: dict[str, Painter | None]) -> list[Row]:
    """Measure all painters at all budgets of one file."""
    held_out = load(name)
    path = held_out_file(name, kind, held_out)
    size = path.stat().st_size
    budgets = [budget for budget in BUDGETS if budget < size]
    rows = evaluate(
        path,
        held_out.gaussians,
        default_rasterizer(),
        held_out.views,
        budgets,
        painters,
        walk_from(held_out.views[0], held_out.gaussians),
    )
    return [(name, kind, row) for row in rows]


def speed_s(painter: Painter, threads: int, side: int = 512) -> float:
    """The shortest time in seconds of one square picture of proxies and gaps."""
    rng = np.random.default_rng(0)
    rgb = rng.uniform(0, 1, (side, side, 3)).astype(np.float32)
    none, half = np.zeros((side, side), np.float32), np.full((side, side), 0.5, np.float32)
    layer = np.concatenate([rgb, half[..., None]], axis=2)
    render = Render(rgb, half, half)
    confidence = Confidence(none, half, half, none, Gaps(half, half, rgb, layer, layer))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    times = []
    for _ in range(TIMES):
        start_s = time.perf_counter()
        painter.paint(render, confidence)
        times.append(time.perf_counter() - start_s)
    torch.set_num_threads(before)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sheet-only", action="store_true")
    parser.add_argument("--model", type=Path, help="default: the shipped weights")
    options = parser.parse_args()
    gauss = GaussPainter(options.model)
    painters: dict[str, Painter | None] = {
        "none": None,
        "fill": FillPainter(),
        "gauss": gauss,
    }
    if not options.sheet_only:
        rows = [
            row
            for row in read_rows(_CSV)
            if row[0] not in options.scenes or row[1] not in options.kinds
        ]
        for name in options.scenes:
            for kind in options.kinds:
                start_s = time.perf_counter()
                rows += measure(name, kind, painters)
                print(f"{name} {kind}: {time.perf_counter() - start_s:.0f} s", flush=True)
        rows.sort(key=lambda row: (SCENES.index(row[0]), KINDS.index(row[1])))
        write_rows(_CSV, rows)
        text = tables(rows, speed_s(gauss, 2))
        _TABLES.write_text(text)
        print(text)
    write_sheet(_SHEET, painters)


if __name__ == "__main__":
    main()
