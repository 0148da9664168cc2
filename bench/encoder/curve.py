"""PSNR of 30 prefixes of files, plotted beside those of earlier files.

    python -m bench.encoder.curve SCENE LABEL FILE [--cache FOLDER]

Prefixes are spaced evenly in the logarithm of the bytes. Views are the scene's held-out views. The
points of this SCENE and LABEL replace older ones in bench/results/curves.csv; the plot next to it
shows all. Prints where doubling the bytes gains least.
"""

from __future__ import annotations

import argparse
import csv
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from bench.common.encoded import CACHE
from bench.common.rows import read_row
from bench.common.scenes import SCENES, BenchScene, load_scene
from exgs.codec.decoding.decode import decode, read_facts
from exgs.codec.errors import TruncatedError
from exgs.scene.backends import default_rasterizer
from exgs.scene.gaussians import Gaussians
from exgs.scene.metrics import psnr

_CSV = Path(__file__).parents[1] / "results" / "curves.csv"
_PLOT = _CSV.with_suffix(".png")
_POINTS = 30
_FIRST = 4000  # the first prefix is this part of the PLY, or 20 kB if that is more
_PANELS = 2  # side by side


@dataclass(frozen=True, slots=True)
class Row:
    """One prefix."""

    scene: str
    label: str
    bytes: int
    psnr_db: float


def curve(scene: BenchScene, label: str, path: Path) -> list[Row]:
    """The prefixes of a file, with their mean PSNR over the held-out views."""
    rasterizer = default_rasterizer()
    pictures = [np.clip(rasterizer.render(scene.gaussians, c).rgb, 0, 1) for c in scene.held_out]
    whole = path.stat().st_size
    first = max(scene.path.stat().st_size // _FIRST, 20_000)
    rows = []
    for size in np.geomspace(first, whole, _POINTS).round().astype(int).tolist():
        try:
            drawn = decode(path, max_bytes=size).gaussians
        except TruncatedError:
            drawn = Gaussians.empty()
        values = [
            psnr(np.clip(rasterizer.render(drawn, camera).rgb, 0, 1), picture)
            for camera, picture in zip(scene.held_out, pictures, strict=True)
        ]
        rows.append(Row(scene.name, label, size, float(np.mean(values))))
    return rows


def least_gain(rows: list[Row], ply_bytes: int) -> tuple[float, int]:
    """The least gain in dB of doubling the bytes, from 1/1000 to 1/20 of the PLY, and where."""
    sizes, values = (
        np.array([getattr(row, name) for row in rows]) for name in ("bytes", "psnr_db")
    )
    low, high = max(sizes[0], ply_bytes / 1000), min(sizes[-1], ply_bytes / 20) / 2
    starts = np.geomspace(low, max(high, low), 60)
    logs = np.log(sizes)
    gains = np.interp(np.log(2 * starts), logs, values) - np.interp(np.log(starts), logs, values)
    return float(gains.min()), round(float(starts[gains.argmin()]))


def _plot(rows: list[Row]) -> None:
    import matplotlib.figure

    scenes = list(dict.fromkeys(row.scene for row in rows))
    columns = min(len(scenes), _PANELS)
    lines = math.ceil(len(scenes) / columns)
    figure = matplotlib.figure.Figure(figsize=(6 * columns, 4.5 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels[len(scenes) :]:
        axes.set_visible(False)
    for axes, scene in zip(panels, scenes, strict=False):
        for label in dict.fromkeys(row.label for row in rows if row.scene == scene):
            own = [row for row in rows if (row.scene, row.label) == (scene, label)]
            axes.plot([r.bytes / 1e6 for r in own], [r.psnr_db for r in own], ".-", label=label)
        axes.set(title=scene, xscale="log", xlabel="MB", ylabel="PSNR against the full scene (dB)")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(_PLOT, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("label", help="of the curve, as 'default'")
    parser.add_argument("file", type=Path, help="the .exgs file of the scene")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args()
    scene = load_scene(options.scene, options.cache)
    if read_facts(options.file).leaf_count > len(scene.gaussians):
        parser.error(f"{options.file} has more Gaussians than {options.scene}")
    measured = curve(scene, options.label, options.file)
    rows: list[Row] = []
    if _CSV.exists():
        with _CSV.open(newline="") as file:
            rows = [read_row(Row, cells) for cells in csv.DictReader(file)]
    rows = [row for row in rows if (row.scene, row.label) != (options.scene, options.label)]
    rows += measured
    rows.sort(key=lambda row: (SCENES.index(row.scene), row.label))
    with _CSV.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Row))
        writer.writerows((r.scene, r.label, r.bytes, f"{r.psnr_db:.3f}") for r in rows)
    _plot(rows)
    gain_db, size = least_gain(measured, scene.path.stat().st_size)
    print(
        f"{options.scene}, {options.label}: doubling gains least, {gain_db:.2f} dB, at {size:,} B"
    )


if __name__ == "__main__":
    main()
