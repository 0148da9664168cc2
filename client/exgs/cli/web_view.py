"""`exgs view`: show a scene in the browser, with a local server on a free port.

The server serves only the given file, not its folder. It reads a scene at a URL itself and forwards
it: a browser would need permission (CORS) from the server of that URL.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from exgs.cli.arguments import port
from exgs.cli.extras import require
from exgs.cli.inputs import local_file, open_input
from exgs.cli.output import Output
from exgs.cli.urls import InputError, address_and_headers, is_url, trusted
from exgs.codec.format.container import open_head

_SUFFIX = ".exgs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("scene", metavar="FILE|URL", help="an .exgs file")
    parser.add_argument(
        "--port", type=port, default=0, help="port to listen on (default: a free port)"
    )
    parser.add_argument(
        "--no-browser",
        action="store_true",
        help="print the address only, without opening a browser",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    require("aiohttp")
    require("prometheus_client")
    from exgs.server.app import serve
    from exgs.server.config import ServerConfig
    from exgs.server.remote import PATH, RemoteFile
    from exgs.server.web_page import load_page

    if load_page() is None:
        raise InputError("the page is not built; run `make page` in the exgs folder")
    output.subject = arguments.scene
    with open_input(arguments.scene) as source:  # refuse files that are not scenes
        open_head(source.read)
    remote = None
    if is_url(arguments.scene):
        remote = RemoteFile(*address_and_headers(arguments.scene), tls=trusted())
    path = f"/?content={PATH}" if remote else _path(Path(arguments.scene))

    def ready(host: str, number: int) -> None:
        url = f"http://{host}:{number}{path}"
        output.result(f"{arguments.scene} is at {url}")
        output.flush()
        if not arguments.no_browser and not _open(url):
            output.note("no browser could be opened; open the address by hand")
        output.note("Ctrl-C ends it")

    try:
        with _root(arguments.scene) as root:
            config = ServerConfig(root=root, port=arguments.port)
            asyncio.run(serve(config, ready=ready, remote=remote))
    except OSError as error:
        if error.filename is not None:
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"can't listen at port {arguments.port}: {reason}") from error


@contextmanager
def _root(scene: str) -> Iterator[Path]:
    """The file to serve, copied from a store; an empty folder if the scene is at a URL."""
    if not is_url(scene):
        with local_file(scene) as path:
            yield path
        return
    with tempfile.TemporaryDirectory(prefix="exgs-") as empty:
        yield Path(empty)


def _path(file: Path) -> str:
    """The path of the page for a file."""
    return f"/scenes/{quote(file.name.removesuffix(_SUFFIX), safe='')}/"


def _open(url: str) -> bool:
    """Open the user's browser. Returns False without a screen, where Python might still try."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    ):
        return False
    return webbrowser.open(url)
