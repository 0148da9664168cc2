"""`exgs painter`: train GaussPainter with a recipe, or measure the quality of painters."""

from __future__ import annotations

import argparse
import math
from dataclasses import astuple
from pathlib import Path
from typing import Any

from exgs.cli.arguments import SCENE_FORMATS, add_size, byte_size, count, view_count
from exgs.cli.inputs import require_extension
from exgs.cli.interrupt import interruptible
from exgs.cli.output import Output, add_output_options, format_bytes
from exgs.cli.outputs import add_overwrite, check_output
from exgs.codec.decoding.decode import decode, read_facts
from exgs.painter.choice import painter_named, require_gauss
from exgs.painter.evaluation import COLUMNS, PaintedQuality, evaluate
from exgs.painter.interface import Painter, PainterError
from exgs.scene.backends import default_rasterizer
from exgs.scene.cameras import read_cameras
from exgs.scene.files import atomic_write
from exgs.scene.formats import READABLE, read_scene
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import camera_path, synthesise_views

BUDGETS = (32_000, 64_000, 128_000, 256_000, 512_000, 1_000_000)
_VIEWS_SEED = 2_000_003  # not used by encoders and recipes
_WALK_SHARE = 12  # a walk of n frames uses the first of 12 n cameras, so that steps are small


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="train|eval", required=True)
    train = verbs.add_parser(
        "train",
        help="train with a recipe; continues an interrupted run",
        description="Train GaussPainter, or the network that spreads leaves for it, with a recipe."
        " Continues an interrupted run.",
    )
    train.add_argument(
        "recipe", metavar="CONFIG.toml", type=Path, help="such as those in bench/recipes"
    )
    train.add_argument(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder for training data, checkpoints and weights",
    )
    train.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="folder with the scene files and photos/ of the recipe (default: current folder)",
    )
    measure = verbs.add_parser(
        "eval",
        help="measure painters at several budgets",
        description="Measure the painters that change pictures of a file on its first bytes: PSNR,"
        " SSIM, FLIP and ST-LPIPS against the whole scene, PSNR inside the mask, and flicker. In"
        " files with proxies the best unsharp mask is measured as well.",
    )
    measure.add_argument("file", metavar="FILE.exgs", type=Path, help="the file")
    measure.add_argument(
        "--reference",
        metavar="FILE.ply",
        type=Path,
        help=f"the source scene ({SCENE_FORMATS}; default: the whole file)",
    )
    measure.add_argument(
        "--painter-model",
        metavar="PATH",
        type=Path,
        help="a model folder for gauss (default: the shipped weights)",
    )
    measure.add_argument(
        "--cameras",
        metavar="FILE",
        type=Path,
        help="cameras.json or transforms.json with views (default: generated views)",
    )
    measure.add_argument(
        "--views", type=view_count, default=6, metavar="N", help="views to measure (default: 6)"
    )
    add_size(measure)
    measure.add_argument(
        "--walk",
        type=count,
        default=0,
        metavar="N",
        help="frames of a path for measuring flicker (default: 0, no flicker)",
    )
    measure.add_argument(
        "--budgets",
        type=byte_size,
        nargs="+",
        default=BUDGETS,
        metavar="N",
        help="prefixes to measure, such as 500kB (default: 32kB 64kB 128kB 256kB 512kB 1MB)",
    )
    measure.add_argument(
        "-o", "--out", metavar="OUT.csv", type=Path, help="also write the figures to this file"
    )
    add_overwrite(measure)
    measure.add_argument("--json", action="store_true", help="print JSON")
    for verb in (train, measure):
        add_output_options(verb, verb=True)


@interruptible()
def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    if arguments.verb == "train":
        _train(arguments, output)
    else:
        _evaluate(arguments, output)


def _train(arguments: argparse.Namespace, output: Output) -> None:
    require_gauss()
    from exgs.painter.training.loop import train
    from exgs.painter.training.recipe import read_recipe
    from exgs.painter.training.spreading import train_spread

    output.subject = str(arguments.recipe)
    recipe = read_recipe(arguments.recipe)
    data, folder = arguments.data, arguments.out
    with output.progress() as progress:
        if recipe.spread is not None:
            written = train_spread(recipe, recipe.spread, data, folder, progress, output.note)
            output.done(written)
        else:
            model = train(recipe, data, folder, progress, output.note)
            output.done(*model.rglob("*.safetensors"), what=f"the model in {model}")


def _evaluate(arguments: argparse.Namespace, output: Output) -> None:
    output.subject = str(arguments.file)
    require_extension(str(arguments.file), ".exgs")
    if arguments.reference is not None:
        require_extension(str(arguments.reference), *READABLE)
    if arguments.out is not None:
        check_output(arguments.out, arguments)
    painters: dict[str, Painter | None] = {"none": None}
    if read_facts(arguments.file).has_proxies:
        painters["sharpen"] = painter_named("sharpen")
    else:
        painters["fill"] = painter_named("fill")
        painters["gauss"] = painter_named("gauss", arguments.painter_model)
    budgets = _fitting(arguments, output)
    reference = _reference(arguments)
    width, height = arguments.size
    if arguments.cameras is None:
        cameras = synthesise_views(
            reference, arguments.views, width=width, height=height, seed=_VIEWS_SEED
        )
    else:
        held_out = read_cameras(arguments.cameras).held_out[: arguments.views]
        cameras = tuple(camera.resized(width, height) for camera in held_out)
    steps = arguments.walk
    walk = (
        camera_path(reference, _WALK_SHARE * steps, width=width, height=height)[:steps]
        if steps
        else ()
    )
    rasterizer = default_rasterizer()
    with output.progress() as progress:

        def begin(number: int) -> None:
            text = f"measuring the first {format_bytes(budgets[number])}"
            progress(text, number / len(budgets))

        rows = evaluate(
            arguments.file, reference, rasterizer, cameras, budgets, painters, walk, begin
        )
    if not rows:
        raise PainterError(f"{arguments.file}: no budget holds its head; name larger --budgets")
    if arguments.out is not None:
        write_rows(arguments.out, rows)
    if arguments.json:
        output.json([_as_json(row) for row in rows])
    else:
        output.table(*table(rows))
    if arguments.out is not None:
        output.done(arguments.out)


def _reference(arguments: argparse.Namespace) -> Gaussians:
    """The scene whose pictures painted ones are compared with."""
    if arguments.reference is None:
        return decode(arguments.file).gaussians
    return read_scene(arguments.reference).gaussians


def _fitting(arguments: argparse.Namespace, output: Output) -> list[int]:
    """The budgets that do not exceed the size of the file."""
    size = arguments.file.stat().st_size
    fitting = [budget for budget in arguments.budgets if budget <= size]
    if not fitting:
        raise PainterError(
            f"{arguments.file}: has only {format_bytes(size)}; name smaller --budgets"
        )
    if len(fitting) < len(arguments.budgets):
        output.note(f"the file has {format_bytes(size)}: larger budgets are left out")
    return fitting


def write_rows(path: Path, rows: list[PaintedQuality]) -> None:
    """Write the figures as CSV."""
    with atomic_write(path) as file:
        lines = [",".join(COLUMNS)]
        lines += [
            ",".join(f"{v:.5g}" if isinstance(v, float) else str(v) for v in astuple(row))
            for row in rows
        ]
        file.write(("\n".join(lines) + "\n").encode())


def table(rows: list[PaintedQuality]) -> tuple[list[str], list[list[str]]]:
    """The figures as cells of a table."""
    columns = ["first", "painter", "PSNR", "SSIM", "FLIP", "ST-LPIPS"]
    columns += ["in mask", "mask", "flicker"]
    cells = [
        [
            format_bytes(row.budget_bytes),
            row.painter,
            f"{row.psnr_db:.2f}",
            f"{row.ssim:.4f}",
            _number(row.flip, 4),
            _number(row.stlpips, 4),
            _number(row.masked_psnr_db, 2),
            f"{row.masked_share:.0%}",
            _number(row.flicker, 5),
        ]
        for row in rows
    ]
    return columns, cells


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _as_json(row: PaintedQuality) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in zip(COLUMNS, astuple(row), strict=True)
    }
