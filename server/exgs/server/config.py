"""The options of an operator, without computed values.

The defaults suit one process on a small machine. A limit per address of 0 disables the limit.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

TOKEN: web.RequestKey[str | None] = web.RequestKey("token", str | None)  # type: ignore[arg-type]

# (request, name of a scene) -> whether it may be read. request[TOKEN] is the token of the client,
# from a header or from HELLO.
Authorize = Callable[[web.Request, str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits of connections, in seconds."""

    head_s: float = 10.0  # from connecting, or a request's first byte, to the end of its head
    idle_s: float = 60.0  # between two requests of one connection
    hello_s: float = 10.0  # from the open WebSocket to HELLO
    piece_s: float = 10.0  # for the client to read 4 KiB, or all of what has been sent
    ping_s: float = 30.0  # between pings of an idle stream; three unanswered pings end it
    shutdown_s: float = 1.2  # for GOAWAY and for responses in progress


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits on simultaneous connections and on request rates."""

    streams: int = 2000
    connections: int = 4000
    connections_per_address: int = 128
    requests_per_s: float = 200.0  # per address; bursts of twice as many
    # A proxy on the same machine forwards many clients and has its own limits.
    unlimited_addresses: frozenset[str] = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What to serve, access control and limits."""

    root: Path | str  # a folder, one file, or an object store: "s3://bucket/prefix"
    host: str = "127.0.0.1"
    port: int = 8080  # 0: any free port
    token: str | None = field(default=None, repr=False)
    metrics_token: str | None = field(default=None, repr=False)  # for /metrics instead of `token`
    is_metrics_open: bool = False  # /metrics asks for no token
    prefix: str = ""  # path that a proxy puts before all others and removes: "/gs"
    cors_origins: tuple[str, ...] = ()  # such as "https://viewer.example"; "*" allows every page
    authorize: Authorize | None = None
    tls: ssl.SSLContext | None = None
    patience: Patience = Patience()
    quota: Quota = Quota()
    reload_s: float = 2.0  # between refreshes of the catalogue

    def __post_init__(self) -> None:
        if "" in (self.token, self.metrics_token):
            raise ValueError("the token is empty; use None for a server without a token")
        if self.prefix and (not self.prefix.startswith("/") or self.prefix.endswith("/")):
            raise ValueError(
                f"the prefix {self.prefix!r} must start with a slash and not end with one"
            )
