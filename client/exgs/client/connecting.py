"""Receives over unreliable connections: reconnects and continues, with growing pauses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Protocol

import aiohttp
from yarl import URL

from exgs.client.delivery import Delivery
from exgs.client.errors import (
    ConnectionLostError,
    DamagedOnTheWayError,
    StreamError,
    refusal_of,
)
from exgs.client.flow.backoff import Backoff, GiveUp
from exgs.client.flow.silence import CONNECT_S, SILENCE_S
from exgs.client.route import Route
from exgs.scene.camera import Camera

_CONNECTION_ERRORS = (ConnectionLostError, aiohttp.ClientError, TimeoutError, ConnectionError)


class Profile(Protocol):
    """A transfer profile for receiving a scene."""

    def look(self, camera: Camera) -> None:
        """Set the camera. What it sees should arrive first."""
        ...

    def lift_limit(self) -> None:
        """Remove all limits, from the next `receive` on."""
        ...

    async def receive(self, http: aiohttp.ClientSession, route: Route) -> None:
        """Receive over one connection until everything has arrived.

        Raises ConnectionLostError or an aiohttp error if another connection may work.
        """
        ...


async def receive_all(
    profile: Profile,
    route: Route,
    delivery: Delivery,
    on_lost: Callable[[str], None],
    *,
    backoff: Backoff | None = None,
    silence_s: float = SILENCE_S,
    tls: ssl.SSLContext | None = None,
) -> int:
    """Receive everything that `profile` wants. Returns the number of reconnections.

    `on_lost` is called with a line of text: why a connection ended and when the next one follows.
    `tls` says which certificates to trust; by default those that the system trusts.
    Raises StreamError if the server can't be reached any more, and the errors of the profile.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silence_s)
    backoff = backoff if backoff is not None else Backoff()
    now_s = asyncio.get_running_loop().time
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls if tls is not None else True),
        timeout=timeout,
        auto_decompress=False,
        trace_configs=[_keeping_to(route)],
    ) as http:
        reconnections = 0
        while True:
            try:
                await profile.receive(http, route)
                return reconnections
            except _CONNECTION_ERRORS as error:
                cause, failure = error, _named(error, route)
            if not isinstance(failure, ConnectionLostError):
                raise failure from cause
            decision = backoff.failed(
                now_s(),
                delivery.kept_bytes,
                retry_after_s=failure.retry_after_s,
                damaged_part=failure.part if isinstance(failure, DamagedOnTheWayError) else None,
            )
            if isinstance(decision, GiveUp):
                raise StreamError(f"{failure}; {decision.reason}") from cause
            on_lost(f"{failure}; connecting again in {decision.wait_s:g} s")
            await asyncio.sleep(decision.at_s - now_s())
            reconnections += 1


def _keeping_to(route: Route) -> aiohttp.TraceConfig:
    """Refuse redirects to other servers with an emulated link, which they would bypass."""

    async def check(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        redirect: aiohttp.TraceRequestRedirectParams,
    ) -> None:
        answer = redirect.response
        target = answer.headers.get("Location", "")
        with contextlib.suppress(ValueError):  # not a URL: aiohttp reports it
            if route.link is None or answer.url.join(URL(target)).origin() == route.url.origin():
                return
            answer.close()
            raise StreamError(
                f"the server redirects to {target}; to stream from there over the link, "
                "give that URL"
            )

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(check)
    return tracing


def _named(error: Exception, route: Route) -> StreamError:
    """Convert an error of a connection; ConnectionLostError if another connection may work."""
    match error:
        case StreamError():
            return error
        case aiohttp.WSServerHandshakeError(status=status, headers=headers):
            return refusal_of(status, headers, "instead of opening a WebSocket")
        case aiohttp.ClientHttpProxyError(status=status, message=message):
            return StreamError(f"the proxy answers {status} {message}".rstrip())
        case aiohttp.TooManyRedirects():
            return StreamError("the server redirects in a circle")
        case aiohttp.InvalidURL(url=url) | aiohttp.NonHttpUrlClientError(args=(url,)):
            return StreamError(f"the server redirects to {url}, which can't be fetched")
        case aiohttp.ClientSSLError(os_error=cause):
            return StreamError(_no_connection(cause))
        case aiohttp.ClientConnectorError(os_error=cause):
            return ConnectionLostError(_no_connection(cause))
        case _ if route.connect_error is not None:
            return ConnectionLostError(_no_connection(route.connect_error))
        case TimeoutError():
            return ConnectionLostError("nothing came for a while")
        case _:
            return ConnectionLostError("the connection broke")


def _no_connection(cause: OSError) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"can't connect: {cause.verify_message}; for a private certificate give --ca FILE.pem"
        )
    return f"can't connect: {_strerror(cause).lower()}"


def _strerror(error: OSError) -> str:
    """The system's message for `error`. Errors of TLS and of name lookup have other numbers."""
    if error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error)
