"""`exgs decode`: decode a file, or its first bytes, to a .ply or another format."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from exgs.cli.arguments import add_ca, byte_size, count
from exgs.cli.inputs import local_file, require_extension
from exgs.cli.output import Output
from exgs.cli.outputs import add_overwrite, check_output
from exgs.cli.scene_inputs import decode_picture
from exgs.cli.urls import InputError
from exgs.codec.decoding.decode import as_scene, read_facts
from exgs.scene.formats import WRITABLE, write_scene


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE.exgs", help="a file or its http(s) URL")
    parser.add_argument("out", metavar="OUT.ply", type=Path, help=f"or {', '.join(WRITABLE[1:])}")
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        "--max-bytes",
        type=byte_size,
        metavar="N",
        help="decode the first N bytes, with proxies; units as in 500kB",
    )
    part.add_argument(
        "--max-layer", type=count, metavar="L", help="layers 0 to L, with the proxies of layer L"
    )
    add_overwrite(parser)
    add_ca(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    output.subject = arguments.file
    require_extension(arguments.file, ".exgs")
    require_extension(str(arguments.out), *(f".{end.rpartition('.')[2]}" for end in WRITABLE))
    check_output(arguments.out, arguments)
    limit = arguments.max_bytes
    with (
        output.progress() as progress,
        local_file(arguments.file, max_bytes=limit, report=progress) as path,
    ):
        if arguments.max_layer is not None:
            _check_layer(arguments.file, arguments.max_layer, len(read_facts(path).layers))
        drawn = decode_picture(path, arguments.file, limit, arguments.max_layer)
        scene = as_scene(drawn, read_facts(path))
    write_scene(arguments.out, scene)
    if arguments.json:
        output.json(
            {
                "file": str(arguments.out),
                "bytes": arguments.out.stat().st_size,
                "gaussians": len(drawn.gaussians),
                "proxies": int(np.count_nonzero(drawn.is_proxy)),
                **output.costs(),
            }
        )
    else:
        output.done(arguments.out)


def _check_layer(name: str, layer: int, layers: int) -> None:
    if layer >= layers:
        raise InputError(
            f"{name}: there is no layer {layer}; the file has layers 0 to {layers - 1}"
        )
