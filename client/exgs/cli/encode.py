"""`exgs encode`: encode a scene, or several scenes joined, as a progressive .exgs file."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from exgs.cli.arguments import (
    SCENE_FORMATS,
    add_ca,
    add_frame,
    box,
    count,
    factor,
    vector,
    view_count,
)
from exgs.cli.encode_blocks import (
    DESCRIBING,
    add_blocks,
    encode_large,
    wanted_blocks,
    whole_scene,
)
from exgs.cli.info import file_as_json
from exgs.cli.inputs import local_file, require_output, require_scene
from exgs.cli.interrupt import interruptible
from exgs.cli.output import Output
from exgs.cli.outputs import add_overwrite, check_output
from exgs.cli.progress import ENCODING, FINAL_ENCODING
from exgs.cli.scene_inputs import load_cameras
from exgs.cli.view import home_argument, home_of, up_direction
from exgs.codec.encoding.encode import EncodeOptions, EncodeReport, encode
from exgs.codec.encoding.final import FINAL_MAX_DB, PHOTO_DB
from exgs.scene.formats import READABLE, read_scene
from exgs.scene.scene import Scene
from exgs.scene.stores import Place, is_store, place, versions
from exgs.scene.transform import cropped, joined, transformed

_PARTS = (*DESCRIBING, ".webp", ".sog", ".bin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "scenes",
        metavar="IN.ply",
        nargs="+",
        help=f"a scene ({SCENE_FORMATS}) or its URL: http(s), or of a store that fsspec reaches, as"
        " in s3://bucket/scene.ply; several scenes are joined into one",
    )
    parser.add_argument(
        "out", metavar="OUT.exgs", type=place, help="the file to write, also in a store"
    )
    parser.add_argument(
        "--cameras",
        metavar="FILE",
        help="cameras.json or transforms.json of the scene's photographs, or its URL, or a folder"
        " of COLMAP (default: generated views)",
    )
    parser.add_argument(
        "--views",
        type=view_count,
        metavar="N",
        help="views to measure importance on (default: 40, 10 with --quality low)",
    )
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quality",
        choices=("low", "default", "high"),
        default="default",
        help="low is fastest, high has the best quality and takes longest (default: default)",
    )
    effort.add_argument(
        "--seconds",
        type=factor,
        metavar="N",
        help="instead of a quality, the work that fits into about N seconds on this machine,"
        " between low and high",
    )
    parser.add_argument(
        "--final",
        type=factor,
        metavar="LOSS_DB",
        help="end the file early: leave Gaussians out, refit the others and quantize them more"
        f" coarsely, so that a scene that matches its photographs with {PHOTO_DB:g} dB loses about"
        f" LOSS_DB (at most {FINAL_MAX_DB:g}) of PSNR; measured against pictures of the scene in"
        " views that no refit uses; best with --cameras; takes several times as long",
    )
    parser.add_argument(
        "--no-proxies",
        action="store_true",
        help="only the scene's own Gaussians, in layers: smaller, but poor until most has arrived",
    )
    parser.add_argument(
        "--seed",
        type=count,
        default=0,
        metavar="S",
        help="random seed of generated views (default: 0)",
    )
    parser.add_argument("--credit", default="", metavar="TEXT", help="who made the scene")
    parser.add_argument("--license", default="", metavar="TEXT", help="the scene's licence")
    _add_placing(parser)
    add_blocks(parser)
    add_overwrite(parser)
    add_ca(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_placing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "placing",
        "The scene is rotated, scaled, moved and cropped, in this order. Cameras stay unchanged.",
    )
    add_frame(group)
    group.add_argument(
        "--rotate", type=vector, metavar="X,Y,Z", help="degrees about the axes, x first"
    )
    group.add_argument("--scale", type=factor, metavar="F", help="factor on lengths")
    group.add_argument("--translate", type=vector, metavar="X,Y,Z", help="in world units")
    group.add_argument(
        "--crop",
        type=box,
        metavar="X,Y,Z,X,Y,Z",
        help="keep only the box between two opposite corners",
    )
    group.add_argument(
        "--home",
        type=home_argument,
        metavar="CAMERA",
        help="first view of every viewer: FILE:INDEX of a camera file, or X,Y,Z,X,Y,Z for the"
        " position and the point to look at (default: the best view that is found)",
    )
    group.add_argument(
        "--up",
        type=up_direction,
        metavar="AXIS",
        help="up direction: an axis, as in -y or z, or X,Y,Z (default: found from the cameras, or"
        " from the floor of the scene)",
    )


@interruptible()
def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    names: list[str] = arguments.scenes
    output.subject = names[0] if len(names) == 1 else ""
    for name in names:
        require_scene(name, *READABLE)
    require_output(arguments.out, ".exgs")
    check_output(arguments.out, arguments)
    if arguments.final is not None:
        _check_final(arguments)
    options = EncodeOptions(
        quality=arguments.quality,
        seconds=arguments.seconds,
        seed=arguments.seed,
        views=arguments.views,
        cameras=load_cameras(arguments.cameras) if arguments.cameras else None,
        name=arguments.out.stem,
        credit=arguments.credit,
        license=arguments.license,
        proxies=not arguments.no_proxies,
        home=home_of(arguments.home) if arguments.home else None,
        up=arguments.up,
        final=arguments.final,
    )
    with (
        output.progress(FINAL_ENCODING if arguments.final else ENCODING) as progress,
        ExitStack() as inputs_here,
    ):

        def here(name: str) -> Path:
            return inputs_here.enter_context(local_file(name, report=progress))

        paths = [place(name) if is_store(name) else here(name) for name in names]
        input_bytes = sum(map(_input_bytes, paths))
        blocks = wanted_blocks(paths, arguments)
        if blocks is not None:
            rotation = _rotation(arguments.rotate) if arguments.rotate else None
            report = encode_large(paths, arguments, options, blocks, rotation, progress)
        else:
            local = [here(str(path)) for path in paths]
            progress("reading", 0.0)
            scenes = (read_scene(path, frame=arguments.frame) for path in local)
            report = encode(  # no variable here holds the scene, so `encode` can drop it
                _placed(joined(list(scenes)), arguments), arguments.out, options, progress
            )
    _tell(arguments, output, report, input_bytes)


def _tell(
    arguments: argparse.Namespace, output: Output, report: EncodeReport, input_bytes: int
) -> None:
    """Print what was encoded."""
    if arguments.json:
        output.json(
            {
                **file_as_json(arguments.out),
                "input_bytes": input_bytes,
                "dropped": report.dropped,
                "reduced": report.reduced,
                "loss_db": report.loss_db,
                "stages_s": {stage: round(time_s, 3) for stage, time_s in report.seconds.items()},
                **output.costs(),
            }
        )
        return
    for stage, time_s in report.seconds.items():
        output.detail(f"{stage}: {time_s:.1f} s")
    if report.dropped:
        output.note(f"{report.dropped:,} Gaussians left out because they are too faint to see")
    if report.loss_db is not None:
        output.note(
            f"{report.reduced:,} Gaussians left out and the others refit, for"
            f" {report.loss_db:.2f} dB"
        )
    if not report.is_up_known:
        output.note("no floor is found to tell which way is up; if pictures are rolled, give --up")
    names = arguments.scenes
    inputs = names[0] if len(names) == 1 else f"the {len(names)} scenes"
    output.note(
        f"{report.gaussians:,} Gaussians in {len(report.layers)} layers,"
        f" {_compared(input_bytes, report.file_bytes)} than {inputs}"
    )
    output.done(arguments.out)


def _check_final(arguments: argparse.Namespace) -> None:
    """Refuse values of --final that no encoding takes."""
    if arguments.final > FINAL_MAX_DB:
        arguments.usage_error(f"--final is at most {FINAL_MAX_DB:g} dB: for less, cut the file")
    if arguments.seconds is not None:
        arguments.usage_error("--final takes its own time: give --quality instead of --seconds")


def _input_bytes(path: Place) -> int:
    """The size of a scene: of its file, or of all its files in a folder."""
    found = versions(whole_scene(path))
    if len(found) > 1:
        found = [part for part in found if part[0].lower().endswith(_PARTS)]
    return sum(size for _, size, _ in found)


def _compared(input_bytes: int, file_bytes: int) -> str:
    if file_bytes > input_bytes:
        return f"{file_bytes / max(input_bytes, 1):.1f} times larger"
    return f"{input_bytes / file_bytes:.1f} times smaller"


def _placed(scene: Scene, arguments: argparse.Namespace) -> Scene:
    """The scene after --rotate, --scale, --translate and --crop."""
    scene = transformed(
        scene,
        rotation=_rotation(arguments.rotate) if arguments.rotate else None,
        scale=arguments.scale or 1.0,
        translation=arguments.translate or (0.0, 0.0, 0.0),
    )
    if arguments.crop is not None:
        (a, b, c, d, e, f) = arguments.crop
        scene = cropped(scene, (a, b, c), (d, e, f))
    return scene


def _rotation(
    degrees: tuple[float, float, float],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The matrix that rotates about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(3)
        j, k = (axis + 1) % 3, (axis + 2) % 3
        turn[j, j] = turn[k, k] = np.cos(angle)
        turn[k, j], turn[j, k] = np.sin(angle), -np.sin(angle)
        matrix = turn @ matrix
    return matrix
