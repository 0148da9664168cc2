"""`exgs serve`: serve a folder of .exgs files until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from exgs.cli.inputs import InputError
from exgs.cli.output import Output
from exgs.server.app import serve
from exgs.server.config import ServerConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="holds the .exgs files")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one (8080)")
    parser.add_argument("--token", metavar="T", help="ask clients for this bearer token")
    parser.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="URL",
        help="let web pages of this origin read; can be given more than once",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    if not arguments.folder.is_dir():
        raise InputError(f"{arguments.folder}: is not a folder")
    config = ServerConfig(
        root=arguments.folder,
        host=arguments.host,
        port=arguments.port,
        token=arguments.token,
        cors_origins=tuple(arguments.cors_origin),
    )

    def ready(host: str, port: int) -> None:
        output.result(f"serving {arguments.folder} at http://{_bracketed(host)}:{port}/scenes")
        output.flush()

    asyncio.run(serve(config, ready=ready))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
