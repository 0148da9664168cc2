"""`exgs export`: one HTML file that shows a scene, without a server.

The file contains the viewer page and the scene in blocks of base64, which are decoded while the
rest is still loading. With --url it contains the page alone, which reads the scene from that URL.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from exgs.cli.extras import require
from exgs.cli.inputs import local_file, require_output
from exgs.cli.output import Output, printable
from exgs.cli.outputs import add_overwrite, check_output
from exgs.cli.urls import InputError
from exgs.codec.format.container import FileHead, ReadRange, open_head, read_poster
from exgs.scene.files import atomic_write

_BLOCK_BYTES = 48 << 10  # per element; a multiple of 3, so that blocks need no padding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("scene", metavar="FILE|URL", help="an .exgs file")
    parser.add_argument(
        "-o", "--out", metavar="OUT.html", type=Path, required=True, help="the file to write"
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="read the scene from this URL, relative to the page (such as scene.exgs beside it),"
        " instead of including it",
    )
    add_overwrite(parser)


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    require("aiohttp")
    from exgs.server.web_page import load_single_page, poster_of

    require_output(arguments.out, ".html", ".htm")
    page = load_single_page()
    if page is None:
        raise InputError("the page is not built; run `make page` in the exgs folder")
    check_output(arguments.out, arguments)
    url = arguments.url
    if url is not None and (not url or urlsplit(url).scheme not in ("", "http", "https")):
        arguments.usage_error("--url is a path beside the page, or an http(s) URL")
    output.subject = arguments.scene
    with local_file(arguments.scene) as path, path.open("rb") as scene:

        def read(offset: int, length: int) -> bytes:
            scene.seek(offset)
            return scene.read(length)

        head = open_head(read)
        poster = poster_of(read_poster(read))
        facts = head.root.facts
        title = printable(facts.name) or arguments.out.stem
        data: dict[str, object] = {"content": arguments.url or "", "name": title}
        if arguments.url is None:
            data["embedded"] = head.header.file_bytes
        front, back = page.parts(
            data,
            title=title,
            poster="" if poster is None else poster.url,
            content=arguments.url or "",
        )
        with atomic_write(arguments.out) as file:
            file.write(front.encode())
            if arguments.url is None:
                file.writelines(block.encode() for block in _blocks(head, read))
            file.write(back.encode())
    output.done(arguments.out)


def _blocks(head: FileHead, read: ReadRange) -> Iterator[str]:
    """Yield the scene in file order. Raises InputError if the file is truncated."""
    size = head.header.file_bytes
    for offset in range(0, size, _BLOCK_BYTES):
        wanted = min(_BLOCK_BYTES, size - offset)
        block = read(offset, wanted)
        if len(block) < wanted:
            raise InputError(f"the file ends at byte {offset + len(block)} of {size}")
        yield f'<script type="application/x-exgs">{base64.b64encode(block).decode()}</script>\n'
