"""`exgs encode`: make a progressive .exgs file of a scene."""

from __future__ import annotations

import argparse
from pathlib import Path

from exgs.cli.arguments import SCENE_FORMATS, count, positive
from exgs.cli.info import file_as_json
from exgs.cli.inputs import local_file, require_extension, require_scene
from exgs.cli.interrupt import interruptible
from exgs.cli.output import Output
from exgs.cli.outputs import add_overwrite, check_output
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.scene.cameras import CameraSet, read_cameras
from exgs.scene.formats import READABLE, read_scene


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "scene", metavar="IN.ply", help=f"a scene ({SCENE_FORMATS}) or its http(s) URL"
    )
    parser.add_argument("out", metavar="OUT.exgs", type=Path, help="the file to write")
    parser.add_argument(
        "--cameras",
        metavar="FILE",
        help="cameras.json or transforms.json of the scene's photographs, or its URL"
        " (default: made up)",
    )
    parser.add_argument(
        "--views",
        type=positive,
        metavar="N",
        help="views to score from (default: 40, 10 with --quality low)",
    )
    parser.add_argument(
        "--quality",
        choices=("low", "default", "high"),
        default="default",
        help="low is made quickest, high looks best and takes longest (default: default)",
    )
    parser.add_argument(
        "--no-proxies",
        action="store_true",
        help="only layers of the scene's own Gaussians: smaller, and poor until most has come",
    )
    parser.add_argument(
        "--seed",
        type=count,
        default=0,
        metavar="S",
        help="random seed of the views that are made up (default: 0)",
    )
    parser.add_argument("--credit", default="", metavar="TEXT", help="who made the scene")
    parser.add_argument("--license", default="", metavar="TEXT", help="the scene's licence")
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


@interruptible()
def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    output.subject = arguments.scene
    require_scene(arguments.scene, *READABLE)
    require_extension(str(arguments.out), ".exgs")
    check_output(arguments.out, arguments)
    options = EncodeOptions(
        quality=arguments.quality,
        seed=arguments.seed,
        views=arguments.views,
        cameras=_cameras(arguments.cameras) if arguments.cameras else None,
        name=arguments.out.stem,
        credit=arguments.credit,
        license=arguments.license,
        proxies=not arguments.no_proxies,
    )
    with output.progress() as progress, local_file(arguments.scene, report=progress) as path:
        progress("reading", 0.0)
        scene = read_scene(path)
        input_bytes = path.stat().st_size
        report = encode(scene, arguments.out, options, progress)
    if arguments.json:
        output.json(
            {
                **file_as_json(arguments.out),
                "input_bytes": input_bytes,
                "dropped": report.dropped,
                "stages_s": {stage: round(time_s, 3) for stage, time_s in report.seconds.items()},
                **output.costs(),
            }
        )
        return
    for stage, time_s in report.seconds.items():
        output.detail(f"{stage}: {time_s:.1f} s")
    if report.dropped:
        output.note(f"{report.dropped:,} Gaussians are left out: too faint to be seen")
    output.note(
        f"{report.gaussians:,} Gaussians in {len(report.layers)} layers,"
        f" {input_bytes / report.file_bytes:.1f} times smaller than {arguments.scene}"
    )
    output.done(arguments.out)


def _cameras(name: str) -> CameraSet:
    with local_file(name) as path:
        return read_cameras(path)
