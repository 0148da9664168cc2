"""How good each frame was: measured after the run, so that measuring does not slow it down.

quality.csv has one row per frame: `time_s` (seconds from the start of connecting until the frame
was ready), `bytes` (received when its drawing began, without TCP and HTTP headers), `layer`
(highest complete layer, -1 before the first), `psnr_db` and `ssim` of the stored 8-bit picture
against the full scene from the same camera ("inf" for equal pictures), `frame` (file name).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exgs.client.picture import Color, Pixels, read_png, to_pixels
from exgs.client.screen import Frame
from exgs.scene.camera import Camera
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import psnr, ssim
from exgs.scene.rasterize import Rasterizer

COLUMNS = ("time_s", "bytes", "layer", "psnr_db", "ssim", "frame")


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One row of quality.csv."""

    time_s: float
    received_bytes: int
    layer: int
    psnr_db: float
    ssim: float
    frame: str

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of COLUMNS."""
        return (
            f"{self.time_s:.3f}",
            str(self.received_bytes),
            str(self.layer),
            f"{self.psnr_db:.2f}",
            f"{self.ssim:.4f}",
            self.frame,
        )


def measure_frames(
    frames: Sequence[Frame],
    reference: Gaussians,
    rasterizer: Rasterizer,
    *,
    background: Color = (0.0, 0.0, 0.0),
    progress: Callable[[float], None] = lambda _: None,
) -> list[QualityRow]:
    """Compare every frame with `reference` drawn from the frame's camera."""
    references: dict[int, Pixels] = {}

    def reference_pixels(camera: Camera) -> Pixels:
        if id(camera) not in references:
            render = rasterizer.render(reference, camera, background=background)
            references[id(camera)] = to_pixels(render.rgb)
        return references[id(camera)]

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
            )
        )
        progress((number + 1) / len(frames))
    return rows


def layer_steps(rows: Sequence[QualityRow]) -> list[QualityRow]:
    """The first row of each layer that became complete, and the last row."""
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
    """Draw quality.png: PSNR over time and over bytes, with a mark where a layer was complete.

    Frames that equal the reference have no finite PSNR; they are drawn as a line at the top.
    """
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(10, 4), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(1, 2, sharey=True)
    finite = [row for row in rows if math.isfinite(row.psnr_db)]
    exact = [row for row in rows if not math.isfinite(row.psnr_db)]
    sides: tuple[tuple[Any, str, Callable[[QualityRow], float]], ...] = (
        (axes[0], "time since connecting (s)", lambda row: row.time_s),
        (axes[1], "received (kB)", lambda row: row.received_bytes / 1e3),
    )
    for axis, label, place in sides:
        axis.plot([place(r) for r in finite], [r.psnr_db for r in finite], ".-", color="#1f6feb")
        for step in layer_steps(rows):
            axis.axvline(place(step), color="0.85", zorder=0)
            axis.annotate(
                str(step.layer),
                (place(step), 1.0),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize=8,
                color="0.4",
            )
        axis.annotate(
            "layer ",
            (0, 1.0),
            xycoords="axes fraction",
            va="bottom",
            fontsize=8,
            color="0.4",
        )
        if exact:
            axis.axvspan(place(exact[0]), place(rows[-1]), color="#2da44e", alpha=0.25, lw=0)
            axis.axvline(place(exact[0]), color="#2da44e", label="equal to the full scene")
            axis.legend(loc="lower right", fontsize=8, framealpha=1)
        axis.set_xlabel(label)
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("PSNR against the full scene (dB)")
    with atomic_write(path) as file:
        figure.savefig(file, dpi=120, format="png")


def _unit(pixels: Pixels) -> FloatArray:
    return pixels.astype(np.float32) / np.float32(255)
