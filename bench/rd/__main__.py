"""Measures rate-distortion of exgs and of other formats: `make bench-rd`.

    python -m bench.rd [--scenes playbot fox] [--peers exgs SPZ] [--budgets 64000 ...] [--quick]

All files are drawn by the same rasterizer from the same held-out views and compared with pictures
of the source scene, and with photographs if there are any. Results go to bench/results/rd.csv and
rd.md and to docs/rate-distortion.png. A run over some scenes or formats replaces only their rows.
Tools and encoded files are cached in ~/.cache/exgs-bench.
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from bench.common.encoded import CACHE
from bench.common.rows import read_row
from bench.common.scenes import BUDGETS, SCENES, BenchScene, load_scene
from bench.rd.meter import Meter
from bench.rd.peers import PEERS
from bench.rd.peers.splat_transform import VERSION
from exgs.scene.backends import default_rasterizer

_ROOT = Path(__file__).parents[2]
_CSV = _ROOT / "bench" / "results" / "rd.csv"
_TABLES = _CSV.with_suffix(".md")
_PLOT = _ROOT / "docs" / "rate-distortion.png"
_QUICK_VIEWS = 3
_COLORS = (  # of each of PEERS, the same in every panel
    "C0",
    "C9",
    "navy",
    "steelblue",
    "C4",
    "C7",
    "C1",
    "C3",
    "lightgreen",
    "green",
    "olive",
    "C5",
    "C6",
    "black",
)
_SLOW_PEERS = ("exgs high", "SPZ decimated", "SPZ decimated adaptively", "SOG")
_RIVAL = "SPZ decimated adaptively"
_LEAST_SHARE = 0.9  # of a budget: smaller files are not compared
_PANELS = 4  # of the plot, side by side


@dataclass(frozen=True, slots=True)
class Row:
    """One measured point."""

    scene: str
    peer: str
    bytes: int
    note: str
    gaussians: int
    psnr_db: float
    ssim: float
    flip: float
    photo_psnr_db: float


def measure(
    scene: BenchScene, peers: Iterable[str], budgets: Sequence[int], cache: Path
) -> list[Row]:
    """Measure all points of some peers for one scene, and print them."""
    meter = Meter(scene, default_rasterizer())
    rows = []
    for peer in peers:
        start_s = time.perf_counter()
        for point in PEERS[peer](scene, budgets, cache):
            ready_s = time.perf_counter() - start_s
            gaussians = point.load()
            quality = meter.measure(gaussians)
            rows.append(
                Row(scene.name, peer, point.bytes, point.note, len(gaussians), **asdict(quality))
            )
            print(
                f"{scene.name:8} {peer:24} {point.bytes:>11,} B  {quality.psnr_db:6.2f} dB"
                f"  SSIM {quality.ssim:.4f}  FLIP {quality.flip:.4f}"
                f"  photographs {quality.photo_psnr_db:5.2f} dB"
                f"  {len(gaussians):>8,} Gaussians, {point.note} ({ready_s:.0f} s)",
                flush=True,
            )
            start_s = time.perf_counter()
    return rows


def read_rows(path: Path) -> list[Row]:
    """The rows of an earlier run, if there was one."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            read_row(Row, cells)
            for cells in csv.DictReader(file)
            if cells["scene"] in SCENES and cells["peer"] in PEERS
        ]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(f.name for f in fields(Row))
        for row in rows:
            writer.writerow(
                f"{value:.4f}" if isinstance(value, float) else value
                for value in asdict(row).values()
            )


def tables(rows: Sequence[Row]) -> str:
    """Markdown: the best quality of each peer with at most the bytes of each budget."""
    parts = [
        "# Quality against bytes",
        "",
        "Written by `make bench-rd`. All points are in rd.csv. Each figure is the best quality that"
        " a format reaches with at most this many bytes ('-': no picture). All pictures are drawn"
        " by the rasterizer of exgs and compared with pictures of the source scene. Figures are"
        " means over held-out views.",
        "",
        "- Held-out views: playbot, donut, tower, flowers and 'sample orbits' 8 orbit views of"
        " 640x360; sample and 'inside' 8 generated views with a separate seed; fox the 7 cameras"
        " that neither its training nor any fit has used.",
        "- exgs: prefixes of one file, encoded with `--quality default`, `low` or `high`."
        " 'without proxies': plain pruned layers, as in ExGS. 'views known' (playbot): `--cameras`"
        " with 210 orbit views like the held-out ones, with another seed. For fox, all variants get"
        " the cameras of its training; for others, 'fox inside' too, the encoder generates its"
        " views.",
        f"- SPZ, compressed PLY, SOG and decimation (`--decimate` and `--decimate-adaptive`):"
        f" @playcanvas/splat-transform {VERSION} where rd.csv notes it, before that 2.7.1."
        " Streamed SOG: the files that PlayCanvas publishes. 'level' counts the bytes of one level,"
        " 'cumulative' also those of all coarser levels.",
        "- .splat prefix: sorted by volume times opacity, largest first; no SH.",
        *_ahead(rows),
    ]
    for scene in dict.fromkeys(row.scene for row in rows):
        own = [row for row in rows if row.scene == scene]
        figures = [("PSNR (dB)", "psnr_db", 2), ("SSIM", "ssim", 4), ("FLIP", "flip", 4)]
        if any(math.isfinite(row.photo_psnr_db) for row in own):
            figures.append(("PSNR against photographs (dB)", "photo_psnr_db", 2))
        parts += ["", f"## {scene}"]
        for title, figure, digits in figures:
            columns = BUDGETS[scene]
            parts += ["", "| " + " | ".join([title, *(f"{b:,} B" for b in columns)]) + " |"]
            parts.append("|---|" + "---:|" * len(columns))
            for peer in dict.fromkeys(row.peer for row in own):
                cells = []
                for budget in columns:
                    best = _best(own, scene, peer, budget)
                    cells.append("-" if best is None else f"{getattr(best, figure):.{digits}f}")
                if set(cells) != {"-"}:
                    parts.append("| " + " | ".join([peer, *cells]) + " |")
        parts += [
            "",
            f"Whole files: {'; '.join(_whole(row) for row in own if 'whole' in row.note)}.",
        ]
    return "\n".join([*parts, ""])


def _ahead(rows: Sequence[Row]) -> Iterator[str]:
    """A table: by how much exgs is ahead of adaptive decimation."""
    lines = []
    for scene in dict.fromkeys(row.scene for row in rows):
        cells = []
        for budget in BUDGETS[scene]:
            peer, own = (_best(rows, scene, name, budget) for name in (_RIVAL, "exgs"))
            if peer is not None and own is not None and peer.bytes > _LEAST_SHARE * budget:
                gain_db = own.psnr_db - peer.psnr_db
                cells.append(f"{budget / 1000:,.0f} kB: {gain_db:+.1f}")
        if cells:
            lines.append("| " + " | ".join([scene, *cells]) + " |")
    if lines:
        width = max(line.count("|") for line in lines) - 2
        yield from (
            "",
            "## exgs against adaptive decimation",
            "",
            "PSNR in dB of exgs, minus that of SPZ after `--decimate-adaptive`. The SPZ are"
            " separate files, with 90 to 100% of these bytes; exgs is one file, cut. The cameras of"
            " 'sample orbits' stand behind the walls of a closed room or in them, as one generated"
            " view in seven does.",
            "",
            "| scene | smallest |" + " |" * (width - 2) + " largest |",
            "|---|" + "---:|" * width,
            *lines,
        )


def _best(rows: Sequence[Row], scene: str, peer: str, budget: int) -> Row | None:
    """The row with the best PSNR that fits the budget."""
    fits = [r for r in rows if (r.scene, r.peer) == (scene, peer) and r.bytes <= budget]
    return max(fits, key=lambda row: row.psnr_db, default=None)


def _whole(row: Row) -> str:
    photo = f" ({row.photo_psnr_db:.2f} against photographs)"
    return (
        f"{row.peer} {row.bytes:,} B, {row.psnr_db:.2f} dB"
        f"{photo if math.isfinite(row.photo_psnr_db) else ''}"
    )


def plot(path: Path, rows: Sequence[Row]) -> None:
    """Plot PSNR over bytes, with a panel per scene."""
    import matplotlib.figure

    scenes = list(dict.fromkeys(row.scene for row in rows))
    lines = math.ceil(len(scenes) / _PANELS)
    columns = math.ceil(len(scenes) / lines)
    figure = matplotlib.figure.Figure(figsize=(6 * columns, 5 * lines), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels[len(scenes) :]:
        axes.set_axis_off()
    for axes, scene in zip(panels, scenes, strict=False):
        for peer, color in zip(PEERS, _COLORS, strict=True):
            points = sorted(
                (r.bytes / 1e6, r.psnr_db)
                for r in rows
                if (r.scene, r.peer) == (scene, peer) and math.isfinite(r.psnr_db)
            )
            if points:
                strong = {"lw": 2.5, "zorder": 3} if peer == "exgs" else {"lw": 1.2}
                axes.plot(*zip(*points, strict=True), "o-", c=color, label=peer, **strong)
        axes.set(title=scene, xscale="log", xlabel="MB", ylabel="PSNR against the full scene (dB)")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--budgets", nargs="+", type=int, help="bytes; default: by scene")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument(
        "--quick", action="store_true", help="3 views, none of the slow peers, nothing written"
    )
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    options.cache.mkdir(parents=True, exist_ok=True)

    rows: list[Row] = []
    peers = [p for p in options.peers if not (options.quick and p in _SLOW_PEERS)]
    for name in options.scenes:
        try:
            scene = load_scene(name, options.cache)
        except FileNotFoundError as error:
            print(f"{name}: left out, {error}")
            continue
        if options.quick:
            scene = replace(
                scene,
                held_out=scene.held_out[:_QUICK_VIEWS],
                photographs=scene.photographs[:_QUICK_VIEWS],
            )
        measured = measure(scene, peers, options.budgets or BUDGETS[name], options.cache)
        if not options.quick:
            rows = read_rows(_CSV)  # another run may have added rows
        rows = [row for row in rows if row.scene != name or row.peer not in peers] + measured
        rows.sort(key=lambda r: (SCENES.index(r.scene), list(PEERS).index(r.peer), r.bytes))
        if not options.quick:
            write_rows(_CSV, rows)
            _TABLES.write_text(tables(rows))
            plot(_PLOT, rows)
    if options.quick:
        print(tables(rows))


if __name__ == "__main__":
    main()
