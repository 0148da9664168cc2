"""`exgs verify`: check every hash and limit of a file. The first fault gives status 1."""

from __future__ import annotations

import argparse

from exgs.cli.arguments import add_ca
from exgs.cli.inputs import local_file, require_extension
from exgs.cli.output import Output, format_bytes
from exgs.codec.decoding.decode import open_scene, verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "file", metavar="FILE.exgs", help="a file or its URL (http, https, or a store such as s3)"
    )
    add_ca(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    output.subject = arguments.file
    require_extension(arguments.file, ".exgs")
    with output.progress() as progress, local_file(arguments.file, report=progress) as path:
        verify(path, lambda share: progress("verifying", share))
        scene = open_scene(path)
        chunks, size = len(scene.table), scene.file_bytes
    if arguments.json:
        output.json({"file": arguments.file, "ok": True, "chunks": chunks, "bytes": size})
    else:
        output.result(f"{arguments.file}: sound, {chunks} chunks, {format_bytes(size)}")
