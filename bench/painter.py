"""What GaussPainter gains on scenes that no recipe has seen: `python -m bench.painter`.

    python -m bench.painter [--scenes fox donut blocks] [--sheet-only] [--model DIR]

Prefixes of files with proxies and without (plain pruned layers), drawn raw, filled and painted,
against the pictures of the whole scene. Figures go to bench/results/painter.csv and painter.md,
pictures to docs/painter.png; a run over some scenes replaces their rows only. Encoded files are
kept in ~/.cache/exgs-bench for as long as the encoder stays as it is.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.encoded import encoded
from bench.painter_blocks import blocks_cameras, blocks_scene
from bench.rows import read_row
from bench.scenes import data_dir, orbit_views
from exgs.codec.decoding.decode import decode, open_scene
from exgs.codec.encoding.encode import EncodeOptions
from exgs.painter.choice import Painter
from exgs.painter.confidence import Confidence
from exgs.painter.evaluation import COLUMNS, PaintedQuality, evaluate
from exgs.painter.fill import FillPainter
from exgs.painter.gaps import Gaps
from exgs.painter.gauss import GaussPainter
from exgs.present.contact import sheet_of
from exgs.present.picture import draw_picture
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at
from exgs.scene.cameras import CameraSet, read_cameras
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import Gaussians
from exgs.scene.metrics import psnr
from exgs.scene.pictures import to_pixels
from exgs.scene.rasterizer import Render

_ROOT = Path(__file__).parents[1]
_CSV = _ROOT / "bench" / "results" / "painter.csv"
_TABLES = _CSV.with_suffix(".md")
_SHEET = _ROOT / "docs" / "painter.png"

SCENES = ("fox", "donut", "blocks")
KINDS = ("proxies", "plain")
_WORDS = {"proxies": "with proxies", "plain": "without proxies"}
_TIMES = 7
BUDGETS = (32_000, 64_000, 128_000, 256_000, 512_000, 1_000_000)
_VIEWS = 4
_WALK = 4  # frames
_WALK_STEP = 0.01  # of the distance to the scene's middle, between frames
_SEED = 3_000_017
_SIZE = (480, 270)
_SHEET_BUDGETS = (32_000, 64_000, 128_000, 256_000)
_SHEET_WORDS = {"none": "raw", "fill": "filled", "gauss": "painted"}
_CELL = (288, 162)  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A scene that training never saw, and how it is looked at."""

    gaussians: Gaussians
    judges: tuple[Camera, ...]
    cameras: CameraSet | None  # for the encoder


def load(name: str) -> HeldOut:
    """One of SCENES; raises OSError where its files are not here."""
    if name == "blocks":
        return HeldOut(blocks_scene(), blocks_cameras(_VIEWS, _SEED, *_SIZE), None)
    if name == "donut":
        scene = read_scene(data_dir() / "donut" / "donut.ply").gaussians
        judges = orbit_views(scene, _VIEWS, _SEED, up=(0, 0, 1), distance=2.6)
        return HeldOut(scene, tuple(c.resized(*_SIZE) for c in judges), None)
    cameras = read_cameras(data_dir() / "fox_cameras.json")
    return HeldOut(read_scene(data_dir() / "fox.ply").gaussians, cameras.judge[:_VIEWS], cameras)


def held_out_file(name: str, kind: str, held_out: HeldOut) -> Path:
    """The scene's file, with proxies or without."""
    options = EncodeOptions(cameras=held_out.cameras, proxies=kind == KINDS[0])
    return encoded(name, held_out.gaussians, options)


def measure(
    name: str, kind: str, painters: dict[str, Painter | None]
) -> list[tuple[str, str, PaintedQuality]]:
    """All figures of one file."""
    held_out = load(name)
    path = held_out_file(name, kind, held_out)
    size = path.stat().st_size
    budgets = [budget for budget in BUDGETS if budget < size]
    rows = evaluate(
        path,
        held_out.gaussians,
        default_rasterizer(),
        held_out.judges,
        budgets,
        painters,
        walk_from(held_out.judges[0], held_out.gaussians),
    )
    return [(name, kind, row) for row in rows]


def read_rows(path: Path) -> list[Row]:
    """The rows of an earlier run; none where there was no run."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            (cells["scene"], cells["kind"], read_row(PaintedQuality, cells))
            for cells in csv.DictReader(file)
        ]


def walk_from(camera: Camera, scene: Gaussians) -> tuple[Camera, ...]:
    """Neighbouring views: sideways from `camera`, looking at the same place."""
    rotation = camera.viewmat[:3, :3]
    middle = np.median(scene.means.astype(np.float64), axis=0)
    distance = float(np.linalg.norm(middle - camera.position))
    target = camera.position + distance * rotation[2]
    eyes = [camera.position + k * _WALK_STEP * distance * rotation[0] for k in range(_WALK)]
    return tuple(
        look_at(eye, target, -rotation[1], camera.K, camera.width, camera.height) for eye in eyes
    )


def speed_s(painter: Painter, threads: int, side: int = 512) -> float:
    """The least time of a square picture of leaves that stand for others and gaps."""
    rng = np.random.default_rng(0)
    rgb = rng.uniform(0, 1, (side, side, 3)).astype(np.float32)
    none, half = np.zeros((side, side), np.float32), np.full((side, side), 0.5, np.float32)
    layer = np.concatenate([rgb, half[..., None]], axis=2)
    render = Render(rgb, half, half)
    confidence = Confidence(none, half, half, none, Gaps(half, half, rgb, layer, layer))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    times = []
    for _ in range(_TIMES):
        start_s = time.perf_counter()
        painter.paint(render, confidence)
        times.append(time.perf_counter() - start_s)
    torch.set_num_threads(before)
    return min(times)


Row = tuple[str, str, PaintedQuality]


def summary(rows: Sequence[Row]) -> list[str]:
    """Markdown: means over the scenes of what painting and filling change."""
    parts = [
        "| files | first bytes | raw dB | fill | gauss | raw SSIM | fill | gauss"
        " | raw FLIP | fill | gauss | in mask: raw dB | fill | gauss |",
        "|---" + "|---:" * 13 + "|",
    ]
    for kind in KINDS:
        for budget in sorted({row.budget_bytes for _, k, row in rows if k == kind}):
            cells = []
            own = [row for _, k, row in rows if (k, row.budget_bytes) == (kind, budget)]
            if len(own) < 3 * len(SCENES):  # a mean over fewer is no neighbour of the others
                continue
            for field, digits in (("psnr_db", 2), ("ssim", 4), ("flip", 4), ("masked_psnr_db", 2)):
                for painter in ("none", "fill", "gauss"):
                    values = [getattr(row, field) for row in own if row.painter == painter]
                    known = [value for value in values if np.isfinite(value)]
                    cells.append(_number(np.mean(known) if known else np.nan, digits))
            parts.append(f"| {_WORDS[kind]} | {budget:,} | " + " | ".join(cells) + " |")
    return [*parts, ""]


def tables(rows: Sequence[Row], seconds: float) -> str:
    """Markdown: what painting changes, by file and budget."""
    parts = [
        "# What painting gains",
        "",
        "Made by `python -m bench.painter`; all figures are in painter.csv. Scenes that no recipe"
        " trains on; means over the judging views against the whole scene's pictures. 'in mask':"
        " where the gate is more than half open; it is closed all over in files with proxies."
        " Flicker: mean change between neighbouring frames that depth and motion do not explain, as"
        " a ratio to the raw frames' own.",
        "",
        f"One picture of 512x512 takes {seconds:.2f} s on two threads (the least of {_TIMES}).",
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


def contact_sheet(path: Path, painters: dict[str, Painter | None]) -> None:
    """Raw, filled and painted without proxies, raw with proxies, whole: each scene and budget."""
    rasterizer = default_rasterizer()
    frames: list[Image.Image] = []
    captions: list[str] = []
    for name in SCENES:
        held_out = load(name)
        camera = held_out.judges[1].resized(*_CELL)
        whole = np.clip(rasterizer.render(held_out.gaussians, camera).rgb, 0, 1)
        files = {kind: held_out_file(name, kind, held_out) for kind in KINDS}
        for budget in _SHEET_BUDGETS:
            shown = [("plain", word, painters[painter]) for painter, word in _SHEET_WORDS.items()]
            for kind, word, painter in (*shown, ("proxies", "with proxies", None)):
                drawn = decode(files[kind], max_bytes=budget)
                facts = open_scene(files[kind]).facts
                picture = draw_picture(rasterizer, drawn, facts, camera, painter=painter)
                frames.append(Image.fromarray(to_pixels(picture)))
                captions.append(f"{word}, {psnr(np.clip(picture, 0, 1), whole):.1f} dB")
            captions[-len(shown) - 1] = f"{name}, {budget // 1000} kB: " + captions[-len(shown) - 1]
            frames.append(Image.fromarray(to_pixels(whole)))
            captions.append("whole")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet_of(frames, captions, len(_SHEET_WORDS) + 2).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sheet-only", action="store_true")
    parser.add_argument("--model", type=Path, help="default: the weights of the package")
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
        _CSV.parent.mkdir(parents=True, exist_ok=True)
        with _CSV.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["scene", "kind", *COLUMNS])
            for name, kind, row in rows:
                values = (f"{v:.5g}" if isinstance(v, float) else v for v in astuple(row))
                writer.writerow([name, kind, *values])
        text = tables(rows, speed_s(gauss, 2))
        _TABLES.write_text(text)
        print(text)
    contact_sheet(_SHEET, painters)


if __name__ == "__main__":
    main()
