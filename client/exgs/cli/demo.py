"""`exgs demo`: encode, serve and stream the sample scene over an emulated slow link.

Generates the scene, encodes it, serves it from another process, streams it at 2 Mbit/s, and writes
pictures and measurements.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exgs.cli.extras import require
from exgs.cli.output import Output, format_bytes, format_db
from exgs.cli.outputs import add_overwrite, check_folder
from exgs.cli.progress import ENCODING, STREAMING
from exgs.cli.view import fixed_view
from exgs.client.link import parse_link
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.errors import ExgsError
from exgs.present.contact import contact_sheet, pick_rows
from exgs.present.quality import within_budgets
from exgs.present.stream import RESULTS, StreamOptions, StreamReport, stream
from exgs.sample import sample_cameras, sample_scene
from exgs.scene.cameras import write_cameras
from exgs.scene.formats.ply import write_ply
from exgs.scene.gaussians import Gaussians

_LINK = "2mbit,100ms"
_SIZE = (640, 360)
_CAMERAS = 40  # generated cameras, to try --cameras with
_MADE = ("sample.ply", "sample.exgs", "cameras.json", "contact.png")
_SERVING = re.compile(r"at http://(\S+)/scenes$")


class DemoError(ExgsError):
    """A part of the demo did not start."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUTDIR",
        type=Path,
        default=Path("demo"),
        help="folder for all results (default: demo)",
    )
    add_overwrite(parser)


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    require("matplotlib")
    folder: Path = arguments.out
    frames = folder / "frames"
    check_folder(folder, arguments, _MADE)
    check_folder(frames, arguments, RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    scene = _make(folder / "sample.ply", output)
    write_cameras(folder / "cameras.json", sample_cameras(_CAMERAS))
    _encode(scene, folder, output)
    with output.progress(STREAMING) as progress, _server(folder) as address:
        report = stream(
            f"ws://{address}/scenes/sample/stream",
            frames,
            StreamOptions(choose_camera=fixed_view(_SIZE), link=parse_link(_LINK), reference=scene),
            progress=progress,
            note=output.note,
        )
    _say(output, report, frames)
    picked = pick_rows(report.rows)
    captions = [
        f"{row.time_s:.1f} s · {format_bytes(row.received_bytes)} · {_as_good(row.psnr_db)}"
        for row in picked
    ]
    contact_sheet(folder / "contact.png", frames, picked, captions)
    output.result(f"look at   {folder / 'contact.png'}  the scene as it sharpens")
    output.result(f"          {frames / 'quality.png'}  quality over time and bytes")
    output.result(f"or move   exgs view {folder / 'sample.exgs'}  in the browser")
    written = [*(folder / name for name in _MADE), *report.files]
    output.done(*written, what=f"{len(written)} files in {folder}")


def _make(path: Path, output: Output) -> Gaussians:
    start_s = time.perf_counter()
    scene = sample_scene()
    write_ply(path, scene)
    output.result(
        f"scene     {path}  {len(scene):,} Gaussians, {format_bytes(path.stat().st_size)},"
        f" made in {time.perf_counter() - start_s:.1f} s"
    )
    output.flush()
    return scene


def _encode(scene: Gaussians, folder: Path, output: Output) -> None:
    start_s = time.perf_counter()
    path = folder / "sample.exgs"
    output.note("encoding takes a minute or two")
    with output.progress(ENCODING) as progress:
        encode(scene, path, EncodeOptions(name="sample"), progress)
    size, before = path.stat().st_size, (folder / "sample.ply").stat().st_size
    output.result(
        f"encoded   {path}  {format_bytes(size)}, {before / size:.0f} times smaller,"
        f" in {time.perf_counter() - start_s:.1f} s"
    )
    output.flush()


def _say(output: Output, report: StreamReport, frames: Path) -> None:
    output.result(
        f"streamed  {frames}  {len(report.rows)} frames over {_LINK}: first picture after"
        f" {report.first_picture_s:.2f} s, last byte after {report.received_s:.1f} s"
    )
    output.result("")
    output.table(
        ["within", "shown after", "PSNR (dB)", "SSIM", "frame"],
        [
            [
                format_bytes(budget_bytes),
                f"{row.time_s:.2f} s",
                format_db(row.psnr_db),
                f"{row.ssim:.3f}",
                row.frame,
            ]
            for budget_bytes, row in within_budgets(report.rows, _budgets(report.received_bytes))
        ],
    )
    output.result("")


def _as_good(psnr_db: float) -> str:
    return f"{psnr_db:.1f} dB" if math.isfinite(psnr_db) else "equal to the full scene"


def _budgets(received_bytes: int) -> list[int]:
    """32 kB, its multiples by powers of two, and the whole file."""
    doubles = [32_000 << power for power in range(12)]
    return [*(size for size in doubles if size < received_bytes), received_bytes]


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Run `exgs serve` on `folder` in another process; yields host:port."""
    command = [sys.executable, "-m", "exgs.cli.main", "serve", str(folder), "--port", "0", "-q"]
    # This server needs no token, even if EXGS_TOKEN is set for other servers.
    environment = {name: value for name, value in os.environ.items() if name != "EXGS_TOKEN"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield _address(process)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    found = _SERVING.search(line)
    if found is None:
        raise DemoError("the server did not start; try `exgs serve` by itself")
    return found[1]
