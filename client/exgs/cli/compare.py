"""`exgs compare`: PSNR and SSIM of pictures of one scene against another, from the same cameras."""

from __future__ import annotations

import argparse

import numpy as np

from exgs.cli.arguments import SCENE_FORMATS, add_ca, add_frame, add_size, byte_size, view_count
from exgs.cli.inputs import extension
from exgs.cli.interrupt import interruptible
from exgs.cli.output import Output, format_db, json_db
from exgs.cli.scene_inputs import check_frame, load_cameras, load_scene, require_any_scene
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.metrics import psnr, ssim
from exgs.scene.scene import Scene
from exgs.scene.views.made_up import synthesise_views

_VIEWS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "first",
        metavar="A",
        help=f".exgs, {SCENE_FORMATS}; or its URL (http, https, or a store such as s3)",
    )
    parser.add_argument("second", metavar="B", help="the reference scene")
    parser.add_argument(
        "--cameras",
        metavar="FILE",
        help="a camera file, its URL, or a folder of COLMAP (default: generated views of B)",
    )
    parser.add_argument(
        "--views",
        type=view_count,
        default=_VIEWS,
        metavar="N",
        help=f"number of cameras, evenly spaced (default: {_VIEWS})",
    )
    parser.add_argument(
        "--max-bytes",
        type=byte_size,
        metavar="N",
        help="only the first N bytes of A, an .exgs file",
    )
    add_frame(parser)
    add_size(parser)
    add_ca(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


@interruptible()
def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    for name in (arguments.first, arguments.second):
        require_any_scene(name)
    check_frame(arguments, arguments.first, arguments.second)
    if arguments.max_bytes is not None and extension(arguments.first) != ".exgs":
        arguments.usage_error("--max-bytes is for .exgs files only")
    with output.progress() as progress:
        first = load_scene(
            arguments.first, progress, max_bytes=arguments.max_bytes, frame=arguments.frame
        ).scene
        second = load_scene(arguments.second, progress, frame=arguments.frame).scene
        cameras, source = _cameras(arguments, second)
        rows = []
        for number, camera in enumerate(cameras):
            a, b = _picture(first, camera), _picture(second, camera)
            rows.append((psnr(a, b), ssim(a, b)))
            progress("comparing", (number + 1) / len(cameras))
    errors = [10 ** (-db / 10) for db, _ in rows]
    mean_db = float(-10 * np.log10(max(float(np.mean(errors)), 1e-30)))
    if not any(errors):
        mean_db = float("inf")
    structure = float(np.mean([value for _, value in rows]))
    worst = min(range(len(rows)), key=lambda number: rows[number][0])
    if arguments.json:
        output.json(
            {
                "first": arguments.first,
                "second": arguments.second,
                "gaussians": [len(first), len(second)],
                "cameras": source,
                "psnr_db": json_db(mean_db),
                "ssim": round(structure, 5),
                "views": [
                    {"name": c.name, "psnr_db": json_db(db), "ssim": round(value, 5)}
                    for c, (db, value) in zip(cameras, rows, strict=True)
                ],
                **output.costs(),
            }
        )
        return
    output.table(
        ["views", "PSNR (dB)", "SSIM"],
        [
            [f"all {len(rows)}, {source}", format_db(mean_db), f"{structure:.4f}"],
            [
                f"the worst, {cameras[worst].name or worst}",
                format_db(rows[worst][0]),
                f"{rows[worst][1]:.4f}",
            ],
        ],
    )


def _cameras(arguments: argparse.Namespace, scene: Scene) -> tuple[list[Camera], str]:
    """Cameras in the frame of the source, and a text about their origin."""
    size: tuple[int, int] = arguments.size
    if arguments.cameras is None:
        made = synthesise_views(scene.gaussians, arguments.views, width=size[0], height=size[1])
        origin = -np.array(scene.origin)
        return [camera.relative_to(origin) for camera in made], "made up"
    given = load_cameras(arguments.cameras).cameras
    step = max(1, -(-len(given) // arguments.views))
    return [camera.resized(*size) for camera in given[::step]], f"of {arguments.cameras}"


def _picture(scene: Scene, camera: Camera) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rasterizer = default_rasterizer(antialiased=scene.antialiased)
    rgb = rasterizer.render(scene.gaussians, camera.relative_to(scene.origin)).rgb
    return np.clip(rgb, 0, 1)
