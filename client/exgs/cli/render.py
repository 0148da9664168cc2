"""`exgs render`: draw a picture of a scene, or of the first bytes of an .exgs file."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from exgs.cli.arguments import (
    SCENE_FORMATS,
    add_ca,
    add_frame,
    add_picture_options,
    byte_size,
    check_painter,
)
from exgs.cli.inputs import extension, require_output
from exgs.cli.interrupt import interruptible
from exgs.cli.output import Output
from exgs.cli.outputs import add_overwrite, check_output
from exgs.cli.scene_inputs import check_frame, load_scene, require_any_scene
from exgs.cli.view import one_view, view
from exgs.painter.choice import left_alone, painter_named
from exgs.present.picture import draw_picture
from exgs.scene.backends import default_rasterizer
from exgs.scene.files import atomic_write
from exgs.scene.pictures import encode_png, to_pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "scene",
        metavar="SCENE",
        help=f".exgs, {SCENE_FORMATS}; or its URL (http, https, or a store such as s3)",
    )
    parser.add_argument(
        "-o", "--out", metavar="OUT.png", type=Path, required=True, help="the picture to write"
    )
    parser.add_argument(
        "--camera",
        type=view,
        metavar="CAMERA",
        help="orbit:DEG[,ELEVATION[,RADII]] around the target of the home view, or FILE:INDEX of"
        " a cameras.json, transforms.json or COLMAP folder (default: the home view)",
    )
    parser.add_argument(
        "--max-bytes",
        type=byte_size,
        metavar="N",
        help="draw the first N bytes of an .exgs file; units as in 500kB",
    )
    add_frame(parser)
    add_picture_options(parser)
    parser.add_argument(
        "--side-by-side",
        action="store_true",
        help="add the picture without --painter on the left",
    )
    add_overwrite(parser)
    add_ca(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


@interruptible()
def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    output.subject = arguments.scene
    check_painter(arguments)
    if arguments.side_by_side and arguments.painter == "none":
        arguments.usage_error(
            "--side-by-side needs something to compare: --painter fill, gauss or sharpen"
        )
    if arguments.max_bytes is not None and extension(arguments.scene) != ".exgs":
        arguments.usage_error("--max-bytes is for .exgs files; other formats have no order")
    require_any_scene(arguments.scene)
    check_frame(arguments, arguments.scene)
    require_output(arguments.out, ".png")
    check_output(arguments.out, arguments)
    painter = painter_named(arguments.painter, arguments.painter_model)
    with output.progress() as progress:
        loaded = load_scene(
            arguments.scene, progress, max_bytes=arguments.max_bytes, frame=arguments.frame
        )
    drawn, facts = loaded.drawn, loaded.facts
    if facts is not None:
        unchanged = left_alone(arguments.painter, has_proxies=facts.has_proxies)
        if unchanged is not None:
            output.note(unchanged)
    camera = one_view(arguments.camera, loaded.scene, facts, arguments.size)
    rasterizer = default_rasterizer(antialiased=loaded.scene.antialiased)
    if facts is None:
        image = rasterizer.render(drawn.gaussians, camera, background=arguments.background).rgb
    else:
        image = draw_picture(
            rasterizer, drawn, facts, camera, painter=painter, background=arguments.background
        )
    if np.all(image == np.float32(arguments.background)):
        output.note("exgs: the picture shows nothing of the scene from this camera")
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
