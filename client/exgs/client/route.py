"""The way to a server: its URL as it is, or the same through a shaped link on the loopback.

A name and password in a URL are for Authorization and have no place elsewhere, so they are taken
out of it here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
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
    proxy: LinkProxy | None = None  # that `url` leads to, instead of the server

    @property
    def connect_error(self) -> OSError | None:
        """Why the proxy does not reach the server; None where it does, or there is none."""
        return self.proxy.connect_error if self.proxy is not None else None


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
    if ":" in (url.user or ""):  # RFC 7617, section 2
        raise StreamError(f"{text}: a name that goes with a password can't hold a colon")
    return url


@asynccontextmanager
async def open_route(url: URL, link: Link | None, *, seed: int = 0) -> AsyncIterator[Route]:
    """The route to `url`, over `link` if there is one."""
    headers: dict[str, str] = {}
    if url.user is not None or url.password is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(url.user or "", url.password or "")
        url = url.with_user(None)
    if link is None:
        yield Route(url, headers)
        return
    host, port = url.host or "", url.port or 0
    async with LinkProxy(link, host, port, seed=seed) as proxy:
        near_host, near_port = proxy.address
        yield Route(
            url.with_host(near_host).with_port(near_port),
            {**headers, "Host": url.host_port_subcomponent or host},
            host if url.scheme in ("https", "wss") else None,
            proxy,
        )
