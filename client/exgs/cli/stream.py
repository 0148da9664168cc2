"""`exgs stream`: receive a scene, draw it while it arrives, measure the frames."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import Any

from exgs.cli.arguments import add_ca, add_picture_options, byte_size, check_painter, token
from exgs.cli.extras import require
from exgs.cli.inputs import local_file, require_scene
from exgs.cli.output import Output, format_bytes, format_db, json_db
from exgs.cli.outputs import add_overwrite, check_folder
from exgs.cli.progress import STREAMING
from exgs.cli.urls import trusted
from exgs.cli.view import fixed_view, path_view
from exgs.client.link import Link, LinkError, parse_link
from exgs.painter.choice import left_alone, painter_named
from exgs.present.quality import layer_steps
from exgs.present.stream import RESULTS, StreamOptions, StreamReport, stream
from exgs.scene.formats import READABLE, read_scene

_PAINT_BUDGET_S = 0.5  # painting lowers its resolution to keep this time per frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "url",
        metavar="URL",
        help="ws://HOST/scenes/NAME/stream, or http(s)://.../NAME.exgs on any server; a URL that"
        " ends in /NAME/stream uses the streaming profile, whatever its scheme",
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUTDIR",
        type=Path,
        required=True,
        help="folder for the frames, quality.csv and quality.png",
    )
    parser.add_argument(
        "--link",
        type=_link,
        metavar="RATE,DELAY,LOSS",
        help="emulate a link: 2mbit,100ms,1%% is a rate, a one-way delay (100ms±20ms with jitter)"
        " and a loss of segments; each loss stalls the stream for a round trip",
    )
    parser.add_argument(
        "--cameras",
        metavar="FILE",
        help="use the cameras of a cameras.json or transforms.json, one per frame"
        " (default: one view for all frames, so that they are comparable)",
    )
    parser.add_argument(
        "--max-bytes",
        type=byte_size,
        metavar="N",
        help="stop after N bytes, units as in 500kB; the rest is fetched afterwards, for the"
        " reference",
    )
    parser.add_argument(
        "--reference",
        metavar="FILE.ply",
        help="compare with this scene (default: the full streamed scene)",
    )
    parser.add_argument(
        "--token",
        type=token,
        metavar="T",
        default=os.environ.get("EXGS_TOKEN") or None,
        help="bearer token of the server (default: $EXGS_TOKEN)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder for a cache of received data, so that nothing is fetched twice",
    )
    parser.add_argument(
        "--max-memory",
        type=byte_size,
        metavar="N",
        help="memory limit for the scene, such as 256MB, besides what the program takes without"
        " one; distant cells stay proxies",
    )
    parser.add_argument(
        "--fade",
        type=_change,
        metavar="C",
        help="fade in arriving chunks over more frames, so that with a static camera none differs"
        " from the one before by more than C (RMS, white is 1; 0.02 is hardly visible); results"
        " say what has been received, and what is shown of it",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="random seed for losses of --link (default: 0)",
    )
    add_picture_options(parser)
    add_overwrite(parser)
    add_ca(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    output.subject = arguments.url
    check_painter(arguments)
    if arguments.fade is not None and arguments.painter == "gauss":
        arguments.usage_error("--fade can't bound what --painter gauss changes later: choose one")
    check_folder(arguments.out, arguments, RESULTS)
    require("matplotlib")  # needed at the end, for quality.png
    painter = painter_named(arguments.painter, arguments.painter_model, _PAINT_BUDGET_S)
    reference = None
    if arguments.reference is not None:
        require_scene(arguments.reference, *READABLE)
        with local_file(arguments.reference) as path:
            reference = read_scene(path).gaussians
    choose_camera = fixed_view(arguments.size)
    if arguments.cameras is not None:
        with local_file(arguments.cameras) as path:
            choose_camera = path_view(path, arguments.size)
    options = StreamOptions(
        choose_camera=choose_camera,
        link=arguments.link,
        painter=painter,
        background=arguments.background,
        max_bytes=arguments.max_bytes,
        reference=reference,
        token=arguments.token,
        cache=arguments.cache,
        memory_bytes=arguments.max_memory,
        most_change=arguments.fade,
        seed=arguments.seed,
        tls=trusted(),
    )
    with output.progress(STREAMING) as progress:
        report = stream(arguments.url, arguments.out, options, progress=progress, note=output.note)
    unchanged = left_alone(arguments.painter, has_proxies=report.facts.has_proxies)
    if unchanged is not None:
        output.note(unchanged)
    if arguments.json:
        output.json({"url": arguments.url, **as_json(report), **output.costs()})
        return
    output.table(*step_table(report))
    against = arguments.reference or "the full scene"
    views = f"the cameras of {arguments.cameras}" if arguments.cameras else "the home view"
    output.result(f"PSNR and SSIM are against {against}, from {views}.")
    painted = sum(row.is_painted for row in report.rows)
    written = f"{len(report.rows) - painted} frames"
    if painted:
        written += f", {painted} of them painted as well"
    written += f", quality.csv and quality.png in {arguments.out}"
    output.done(*report.files, what=written)


def as_json(report: StreamReport) -> dict[str, Any]:
    """The report as JSON."""
    return {
        "hash": report.scene_hash.hex(),
        "file_bytes": report.file_bytes,
        "received_bytes": report.received_bytes,
        "received_s": round(report.received_s, 3),
        "first_picture_s": round(report.first_picture_s, 3),
        "reconnections": report.reconnections,
        "frames": [
            {
                "time_s": round(row.time_s, 3),
                "bytes": row.received_bytes,
                "layer": row.layer,
                "psnr_db": json_db(row.psnr_db),
                "ssim": round(row.ssim, 4),
                "file": row.frame,
                "shown_bytes": row.shown_bytes,
                "painted": row.is_painted,
                "shown": row.is_shown,
            }
            for row in report.rows
        ],
    }


def step_table(report: StreamReport) -> tuple[list[str], list[list[str]]]:
    """A table of bytes and quality at each complete layer."""
    shown = [row for row in report.rows if row.is_shown]
    last = shown[-1]
    fades = any(row.shown_bytes != row.received_bytes for row in shown)
    columns = ["complete", "after", "received", "PSNR (dB)", "SSIM", "frame"]
    if fades:
        columns.insert(3, "shown")
    rows = []
    for row in layer_steps(shown):
        label = "the last frame" if row is last else f"layer {row.layer}"
        sizes = [row.received_bytes, *([row.shown_bytes] if fades else [])]
        rows.append(
            [
                label,
                f"{row.time_s:.2f} s",
                *map(format_bytes, sizes),
                format_db(row.psnr_db),
                f"{row.ssim:.3f}",
                row.frame,
            ]
        )
    return columns, rows


def _link(text: str) -> Link:
    try:
        return parse_link(text)
    except LinkError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _change(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.001 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.001 to 1")
    return value
