"""Files that end early (`exgs encode --final`), beside whole files and other formats at equal loss.

    python -m bench.encoder.final [--scenes donut tower] [--loss 0.3] [--quality low] [--peers]

Each row is the smallest file of its kind whose PSNR against the source scene, on the held-out
views, is at least that of the file with --final; the whole file where none is so good. Peers are
the whole scene and the scene after `--decimate-adaptive`, in bytes of .spz and .sog
(splat-transform, as in `bench.rd`). Results replace the rows of these scenes in
bench/results/final.csv and final.md.
"""

from __future__ import annotations

import argparse
import csv
import math
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from bench.common.encoded import CACHE, encoded
from bench.common.rows import read_row
from bench.common.scenes import SCENES, BenchScene, load_scene
from bench.rd.peers.splat_transform import VERSION, convert
from exgs.codec.decoding.decode import decode
from exgs.codec.encoding.efforts import EFFORTS, Quality
from exgs.codec.encoding.encode import EncodeOptions
from exgs.codec.errors import TruncatedError
from exgs.codec.measuring.pictures import clipped_pictures
from exgs.scene.backends import default_rasterizer
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import psnr

_CSV = Path(__file__).parents[1] / "results" / "final.csv"
_TABLE = _CSV.with_suffix(".md")
_PREFIXES = 12
_TRIES = 5  # of decimation
_PEERS_TEXT = (
    "SPZ and SOG are the smallest files, after `--decimate-adaptive`, whose PSNR against the source"
    f" is at least that of `exgs encode --final` (@playcanvas/splat-transform {VERSION})."
)
FOX_CAMERAS, FOX_PLAIN = "fox, its cameras", "fox, generated views"
CASES = (FOX_CAMERAS, FOX_PLAIN, *(name for name in SCENES if name != "fox"))


@dataclass(frozen=True, slots=True)
class Row:
    """One file."""

    scene: str
    kind: str
    bytes: int
    gaussians: int
    psnr_db: float
    photo_psnr_db: float  # NaN without photographs
    cpu_s: float  # of encoding; NaN where the file was in the cache


class Meter:
    """Mean PSNR over the held-out views, against the source and against photographs."""

    def __init__(self, scene: BenchScene) -> None:
        self._scene = scene
        self._rasterizer = default_rasterizer()
        self._references = self._pictures(scene.gaussians)

    def measure(self, candidate: Gaussians) -> tuple[float, float]:
        """Both figures; NaN without photographs."""
        pictures = self._pictures(candidate)
        photographs = self._scene.photographs
        of_source, of_photographs = (
            [psnr(a, b) for a, b in zip(pictures, some, strict=True)] if some else [math.nan]
            for some in (self._references, photographs)
        )
        return float(np.mean(of_source)), float(np.mean(of_photographs))

    def _pictures(self, gaussians: Gaussians) -> list[FloatArray]:
        return clipped_pictures(gaussians, self._scene.held_out, self._rasterizer)


def _rows(case: str, loss_db: float, quality: Quality, peers: bool, cache: Path) -> Iterator[Row]:
    scene = load_scene("fox" if case.startswith("fox") else case, cache)
    meter = Meter(scene)
    cameras = scene.cameras if case == FOX_CAMERAS else None
    ply_bytes = scene.path.stat().st_size

    def row(kind: str, size: int, gaussians: Gaussians, cpu_s: float = math.nan) -> Row:
        found = Row(case, kind, size, len(gaussians), *meter.measure(gaussians), cpu_s)
        print(
            f"{case:22} {kind:24} {size:>11,} B (1/{ply_bytes / size:.1f})"
            f" {found.psnr_db:6.2f} dB, photographs {found.photo_psnr_db:.2f} dB"
            f" {len(gaussians):>8,} Gaussians, {cpu_s:.0f} s",
            flush=True,
        )
        return found

    yield row("PLY", ply_bytes, scene.gaussians)
    files: list[tuple[str, Path, float]] = []
    plain = "exgs" if quality == "default" else f"exgs {quality}"
    for kind, final in ((plain, None), (f"{plain} --final {loss_db:g}", loss_db)):
        options = EncodeOptions(quality=quality, cameras=cameras, final=final)
        before = _cpu_s()
        path = encoded(scene.path.stem, scene.gaussians, options, cache)
        spent = _cpu_s() - before
        files.append((kind, path, spent if spent > 1 else math.nan))
    whole, reduced = (
        row(kind, path.stat().st_size, decode(path).gaussians, cpu_s) for kind, path, cpu_s in files
    )
    yield whole
    yield reduced
    for path, name in ((files[0][1], plain), (files[1][1], reduced.kind)):
        for size in np.geomspace(0.02, 0.9, _PREFIXES) * reduced.bytes:
            try:
                drawn = decode(path, max_bytes=round(size)).gaussians
            except TruncatedError:
                continue
            yield row(f"{name}, prefix", round(size), drawn)
    if peers:
        for extension, arguments in ((".spz", []), (".sog", ["-g", "cpu"])):

            def packed(
                source: Path, to: str = extension, how: list[str] = arguments
            ) -> Path | None:
                return convert(source, how, to, cache)

            name = extension[1:].upper()
            yield from _equal_to(reduced.psnr_db, scene, name, packed, row, cache)


def _equal_to(
    least_db: float,
    scene: BenchScene,
    name: str,
    packed: Callable[[Path], Path | None],
    row: Callable[..., Row],
    cache: Path,
) -> Iterator[Row]:
    """The whole scene in another format, and the most decimated one with at least `least_db`."""
    path = packed(scene.path)
    if path is None:
        return
    whole = row(f"{name}, whole scene", path.stat().st_size, read_scene(path).gaussians)
    yield whole
    if whole.psnr_db < least_db:
        return
    low, high, best = 0.0, 1.0, None
    for _ in range(_TRIES):
        share = (low + 3 * high) / 4 if low == 0 else (low + high) / 2
        count = str(round(share * len(scene.gaussians)))
        plain = convert(
            scene.path, ["-g", "cpu"], ".ply", cache, after=["--decimate-adaptive", count]
        )
        path = None if plain is None else packed(plain)
        if path is None:
            return
        tried = row(f"{name}, decimated", path.stat().st_size, read_scene(path).gaussians)
        if tried.psnr_db >= least_db:
            best, high = tried, share
        else:
            low = share
    if best is not None:
        yield best


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _table(rows: list[Row]) -> str:
    parts = [
        "# Files that end early",
        "",
        "Written by `python -m bench.encoder.final`. PSNR is the mean over held-out views (those of"
        " `bench.rd`). 'Share' is the part of the PLY, 'encoding' is processor time. All points,"
        " prefixes too, are in final.csv.",
        *(["", _PEERS_TEXT] if any(row.kind.startswith(("SPZ", "SOG")) for row in rows) else []),
        "",
        "| scene | file | bytes | share | Gaussians | against the source | against photographs |"
        " encoding |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    plys = {row.scene: row for row in rows if row.kind == "PLY"}
    for row in rows:
        if row.kind.endswith("prefix"):
            continue
        ply = plys[row.scene]
        photo = "" if math.isnan(row.photo_psnr_db) else f"{row.photo_psnr_db:.2f} dB"
        if photo and row is not ply:
            photo += f" ({row.photo_psnr_db - ply.photo_psnr_db:+.2f})"
        against = "" if math.isinf(row.psnr_db) else f"{row.psnr_db:.2f} dB"
        spent = "" if math.isnan(row.cpu_s) else f"{row.cpu_s:.0f} s"
        cells = (
            *(row.scene, row.kind, f"{row.bytes:,}", f"1/{ply.bytes / row.bytes:.1f}"),
            *(f"{row.gaussians:,}", against, photo, spent),
        )
        parts.append("| " + " | ".join(cells) + " |")
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", nargs="+", choices=CASES, default=[*CASES[:2], "donut"])
    parser.add_argument("--loss", type=float, default=0.3, metavar="DB", help="of --final")
    parser.add_argument("--quality", choices=EFFORTS, default="default")
    parser.add_argument("--peers", action="store_true", help="other formats too; needs node")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    if _CSV.exists():
        with _CSV.open(newline="") as file:
            rows = [read_row(Row, cells) for cells in csv.DictReader(file)]
    for case in options.scenes:
        made = list(_rows(case, options.loss, options.quality, options.peers, options.cache))
        timed = {(r.scene, r.kind, r.bytes): r.cpu_s for r in rows}  # of files in the cache
        made = [
            replace(r, cpu_s=timed.get((r.scene, r.kind, r.bytes), math.nan))
            if math.isnan(r.cpu_s)
            else r
            for r in made
        ]
        kept = [r for r in rows if r.scene != case]
        rows = sorted([*kept, *made], key=lambda r: CASES.index(r.scene))
        with _CSV.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(field.name for field in fields(Row))
            for r in rows:
                figures = (f"{v:.3f}" for v in (r.psnr_db, r.photo_psnr_db, r.cpu_s))
                writer.writerow((r.scene, r.kind, r.bytes, r.gaussians, *figures))
        _TABLE.write_text(_table(rows))


if __name__ == "__main__":
    main()
