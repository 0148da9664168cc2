"""`exgs serve`: serve .exgs files until it is interrupted. Logs go to stderr."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import socket
import ssl
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from exgs.cli.arguments import count, host, origin, port, token
from exgs.cli.output import Output
from exgs.cli.urls import InputError
from exgs.server.app import serve
from exgs.server.config import Quota, ServerConfig
from exgs.server.log import log_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="folder with .exgs files, or an object store: s3://bucket/prefix",
    )
    parser.add_argument(
        "--host", type=host, default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=port, default=8080, help="port to listen on; 0: a free port (default: 8080)"
    )
    parser.add_argument(
        "--token",
        type=token,
        metavar="T",
        default=os.environ.get("EXGS_TOKEN"),
        help="require this bearer token (default: $EXGS_TOKEN)",
    )
    metrics = parser.add_mutually_exclusive_group()
    metrics.add_argument(
        "--metrics-token",
        type=token,
        metavar="T",
        default=os.environ.get("EXGS_METRICS_TOKEN") or None,
        help="/metrics wants this token instead (default: $EXGS_METRICS_TOKEN, else --token)",
    )
    metrics.add_argument(
        "--open-metrics", action="store_true", help="/metrics wants no token, for any reader"
    )
    parser.add_argument(
        "--prefix",
        type=_prefix,
        default="",
        metavar="/PATH",
        help="path under which a proxy shows this server, for the URLs in /scenes; the proxy"
        " removes it from requests",
    )
    parser.add_argument(
        "--cors-origin",
        action="append",
        type=origin,
        default=[],
        metavar="URL",
        help="allow web pages of this origin to read; can be repeated",
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE.pem", help="serve https with this certificate chain"
    )
    parser.add_argument(
        "--tls-key", type=Path, metavar="FILE.pem", help="private key of --tls-cert"
    )
    quota = Quota()
    parser.add_argument(
        "--connections-per-address",
        type=count,
        default=quota.connections_per_address,
        metavar="N",
        help="maximum number of connections from one IP"
        f" (default: {quota.connections_per_address}; 0: no limit)",
    )
    parser.add_argument(
        "--requests-per-address",
        type=count,
        default=int(quota.requests_per_s),
        metavar="N",
        help="maximum number of requests per second from one IP"
        f" (default: {quota.requests_per_s:.0f}; 0: no limit)",
    )
    parser.add_argument(
        "--unlimited-address",
        action="append",
        default=[],
        metavar="IP",
        help="IP without limits per address, such as a proxy; can be repeated",
    )


def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    if arguments.tls_key and not arguments.tls_cert:
        arguments.usage_error("--tls-key needs its certificate: --tls-cert FILE.pem")
    root = arguments.folder if "://" in arguments.folder else Path(arguments.folder)
    if isinstance(root, Path) and not root.is_dir():
        remedy = "; serve its folder, or look at it with `exgs view`" if root.is_file() else ""
        raise InputError(f"{root}: is not a folder{remedy}")
    if not output.quiet:
        log_json(sys.stderr)
    tls = _tls(arguments.tls_cert, arguments.tls_key) if arguments.tls_cert else None
    quota = Quota()
    config = ServerConfig(
        root=root,
        host=arguments.host,
        port=arguments.port,
        token=arguments.token,
        metrics_token=arguments.metrics_token,
        is_metrics_open=arguments.open_metrics,
        prefix=arguments.prefix,
        cors_origins=tuple(arguments.cors_origin),
        tls=tls,
        quota=replace(
            quota,
            connections_per_address=arguments.connections_per_address,
            requests_per_s=float(arguments.requests_per_address),
            unlimited_addresses=quota.unlimited_addresses.union(arguments.unlimited_address),
        ),
    )
    scheme = "https" if tls else "http"

    def ready(host: str, port: int) -> None:
        output.result(f"serving {arguments.folder} at {scheme}://{_bracketed(host)}:{port}/scenes")
        output.flush()

    try:
        asyncio.run(serve(config, ready=ready))
    except OSError as error:
        if error.filename is not None:
            raise
        raise InputError(_refusal(arguments.host, arguments.port, error)) from error


def _prefix(text: str) -> str:
    """A path as in /gs, without a slash at its end."""
    path = text.rstrip("/")
    if path and (not path.startswith("/") or quote(path, safe="/%") != path):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a path of a URL that starts with a slash"
        )
    return path


def _tls(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for path in filter(None, (certificate, key)):
        with path.open("rb"):  # the ssl module does not name a missing file
            pass
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        reason = error.reason or "not a PEM file"
        raise InputError(f"{certificate}: no certificate and key to use: {reason}") from error
    return context


def _refusal(host: str, port: int, error: OSError) -> str:
    """The reason why the server can't listen at `host` and `port`."""
    reason = error.strerror or str(error)
    if error.errno and not isinstance(error, socket.gaierror):  # gaierror has its own numbers
        reason = os.strerror(error.errno)
    remedy = "; choose another --port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else ""
    return f"can't listen at {_bracketed(host)}:{port}: {reason}{remedy}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
