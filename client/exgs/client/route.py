"""The way to a server: its URL as it is, or the same through a shaped link on the loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from yarl import URL

from exgs.client.errors import StreamError
from exgs.client.link import Link
from exgs.client.link_proxy import LinkProxy

_SCHEMES = ("http", "https", "ws", "wss")


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach a server."""

    url: URL  # to connect to
    headers: Mapping[str, str] = field(default_factory=dict)
    server_hostname: str | None = None  # for TLS, where it is not that of `url`


def parse_url(text: str) -> URL:
    """A URL that a scene can be streamed from; raises StreamError."""
    try:
        url = URL(text)
        (url.host or "").encode("idna")
        known = url.scheme in _SCHEMES and bool(url.host) and url.port is not None
    except ValueError:
        known = False
    if not known:
        raise StreamError(f"{text}: not an http, https, ws or wss URL")
    return url


@asynccontextmanager
async def open_route(url: URL, link: Link | None, *, seed: int = 0) -> AsyncIterator[Route]:
    """The route to `url`, over `link` if there is one."""
    if link is None:
        yield Route(url)
        return
    host, port = url.host or "", url.port or 0
    async with LinkProxy(link, host, port, seed=seed) as proxy:
        near_host, near_port = proxy.address
        yield Route(
            url.with_host(near_host).with_port(near_port),
            {"Host": url.authority},
            host if url.scheme in ("https", "wss") else None,
        )
