"""Reads and writes the results of the painter benchmark: CSV and Markdown tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from bench.common.rows import read_row
from bench.painter.held_out import KINDS, SCENES
from exgs.painter.evaluation import COLUMNS, PaintedQuality

Row = tuple[str, str, PaintedQuality]  # scene, kind of file, figures

TIMES = 7  # pictures that are timed
_WORDS = {"proxies": "with proxies", "plain": "without proxies"}


def read_rows(path: Path) -> list[Row]:
    """Read the rows of an earlier run; empty if there is none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            (cells["scene"], cells["kind"], read_row(PaintedQuality, cells))
            for cells in csv.DictReader(file)
        ]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scene", "kind", *COLUMNS])
        for name, kind, row in rows:
            values = (f"{v:.5g}" if isinstance(v, float) else v for v in astuple(row))
            writer.writerow([name, kind, *values])


def summary(rows: Sequence[Row]) -> list[str]:
    """Markdown table: means over the scenes."""
    parts = [
        "| files | first bytes | raw dB | fill | gauss | raw SSIM | fill | gauss"
        " | raw FLIP | fill | gauss | in mask: raw dB | fill | gauss |",
        "|---" + "|---:" * 13 + "|",
    ]
    for kind in KINDS:
        for budget in sorted({row.budget_bytes for _, k, row in rows if k == kind}):
            cells = []
            own = [row for _, k, row in rows if (k, row.budget_bytes) == (kind, budget)]
            if len(own) < 3 * len(SCENES):  # the mean would not be comparable
                continue
            for field, digits in (("psnr_db", 2), ("ssim", 4), ("flip", 4), ("masked_psnr_db", 2)):
                for painter in ("none", "fill", "gauss"):
                    values = [getattr(row, field) for row in own if row.painter == painter]
                    known = [value for value in values if np.isfinite(value)]
                    cells.append(_number(np.mean(known) if known else np.nan, digits))
            parts.append(f"| {_WORDS[kind]} | {budget:,} | " + " | ".join(cells) + " |")
    return [*parts, ""]


def tables(rows: Sequence[Row], seconds: float) -> str:
    """Markdown: all tables, with the least time of one picture in seconds."""
    parts = [
        "# Gains of the painter",
        "",
        "Written by `python -m bench.painter`. All figures are in painter.csv. No recipe trains on"
        " these scenes. The figures are means over held-out views, compared with pictures of the"
        " whole scene. 'in mask': pixels where the gate is more than half open. In files with"
        " proxies the gate is closed everywhere. 'flicker': mean change between consecutive"
        " pictures that camera motion does not explain, relative to that of raw pictures.",
        "",
        f"One picture of 512x512 takes {seconds:.2f} s on two threads (fastest of {TIMES}).",
        "",
        "## Means over the scenes",
        "",
        *summary(rows),
    ]
    for name, kind in dict.fromkeys((name, kind) for name, kind, _ in rows):
        own = [row for n, k, row in rows if (n, k) == (name, kind)]
        parts += [
            f"## {name}, {_WORDS[kind]}",
            "",
            "| first bytes | raw dB | fill | gauss | raw SSIM | fill | gauss | raw FLIP | fill"
            " | gauss | in mask: raw dB | fill | gauss | mask | flicker: gauss |",
            "|---" + "|---:" * 14 + "|",
        ]
        for budget in dict.fromkeys(row.budget_bytes for row in own):
            by = {row.painter: row for row in own if row.budget_bytes == budget}
            three = [by[painter] for painter in ("none", "fill", "gauss")]
            cells = [f"{budget:,}"]
            cells += [f"{row.psnr_db:.2f}" for row in three]
            cells += [f"{row.ssim:.4f}" for row in three]
            cells += [f"{row.flip:.4f}" for row in three]
            cells += [_number(row.masked_psnr_db, 2) for row in three]
            cells += [f"{three[0].masked_share:.0%}"]
            cells += [f"{three[2].flicker / max(three[0].flicker, 1e-9):.2f}"]
            parts.append("| " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def _number(value: np.floating | float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"
