"""Writes report.html: the figures and means of a run in one self-contained file."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exgs.lab.errors import LabError
from exgs.lab.results.figures import (
    draw_bars,
    draw_distribution,
    draw_quality,
    policy_names,
    read_series,
)
from exgs.lab.results.table import NUMBERS, read_table
from exgs.scene.files import atomic_write

_FIGURES = (
    (
        "quality.png",
        "Quality over time: means over viewers and seeds, 95% intervals of three or more.",
    ),
    ("policies.png", "Comparison of the policies over all sessions: means and 95% intervals."),
    ("time_to_30_db.png", "The share of sessions that reach 30 dB within a time."),
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
img { max-width: 100% } table { border-collapse: collapse; font-size: 13px }
td, th { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left; white-space: nowrap } .wide { overflow-x: auto }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6 }
img { background: #fff } td, th { border-color: #444 } }
"""


def write_report(out: Path) -> list[Path]:
    """Draw the figures of a run, and write report.html. Raises LabError, OSError."""
    rows = read_table(out)
    if not rows:
        raise LabError(f"{out}: the table is empty")
    draw_quality(out / _FIGURES[0][0], read_series(out / "series.csv"))
    draw_bars(out / _FIGURES[1][0], rows)
    draw_distribution(out / _FIGURES[2][0], rows)
    report = out / "report.html"
    with atomic_write(report) as file:
        file.write(_html(out, rows).encode())
    return [*(out / name for name, _ in _FIGURES), report]


def _html(out: Path, rows: Sequence[dict[str, Any]]) -> str:
    title = html.escape(str(rows[0].get("experiment", out.name)))
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<meta name=viewport content='width=device-width'><title>{title}</title>",
        f"<style>{_STYLE}</style><h1>{title}</h1>",
        f"<p>{len(rows)} sessions. {_error(rows)}</p>",
    ]
    for name, caption in _FIGURES:
        data = base64.b64encode((out / name).read_bytes()).decode()
        parts.append(f"<h2>{html.escape(caption)}</h2>")
        parts.append(f"<img alt='{html.escape(caption)}' src='data:image/png;base64,{data}'>")
    parts.append("<h2>Means of each policy; in brackets the sessions without a value</h2>")
    parts.append(_means(rows))
    parts.append("<p>All sessions and settings are in table.csv.</p></html>")
    return "\n".join(parts) + "\n"


def _error(rows: Sequence[dict[str, Any]]) -> str:
    errors = [row["fast_error_db"] for row in rows if row["fast_error_db"] is not None]
    if not errors:
        model = html.escape(str(rows[0].get("quality")))
        return f"Quality: {model} model, not compared with rendering."
    rms = (sum(error**2 for error in errors) / len(errors)) ** 0.5
    return (
        f"The fast quality model differs from rendering by {rms:.2f} dB RMS"
        f" in {len(errors)} sessions that were rendered as well."
    )


def _means(rows: Sequence[dict[str, Any]]) -> str:
    columns = [
        name
        for name in NUMBERS
        if name not in ("events", "fast_error_db") and any(row[name] is not None for row in rows)
    ]
    head = "".join(f"<th>{name}</th>" for name in ("policy", "sessions", *columns))
    lines = []
    for name in policy_names(rows):
        of = [row for row in rows if policy_names([row]) == [name]]
        cells = [f"<td>{html.escape(name)}</td><td>{len(of)}</td>"]
        for column in columns:
            values = [row[column] for row in of if row[column] is not None]
            mean = f"{sum(values) / len(values):,.2f}" if values else ""
            never = f" ({len(of) - len(values)})" if len(values) < len(of) else ""
            cells.append(f"<td>{mean}{never}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<div class=wide><table><tr>{head}</tr>{''.join(lines)}</table></div>"
