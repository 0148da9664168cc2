"""The part of `exgs encode` that encodes large scenes block by block."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.cli.arguments import count, positive
from exgs.cli.output import Report
from exgs.codec.blocks.encode import BLOCK_COUNT, LARGE_COUNT, BlockOptions, encode_by_blocks
from exgs.codec.blocks.workers import fitting_workers
from exgs.codec.encoding.encode import EncodeOptions, EncodeReport, encode
from exgs.scene.sources.files import count_rows, open_source
from exgs.scene.sources.placing import JoinedSource, PlacedSource, collect
from exgs.scene.sources.source import GaussianSource
from exgs.scene.stores import Place, place, versions

DESCRIBING = (".json", ".lcc")  # extensions of files that describe a scene of several files


def add_blocks(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments for large scenes."""
    group = parser.add_argument_group(
        "large scenes",
        f"Scenes of more than {LARGE_COUNT:,} Gaussians are encoded block by block, in memory for"
        " one block per worker. The file does not depend on the number of workers.",
    )
    group.add_argument(
        "--block",
        type=count,
        metavar="N",
        help=f"Gaussians in a block, at most (default: {BLOCK_COUNT:,} for large scenes); 0 for"
        " never",
    )
    group.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes that encode blocks (default: one per core, as far as memory allows)",
    )
    group.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="encode blocks on this Dask cluster, whose workers see --work under the same path, or"
        " the same store",
    )
    group.add_argument(
        "--work",
        type=place,
        metavar="DIR",
        help="folder for intermediate files, also in a store (default: OUT.exgs.work; if OUT is in"
        " a store and there is no --dask, in the current folder)",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="continue an interrupted encode of the same scene with the same options",
    )


def wanted_blocks(paths: Sequence[Place], arguments: argparse.Namespace) -> BlockOptions | None:
    """The division of the scenes of `paths` into blocks; None if they are encoded in one piece."""
    rows = 0
    if arguments.block is None:
        rows = sum(count_rows(path, frame=arguments.frame) for path in paths)
    if not arguments.block and (arguments.block == 0 or rows <= LARGE_COUNT):
        for name in ("dask", "work", "resume"):
            if getattr(arguments, name):
                arguments.usage_error(
                    f"--{name} is for large scenes: give --block to encode by blocks"
                )
        return None
    if arguments.final is not None:
        arguments.usage_error(
            "--final is for scenes that are encoded in one piece: leave it out, or give --block 0"
        )
    if arguments.seconds is not None:
        arguments.usage_error(
            "--seconds is for scenes that are encoded in one piece: give --quality instead, or"
            " --block 0"
        )
    block_count = arguments.block or BLOCK_COUNT
    return BlockOptions(
        block_count=block_count,
        workers=arguments.workers or fitting_workers(block_count),
        dask=arguments.dask,
        work=arguments.work,
        resume=arguments.resume,
    )


def encode_large(
    paths: Sequence[Place],
    arguments: argparse.Namespace,
    options: EncodeOptions,
    blocks: BlockOptions,
    rotation: npt.NDArray[np.float64] | None,
    progress: Report,
) -> EncodeReport:
    """Encode the scenes of `paths` by blocks, or in one piece if --crop leaves few Gaussians."""
    sources = [open_source(path, frame=arguments.frame) for path in paths]
    source: GaussianSource = JoinedSource(sources) if len(sources) > 1 else sources[0]
    crop = arguments.crop
    placed = rotation is not None or arguments.scale or arguments.translate or crop
    if placed:
        source = PlacedSource(
            source,
            rotation=rotation,
            scale=arguments.scale or 1.0,
            translation=arguments.translate or (0.0, 0.0, 0.0),
            box=None if crop is None else (crop[:3], crop[3:]),
        )
    if crop is not None and arguments.block is None:
        progress("cropping", 0.0)
        if (scene := collect(source, LARGE_COUNT)) is not None:
            given, scene = [scene], None  # `encode` alone holds the scene, and drops it early
            return encode(given.pop(), arguments.out, options, progress)
    return encode_by_blocks(
        source, arguments.out, options, blocks, progress, identity=_identity(paths, arguments)
    )


def _identity(paths: Sequence[Place], arguments: argparse.Namespace) -> str:
    """The identity of the input: names, sizes, versions, placing."""
    files = [facts for path in paths for facts in versions(whole_scene(path))]
    placing = [
        str(getattr(arguments, name)) for name in ("frame", "rotate", "scale", "translate", "crop")
    ]
    return json.dumps([files, placing])


def whole_scene(path: Place) -> Place:
    """The file of a scene, or the folder of a scene of several files."""
    return path.parent if path.suffix.lower() in DESCRIBING else path
