"""Receiving over connections that break: connect, go on, wait a little longer each time."""

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
from exgs.client.route import Route
from exgs.scene.camera import Camera

_ATTEMPTS = 6  # in a row that bring nothing, once something has come
_FIRST_ATTEMPTS = 2
_BACKOFF_S = 0.25  # doubles with every attempt
_CONNECT_S = 10.0
SILENCE_S = 10.0  # without a byte, after which a connection is given up
_LONGEST_WAIT_S = 120.0  # that a server may ask for
_CONNECTION_ERRORS = (ConnectionLostError, aiohttp.ClientError, TimeoutError, ConnectionError)


class Profile(Protocol):
    """One way to receive a scene."""

    limit_bytes: int | None  # to stop after

    def look(self, camera: Camera) -> None:
        """Look from here from now on: what the camera sees shall come first."""
        ...

    async def receive(self, http: aiohttp.ClientSession, route: Route) -> None:
        """Receive over one connection, from what is here until everything is.

        Raises ConnectionLostError or what aiohttp raises where another connection may do better.
        """
        ...


async def receive(
    profile: Profile, route: Route, delivery: Delivery, note: Callable[[str], None]
) -> int:
    """Receive all that `profile` wants; returns how often the connection had to be made anew.

    Raises StreamError when the server can't be reached any more, and what the profile raises.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=SILENCE_S)
    async with aiohttp.ClientSession(
        timeout=timeout, auto_decompress=False, trace_configs=[_keeping_to(route)]
    ) as http:
        reconnections = failures = 0
        while True:
            before = delivery.kept_bytes
            try:
                await profile.receive(http, route)
                return reconnections
            except _CONNECTION_ERRORS as error:
                cause, failure = error, _named(error, route)
            if not isinstance(failure, ConnectionLostError):
                raise failure from cause
            damaged = isinstance(failure, DamagedOnTheWayError)
            failures = 1 if delivery.kept_bytes > before and not damaged else failures + 1
            if failures >= (_ATTEMPTS if delivery.kept_bytes else _FIRST_ATTEMPTS):
                raise StreamError(f"{failure}; gave up after {failures} attempts") from cause
            wait_s = max(_BACKOFF_S * 2 ** (failures - 1), failure.retry_after_s)
            if wait_s > _LONGEST_WAIT_S:
                raise StreamError(f"{failure}; it asks to come back in {wait_s:g} s") from cause
            note(f"{failure}; connecting again in {wait_s:g} s")
            await asyncio.sleep(wait_s)
            reconnections += 1


def _keeping_to(route: Route) -> aiohttp.TraceConfig:
    """Refuses redirects to elsewhere, where a link leads: the way there would go past it."""

    async def check(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        redirect: aiohttp.TraceRequestRedirectParams,
    ) -> None:
        answer = redirect.response
        target = answer.headers.get("Location", "")
        with contextlib.suppress(ValueError):  # no URL at all: aiohttp says so itself
            if route.proxy is None or answer.url.join(URL(target)).origin() == route.url.origin():
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
    """What went wrong with a connection; ConnectionLostError where another one may do better."""
    match error:
        case StreamError():
            return error
        case aiohttp.WSServerHandshakeError(status=status, headers=headers):
            return refusal_of(status, headers, "instead of opening a WebSocket")
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
    reason = getattr(cause, "verify_message", None) or _strerror(cause)
    return f"can't connect: {reason.lower()}"


def _strerror(error: OSError) -> str:
    """The system's word for `error`; those of TLS and of names have numbers of their own."""
    if error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error)
