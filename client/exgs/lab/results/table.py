"""The table of an experiment: one row per session, with all settings and metrics."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exgs.lab.errors import LabError
from exgs.lab.experiment import Experiment
from exgs.lab.jobs import Job
from exgs.scene.files import atomic_write

LABELS = ("scene", "link", "viewer", "policy", "seed", "mode")
NUMBERS = (
    "first_picture_s",
    "t25_s",
    "t30_s",
    "t35_s",
    "ready_s",
    "mean_db",
    "p5_db",
    "last_db",
    "mean_ssim",
    "mean_flip",
    "mean_stlpips",
    "dips",
    "dip_db",
    "dip_s",
    "answer_ms",
    "received_bytes",
    "wasted_bytes",
    "stall_s",
    "qoe",
    "fast_error_db",
    "events",
)
_PLACES = {"seed": 0, "mean_ssim": 5, "mean_flip": 5, "mean_stlpips": 5, "qoe": 5}  # else 3

Row = Mapping[str, Any]


def settings_of(experiment: Experiment, job: Job) -> dict[str, Any]:
    """The settings of a session, as columns."""
    settings, qoe = experiment.settings, experiment.qoe
    link = job.link
    return {
        "experiment": settings.name,
        "use": job.policy.use,
        "format": job.policy.format,
        "predictor": job.policy.predictor,
        "options": " ".join(f"{k}={v}" for k, v in sorted(job.policy.options.items())),
        "rate": link.rate or link.member or (link.trace.name if link.trace else "steps"),
        "delay_ms": link.delay_ms,
        "loss": link.loss,
        "transport": link.transport,
        "length_s": settings.length_s,
        "picture": "{}x{}".format(*settings.picture),
        "quality": settings.quality,
        "qoe_weights": f"{qoe.switch:g} {qoe.stall:g} {qoe.wait:g}",
    }


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write table.csv, and table.parquet if pyarrow is installed."""
    columns = list(rows[0]) if rows else list(LABELS)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(name, row[name]) for name in columns])
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
    if importlib.util.find_spec("pyarrow") is not None:
        _write_parquet(path.with_suffix(".parquet"), columns, rows)


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a table.csv; empty cells are None. Raises LabError, OSError."""
    if path.is_dir():
        path = path / "table.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    if rows and not {*LABELS} <= set(rows[0]):
        raise LabError(f"{path}: not a table of `exgs lab run`")
    for row in rows:
        for name in NUMBERS:
            text = row.get(name)
            row[name] = float(text) if text else None
    return rows


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return f"{value:.{_PLACES.get(name, 3)}f}".rstrip("0").rstrip(".") or "0"
    return str(value)


def _write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({name: [row[name] for row in rows] for name in columns})
    with atomic_write(path) as file:
        pyarrow.parquet.write_table(table, file)
