"""Measures the quality of each frame after the run, so that measuring does not slow it down.

quality.csv has one row per picture, in the order in which they were ready: `time_s` (seconds from
the start of connecting until then), `bytes` (received when its drawing began, without TCP and HTTP
headers), `layer` (highest complete layer, -1 before the first), `psnr_db` and `ssim` of the stored
8-bit picture against the full scene from the same camera ("inf" for equal pictures), `frame` (file
name), `shown_bytes` (received bytes that the picture shows completely: fewer than `bytes` while
they fade in), `kind` (raw or painted), `shown` (0 for a painted picture that came after a newer raw
one, 1 for all others).
"""

from __future__ import annotations

import csv
import functools
import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exgs.present.picture import Color
from exgs.present.screen import Frame
from exgs.scene.camera import Camera
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import psnr, ssim
from exgs.scene.pictures import Pixels, read_png, to_pixels
from exgs.scene.rasterizer import Rasterizer

_BLUE, _GREEN, _ORANGE = "#1f6feb", "#2da44e", "#e36209"
_LABEL_ROOM = 0.035  # of the axis, between the labels of two layers

COLUMNS = ("time_s", "bytes", "layer", "psnr_db", "ssim", "frame", "shown_bytes", "kind", "shown")


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One row of quality.csv."""

    time_s: float
    received_bytes: int
    layer: int
    psnr_db: float
    ssim: float
    frame: str
    shown_bytes: int
    is_painted: bool = False
    is_shown: bool = True

    def cells(self) -> tuple[str, ...]:
        """The cells as text, in the order of COLUMNS."""
        return (
            f"{self.time_s:.3f}",
            str(self.received_bytes),
            str(self.layer),
            f"{self.psnr_db:.2f}",
            f"{self.ssim:.4f}",
            self.frame,
            str(self.shown_bytes),
            "painted" if self.is_painted else "raw",
            str(int(self.is_shown)),
        )


def measure_frames(
    frames: Sequence[Frame],
    reference: Gaussians,
    rasterizer: Rasterizer,
    *,
    background: Color = (0.0, 0.0, 0.0),
    progress: Callable[[float], None] = lambda _: None,
) -> list[QualityRow]:
    """Compare each frame with `reference`, drawn from the camera of the frame."""

    @functools.lru_cache(maxsize=1)  # usually all cameras are equal, or all different
    def reference_pixels(camera: Camera) -> Pixels:
        return to_pixels(rasterizer.render(reference, camera, background=background).rgb)

    rows = []
    for number, frame in enumerate(frames):
        shown, wanted = _unit(read_png(frame.path)), _unit(reference_pixels(frame.camera))
        rows.append(
            QualityRow(
                frame.time_s,
                frame.received_bytes,
                frame.layer,
                psnr(shown, wanted),
                ssim(shown, wanted),
                frame.path.name,
                frame.shown_bytes,
                frame.is_painted,
                frame.is_shown,
            )
        )
        progress((number + 1) / len(frames))
    return rows


def within_budgets(
    rows: Sequence[QualityRow], budgets_bytes: Sequence[int]
) -> list[tuple[int, QualityRow]]:
    """For each number of bytes: the last frame that needed no more bytes, if there is one."""
    best = []
    for budget_bytes in budgets_bytes:
        fitting = [row for row in rows if row.received_bytes <= budget_bytes]
        if fitting:
            best.append((budget_bytes, fitting[-1]))
    return best


def layer_steps(rows: Sequence[QualityRow]) -> list[QualityRow]:
    """The first row at which each layer was complete, and the last row."""
    steps = []
    layer = -1
    for row in rows:
        if row.layer > layer:
            layer = row.layer
            steps.append(row)
    if rows and steps[-1:] != [rows[-1]]:
        steps.append(rows[-1])
    return steps


def write_csv(path: Path, rows: Sequence[QualityRow]) -> None:
    """Write quality.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def plot(path: Path, rows: Sequence[QualityRow], title: str) -> None:
    """Draw quality.png: PSNR over time and over bytes, with a mark at each complete layer.

    The curve is that of the pictures on the screen; dots are painted pictures, also stale ones.

    Frames that equal the reference have no finite PSNR. They are drawn as a band on the right.
    `title` may be any text; characters that the font lacks are drawn as boxes.
    """
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(10, 4.2), layout="constrained")
    line = " ".join(title.split())
    figure.suptitle(line, x=0.01, ha="left", fontsize=11, parse_math=False)
    axes = figure.subplots(1, 2, sharey=True)
    unit, unit_bytes = ("MB", 1e6) if rows[-1].received_bytes > 2e6 else ("kB", 1e3)
    sides: tuple[tuple[Any, str, Callable[[QualityRow], float]], ...] = (
        (axes[0], "seconds since connecting", lambda row: row.time_s),
        (axes[1], f"received, {unit}", lambda row: row.received_bytes / unit_bytes),
    )
    shown = [row for row in rows if row.is_shown]
    painted = [row for row in rows if row.is_painted and math.isfinite(row.psnr_db)]
    for axis, label, place in sides:
        _draw_curve(axis, shown, place)
        if painted:
            places = [place(row) for row in painted]
            axis.plot(
                places, [row.psnr_db for row in painted], "o", color=_ORANGE, ms=4, label="painted"
            )
        axis.set_xlabel(label)
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("PSNR against the full scene, dB,\nfrom the camera of each frame")
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:  # beside the title, so that it covers no curve
        figure.legend(handles, labels, loc="upper right", fontsize=8, frameon=False)
    with atomic_write(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        figure.savefig(file, dpi=120, format="png")


def _draw_curve(
    axis: Any, rows: Sequence[QualityRow], place: Callable[[QualityRow], float]
) -> None:
    finite = [row for row in rows if math.isfinite(row.psnr_db)]
    exact = [row for row in rows if not math.isfinite(row.psnr_db)]
    end = max(place(rows[-1]), 1e-3)
    right = 1.03 * end
    x, y = [place(row) for row in finite], [row.psnr_db for row in finite]
    if exact and finite:  # the picture is shown until the next one
        x, y = [*x, place(exact[0])], [*y, y[-1]]
    axis.step(x, y, where="post", color=_BLUE, lw=1.6)
    axis.plot(x[: len(finite)], y[: len(finite)], ".", color=_BLUE, ms=4)
    labelled = -end
    for step in (step for step in layer_steps(rows) if step is not rows[-1]):
        at = place(step)
        axis.axvline(at, color="0.88", lw=1, zorder=0)
        if at - labelled < _LABEL_ROOM * right:
            continue
        name = f"layer {step.layer}" if labelled < 0 else str(step.layer)
        axis.annotate(
            name,
            (at, 1.0),
            xycoords=("data", "axes fraction"),
            ha="left" if labelled < 0 else "center",
            va="bottom",
            fontsize=8,
            color="0.45",
        )
        labelled = at + (_LABEL_ROOM * right if labelled < 0 else 0)
    if exact:
        axis.axvspan(place(exact[0]), right, color=_GREEN, alpha=0.18, lw=0)
        axis.axvline(place(exact[0]), color=_GREEN, lw=1.6, label="equal to the full scene")
    axis.set_xlim(0, right)


def _unit(pixels: Pixels) -> FloatArray:
    return pixels.astype(np.float32) / np.float32(255)
