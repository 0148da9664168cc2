"""Figures of a run: quality over time, comparison of policies, distributions."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from exgs.lab.quality.curves import MOST_DB
from exgs.lab.results.compare import interval
from exgs.scene.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Doubles = npt.NDArray[np.float64]
Row = Mapping[str, Any]

_COLORS = (  # Okabe and Ito (2008): distinguishable with any colour vision
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#8c8c8c",
    "#7b4fb5",
    "#6b8e23",
)
_BARS = (  # metric, label, units of the figure per unit of the table
    ("t30_s", "seconds to 30 dB (less is better)", 1.0),
    ("mean_db", "mean PSNR, dB", 1.0),
    ("wasted_bytes", "MB wasted (less is better)", 1e-6),
    ("qoe", "QoE", 1.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Quality over time of one session."""

    labels: tuple[str, ...]  # scene, link, viewer, policy, seed, mode
    times_s: Doubles
    psnr_db: Doubles


def read_series(path: Path) -> list[Series]:
    """The sessions of a series.csv, in its order."""
    found: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for *labels, time_s, psnr_db in rows:
            found[tuple(labels)].append((float(time_s), float(psnr_db)))
    made = []
    for labels_of, points in found.items():
        values = np.array(points)
        made.append(Series(labels_of, values[:, 0], values[:, 1]))
    return made


def policy_names(rows: Sequence[Row]) -> list[str]:
    """The names of policies in figures, in the order of the table."""
    return list(dict.fromkeys(_name(row["policy"], row["mode"]) for row in rows))


def draw_quality(path: Path, series: Sequence[Series]) -> None:
    """Quality over time: a row per scene, a column per link; means over viewers and seeds."""
    scenes = list(dict.fromkeys(item.labels[0] for item in series))
    links = list(dict.fromkeys(item.labels[1] for item in series))
    names = list(dict.fromkeys(_name(item.labels[3], item.labels[5]) for item in series))
    figure = _figure(3.1 * len(links) + 0.6, 2.3 * len(scenes) + 0.9)
    axes = figure.subplots(len(scenes), len(links), sharex=True, sharey=True, squeeze=False)
    for row, scene in enumerate(scenes):
        for column, link in enumerate(links):
            axis = axes[row][column]
            for number, name in enumerate(names):
                of = [
                    item
                    for item in series
                    if item.labels[:2] == (scene, link)
                    and _name(item.labels[3], item.labels[5]) == name
                ]
                if of:
                    _draw_mean(axis, of, name, _COLORS[number % len(_COLORS)])
            if not row:
                axis.set_title(link, fontsize=9)
            if not column:
                axis.set_ylabel(f"{scene}\nPSNR, dB", fontsize=8)
            if row == len(scenes) - 1:
                axis.set_xlabel("seconds", fontsize=8)
            axis.grid(alpha=0.25)
            axis.set_ylim(10, MOST_DB + 1)
            axis.tick_params(labelsize=7)
    figure.legend(
        *axes[0][0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(len(names), 5),
        fontsize=8,
        frameon=False,
    )
    _save(figure, path)


def draw_bars(path: Path, rows: Sequence[Row]) -> None:
    """Means of each policy over its sessions with a value, with 95% bootstrap intervals."""
    names = policy_names(rows)
    figure = _figure(10, 0.32 * len(names) + 1.3)
    axes = figure.subplots(1, len(_BARS), sharey=True, squeeze=False)[0]
    for axis, (metric, label, scale) in zip(axes, _BARS, strict=True):
        for place, name in enumerate(names):
            of = [row[metric] for row in rows if _name(row["policy"], row["mode"]) == name]
            values = np.array([scale * value for value in of if value is not None])
            high = 0.0
            if len(values):
                mean, (low, high) = float(values.mean()), interval(values)
                axis.barh(place, mean, color=_COLORS[place % len(_COLORS)], alpha=0.85)
                axis.plot([low, high], [place, place], color="#222222", lw=1.4)
            if len(values) < len(of):
                never = f" {len(of) - len(values)} of {len(of)} never"
                axis.text(high, place, never, fontsize=7, va="center")
        axis.set_xlabel(label, fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(axis="x", alpha=0.25)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    _save(figure, path)


def draw_distribution(path: Path, rows: Sequence[Row]) -> None:
    """The share of sessions that reach 30 dB within a time."""
    names = policy_names(rows)
    figure = _figure(6, 3.6)
    axis = figure.subplots()
    most = max((row["t30_s"] for row in rows if row["t30_s"] is not None), default=1.0)
    for number, name in enumerate(names):
        of = [row["t30_s"] for row in rows if _name(row["policy"], row["mode"]) == name]
        reached = sorted(value for value in of if value is not None)
        x = [0.0, *reached, most]
        y = [0.0, *((place + 1) / len(of) for place in range(len(reached))), len(reached) / len(of)]
        axis.step(x, y, where="post", label=name, color=_COLORS[number % len(_COLORS)], lw=1.5)
    axis.set_xlabel("seconds to 30 dB")
    axis.set_ylabel("share of sessions")
    axis.set_ylim(0, 1.02)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, frameon=False)
    _save(figure, path)


def _draw_mean(axis: Axes, of: Sequence[Series], name: str, color: str) -> None:
    values = np.array([np.interp(of[0].times_s, item.times_s, item.psnr_db) for item in of])
    times = of[0].times_s
    axis.plot(times, values.mean(axis=0), color=color, lw=1.4, label=name)
    if len(of) > 2:  # an interval of two says nothing
        error = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(of))
        middle = values.mean(axis=0)
        axis.fill_between(times, middle - error, middle + error, color=color, alpha=0.15, lw=0)


def _name(policy: str, mode: str) -> str:
    return policy if mode == "simulated" else f"{policy} ({mode})"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure as NewFigure

    return NewFigure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path) as file:
        figure.savefig(file, dpi=130, format="png", metadata={"Software": None})
