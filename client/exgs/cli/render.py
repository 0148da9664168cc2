"""`exgs render`: draw a picture of a scene, whole or of its first bytes."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from exgs.cli.arguments import SCENE_FORMATS, add_picture_options, byte_size, check_painter
from exgs.cli.inputs import extension, local_file, require_extension, require_scene
from exgs.cli.interrupt import interruptible
from exgs.cli.output import Output, Report
from exgs.cli.outputs import add_overwrite, check_output
from exgs.cli.view import one_view, view
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.decode import decode, read_facts
from exgs.codec.format.facts import SceneFacts
from exgs.painter.choice import LEFT_ALONE, painter_named
from exgs.present.picture import draw_picture
from exgs.scene.backends import default_rasterizer
from exgs.scene.files import atomic_write
from exgs.scene.formats import READABLE, read_scene
from exgs.scene.pictures import encode_png, to_pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "scene", metavar="SCENE", help=f".exgs, {SCENE_FORMATS}; or its http(s) URL"
    )
    parser.add_argument(
        "-o", "--out", metavar="OUT.png", type=Path, required=True, help="the picture to write"
    )
    parser.add_argument(
        "--camera",
        type=view,
        metavar="CAMERA",
        help="orbit:DEG[,ELEVATION[,RADII]] around the scene's middle, or FILE:INDEX of a"
        " cameras.json or transforms.json (default: a view that shows much)",
    )
    parser.add_argument(
        "--max-bytes",
        type=byte_size,
        metavar="N",
        help="what the first N bytes of an .exgs give; also as in 500kB",
    )
    add_picture_options(parser)
    parser.add_argument(
        "--side-by-side",
        action="store_true",
        help="the picture without the --painter on the left",
    )
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


@interruptible()
def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    output.subject = arguments.scene
    check_painter(arguments)
    if arguments.side_by_side and arguments.painter == "none":
        arguments.usage_error("--side-by-side needs something to compare: --painter fill or gauss")
    if arguments.max_bytes is not None and extension(arguments.scene) != ".exgs":
        arguments.usage_error("--max-bytes is for .exgs files; other formats have no order")
    require_scene(arguments.scene, ".exgs", *READABLE)
    require_extension(str(arguments.out), ".png")
    check_output(arguments.out, arguments)
    painter = painter_named(arguments.painter, arguments.painter_model)
    with output.progress() as progress:
        drawn, facts = _load(arguments.scene, arguments.max_bytes, progress)
    if painter is not None and facts is not None and facts.has_proxies:
        output.note(LEFT_ALONE)
    camera = one_view(arguments.camera, drawn.gaussians, facts, arguments.size)
    rasterizer = default_rasterizer()
    if facts is None:
        image = rasterizer.render(drawn.gaussians, camera, background=arguments.background).rgb
    else:
        image = draw_picture(
            rasterizer, drawn, facts, camera, painter=painter, background=arguments.background
        )
    if arguments.side_by_side:
        raw = rasterizer.render(drawn.gaussians, camera, background=arguments.background).rgb
        image = np.concatenate([raw, image], axis=1)
    with atomic_write(arguments.out) as file:
        file.write(encode_png(to_pixels(image)))
    if arguments.json:
        output.json(
            {
                "file": str(arguments.out),
                "bytes": arguments.out.stat().st_size,
                "width": image.shape[1],
                "height": image.shape[0],
                "gaussians": len(drawn.gaussians),
                **output.costs(),
            }
        )
    else:
        output.done(arguments.out)


def _load(
    scene: str, max_bytes: int | None, report: Report
) -> tuple[DrawnScene, SceneFacts | None]:
    """What there is to draw, and the facts of an .exgs file."""
    if extension(scene) == ".exgs":
        with local_file(scene, max_bytes=max_bytes, report=report) as path:
            return decode(path, max_bytes=max_bytes), read_facts(path)
    with local_file(scene, report=report) as path:
        gaussians = read_scene(path).gaussians
    none = np.zeros(len(gaussians), bool)
    return DrawnScene(gaussians, none, none), None
