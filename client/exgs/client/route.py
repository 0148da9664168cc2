"""The route to a server: its URL, or an emulated link on the loopback interface.

A name and password in a URL are used for Authorization only, so they are removed from the URL here.
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
    """The route to a server."""

    url: URL  # to connect to
    headers: Mapping[str, str] = field(default_factory=dict)
    server_hostname: str | None = None  # for TLS, if it differs from the host of `url`
    proxy: LinkProxy | None = None  # the proxy at `url`, if there is one

    @property
    def connect_error(self) -> OSError | None:
        """Why the proxy can't reach the server; None if it can, or if there is no proxy."""
        return self.proxy.connect_error if self.proxy is not None else None


def parse_url(text: str) -> URL:
    """Parse the URL of a scene. Raises StreamError."""
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
    """The route to `url`, through `link` if it is given."""
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
