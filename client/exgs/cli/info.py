"""`exgs info`: the facts that a file states. Of a URL only the head is read, in one request."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from exgs.cli.arguments import add_ca
from exgs.cli.inputs import Input, open_input, require_extension
from exgs.cli.output import Output, format_bytes, printable
from exgs.cli.urls import is_url
from exgs.codec.constants import FORMAT_MAJOR
from exgs.codec.errors import TruncatedError
from exgs.codec.format.container import FileHead, open_head, open_table
from exgs.scene.stores import Place, place


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
    with open_input(arguments.file) as source:
        head, layer_bytes = _read(source)
    if arguments.json:
        output.json(_as_json(arguments.file, head, layer_bytes))
    else:
        _print(arguments.file, head, layer_bytes, output)


def file_as_json(path: Place) -> dict[str, Any]:
    """The output of `exgs info --json` for a file. Raises FormatError, OSError."""
    with open_input(str(path)) as source:
        return _as_json(str(path), *_read(source))


def _read(source: Input) -> tuple[FileHead, list[int] | None]:
    """The head, and the packed bytes of each layer if the whole table can be read."""
    if is_url(source.name):
        return open_head(source.read), None
    try:
        head, table = open_table(source.read)
    except TruncatedError:  # the table is truncated, but the head may be complete
        return open_head(source.read), None
    sizes: Counter[int] = Counter()
    for chunk in table.values():
        sizes[chunk.layer] += chunk.packed_bytes
    return head, [sizes[layer] for layer in range(len(head.root.facts.layers))]


def _as_json(name: str, head: FileHead, layer_bytes: list[int] | None) -> dict[str, Any]:
    facts = head.root.facts
    return {
        "file": name,
        "format": f"{FORMAT_MAJOR}.{head.header.minor}",
        "hash": head.scene_hash.hex(),
        "bytes": head.header.file_bytes,
        "head_bytes": head.header.root_end,
        "name": facts.name,
        "credit": facts.credit,
        "license": facts.license,
        "encoder": facts.encoder,
        "gaussians": facts.leaf_count,
        "sh_degree": facts.sh_degree,
        "chunks": head.root.chunk_count,
        "layers": [
            {
                "layer": number,
                "tiles": 1 << layer.tile_level,
                "gaussians": layer.leaf_count,
                "proxies": layer.proxy_count,
                "bytes": layer_bytes[number] if layer_bytes else None,
            }
            for number, layer in enumerate(facts.layers)
        ],
        "quality": [
            {
                "bytes": head.header.root_end + p.body_bytes,
                "psnr_db": round(p.psnr_db, 2),
                "ssim": round(p.ssim, 4),
            }
            for p in facts.quality
        ],
    }


def _print(name: str, head: FileHead, layer_bytes: list[int] | None, output: Output) -> None:
    facts = head.root.facts
    output.result(
        f"{name}: {printable(facts.name) or 'unnamed'}, {facts.leaf_count:,} Gaussians of SH degree"
        f" {facts.sh_degree}, {format_bytes(head.header.file_bytes)} in {head.root.chunk_count}"
        " chunks"
    )
    if not is_url(name) and (there := place(name).stat().st_size) < head.header.file_bytes:
        output.result(f"cut: only its first {format_bytes(there)} are here")
    for label, text in (("credit", facts.credit), ("license", facts.license)):
        if text:
            output.result(f"{label}: {printable(text)}")
    output.result(f"hash: {head.scene_hash.hex()}, written by {printable(facts.encoder)}")
    rows = []
    for number, layer in enumerate(facts.layers):
        sizes = [format_bytes(layer_bytes[number])] if layer_bytes else []
        rows.append(
            [
                str(number),
                f"{1 << layer.tile_level:,}",
                f"{layer.leaf_count:,}",
                f"{layer.proxy_count:,}",
                *sizes,
            ]
        )
    output.result("")
    columns = ["layer", "tiles", "Gaussians", "proxies", *(["size"] if layer_bytes else [])]
    output.table(columns, rows)
    if facts.quality:
        output.result("")
        output.result("quality against the source scene, from held-out views of the encoder:")
        output.table(
            ["first bytes", "PSNR (dB)", "SSIM"],
            [
                [
                    format_bytes(head.header.root_end + p.body_bytes),
                    f"{p.psnr_db:.1f}",
                    f"{p.ssim:.3f}",
                ]
                for p in facts.quality
            ],
        )
