"""What an operator can set, and nothing computed from it.

Every limit has a value that suits one process on a small machine; 0 switches a limit per address
off.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

TOKEN: web.RequestKey[str | None] = web.RequestKey("token", str | None)  # type: ignore[arg-type]

# (request, name of a scene) -> whether it may be read. The token that the client has shown, in a
# header or in HELLO, is request[TOKEN].
Authorize = Callable[[web.Request, str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take over what it has to do, in seconds."""

    head_s: float = 10.0  # from connecting, or from a request's first byte, to the end of its head
    idle_s: float = 60.0  # between two requests of one connection
    hello_s: float = 10.0  # from the open WebSocket to HELLO
    piece_s: float = 10.0  # to take 4 KiB of what has been sent, or all that is left of it
    ping_s: float = 30.0  # between pings of an idle stream; it ends when three find no answer
    shutdown_s: float = 1.2  # for GOAWAY, and for answers that are on their way


@dataclass(frozen=True, slots=True)
class Quota:
    """How much may happen at once."""

    streams: int = 2000
    connections: int = 4000
    connections_per_address: int = 128
    requests_per_s: float = 200.0  # per address, twice as many in one second
    # A proxy on the same machine speaks for many clients and counts them itself.
    unlimited_addresses: frozenset[str] = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What to serve, to whom, and within which limits."""

    root: Path | str  # a folder, one file, or an object store: "s3://bucket/prefix"
    host: str = "127.0.0.1"
    port: int = 8080  # 0 takes a free one
    token: str | None = field(default=None, repr=False)
    cors_origins: tuple[str, ...] = ()  # "https://viewer.example"; "*" lets every page read
    authorize: Authorize | None = None
    tls: ssl.SSLContext | None = None
    patience: Patience = Patience()
    quota: Quota = Quota()
    reload_s: float = 2.0  # between looks at what is there

    def __post_init__(self) -> None:
        if self.token == "":
            raise ValueError("an empty token lets nobody in; None asks for none")
