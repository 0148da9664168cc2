"""`exgs decode`: decode a file, or its first bytes, to a .ply or another format."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exgs.cli.arguments import add_ca, byte_size, count
from exgs.cli.inputs import local_file, require_extension, require_output
from exgs.cli.output import Output, Report
from exgs.cli.outputs import add_overwrite, check_output
from exgs.cli.scene_inputs import decode_picture
from exgs.cli.urls import InputError
from exgs.codec.decoding.decode import as_scene, open_cells, read_facts
from exgs.scene.formats import WRITABLE, write_scene
from exgs.scene.formats.ply import write_ply_parts
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene

_LARGE_BYTES = 8_000_000  # of a file or prefix that is decoded cell by cell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "file", metavar="FILE.exgs", help="a file or its URL (http, https, or a store such as s3)"
    )
    parser.add_argument("out", metavar="OUT.ply", type=Path, help=f"or {', '.join(WRITABLE[1:])}")
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        "--max-bytes",
        type=byte_size,
        metavar="N",
        help="decode the first N bytes, with proxies; units as in 500kB",
    )
    part.add_argument(
        "--max-layer",
        type=count,
        metavar="L",
        help="decode layers 0 to L, with the proxies of layer L",
    )
    add_overwrite(parser)
    add_ca(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    output.subject = arguments.file
    require_extension(arguments.file, ".exgs")
    require_output(arguments.out, *WRITABLE)
    check_output(arguments.out, arguments)
    limit = arguments.max_bytes
    with (
        output.progress() as progress,
        local_file(arguments.file, max_bytes=limit, report=progress) as path,
    ):
        if arguments.max_layer is not None:
            _check_layer(arguments.file, arguments.max_layer, len(read_facts(path).layers))
        size = min(path.stat().st_size, limit or path.stat().st_size)
        if arguments.out.suffix.lower() == ".ply" and size > _LARGE_BYTES:
            gaussians, proxies = _decode_large(path, arguments, progress)
        else:
            drawn = decode_picture(path, arguments.file, limit, arguments.max_layer)
            gaussians, proxies = len(drawn.gaussians), int(np.count_nonzero(drawn.is_proxy))
            write_scene(arguments.out, as_scene(drawn, read_facts(path)))
    if arguments.json:
        output.json(
            {
                "file": str(arguments.out),
                "bytes": arguments.out.stat().st_size,
                "gaussians": gaussians,
                "proxies": proxies,
                **output.costs(),
            }
        )
    else:
        output.done(arguments.out)


def _decode_large(path: Path, arguments: argparse.Namespace, report: Report) -> tuple[int, int]:
    """Write the PLY cell by cell. Returns the numbers of Gaussians and of proxies among them."""
    facts = read_facts(path)
    written = proxies = 0
    with open_cells(path, max_bytes=arguments.max_bytes, max_layer=arguments.max_layer) as reader:
        count = reader.count()
        degree = facts.sh_degree if reader.has_sh else 0

        def parts() -> Iterator[Gaussians]:
            nonlocal written, proxies
            for drawn in reader.drawn():
                written += len(drawn.gaussians)
                proxies += len(drawn.gaussians) if drawn.is_proxy else 0
                report("decoding", written / count)
                # Without SH of leaves, those of proxies are left out.
                yield drawn.gaussians if degree else drawn.gaussians.without_sh()

        empty = Scene(Gaussians.empty(degree), facts.antialiased, facts.origin, facts.crs)
        write_ply_parts(arguments.out, empty, count, parts())
    return written, proxies


def _check_layer(name: str, layer: int, layers: int) -> None:
    if layer >= layers:
        raise InputError(
            f"{name}: there is no layer {layer}; the file has layers 0 to {layers - 1}"
        )
