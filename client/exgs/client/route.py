"""The route to a server: its URL, an HTTP proxy, or an emulated link on the loopback interface.

The proxy is that of the environment, as in other programs: http_proxy, https_proxy, no_proxy. An
emulated link then leads to the proxy.

A name and password in a URL are used for Authorization only, so they are removed from the URL here.
"""

from __future__ import annotations

import urllib.request
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
    link: LinkProxy | None = None  # the emulated link at `url` or at `via`, if there is one
    via: URL | None = None  # HTTP proxy

    @property
    def connect_error(self) -> OSError | None:
        """Why the link can't reach the server; None if it can, or if there is no link."""
        return self.link.connect_error if self.link is not None else None


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


def proxy_of(url: URL) -> URL | None:
    """The HTTP proxy that the environment names for `url`.

    None if there is none. Raises StreamError if it is not an HTTP proxy.
    """
    scheme = {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme)
    text = urllib.request.getproxies().get(scheme, "")
    if not text or urllib.request.proxy_bypass(url.host_port_subcomponent or ""):
        return None
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
        known = proxy.scheme in ("http", "https") and bool(proxy.host) and proxy.port is not None
    except ValueError:
        known = False
    if not known:
        raise StreamError(f"{scheme}_proxy is {text!r}: not the URL of an HTTP proxy")
    return proxy


@asynccontextmanager
async def open_route(url: URL, link: Link | None, *, seed: int = 0) -> AsyncIterator[Route]:
    """The route to `url`, through `link` if it is given."""
    headers: dict[str, str] = {}
    if url.user is not None or url.password is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(url.user or "", url.password or "")
        url = url.with_user(None)
    via = proxy_of(url)
    if link is None:
        yield Route(url, headers, via=via)
        return
    far = url if via is None else via
    host, port = far.host or "", far.port or 0
    async with LinkProxy(link, host, port, seed=seed) as near:
        near_host, near_port = near.address
        near_url = far.with_host(near_host).with_port(near_port)
        if via is not None:
            yield Route(url, headers, link=near, via=near_url)
            return
        yield Route(
            near_url,
            {**headers, "Host": url.host_port_subcomponent or host},
            host if url.scheme in ("https", "wss") else None,
            near,
        )
