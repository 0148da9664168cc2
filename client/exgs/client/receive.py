"""Receiving over connections that break: connect, go on, wait a little longer each time."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

import aiohttp

from exgs.client.delivery import Delivery
from exgs.client.errors import (
    TOKEN_REFUSED,
    ConnectionLostError,
    DamagedOnTheWayError,
    StreamError,
    retry_after_s,
)
from exgs.client.route import Route
from exgs.scene.camera import Camera

_ATTEMPTS = 6  # in a row that bring nothing, once something has come
_FIRST_ATTEMPTS = 2
_BACKOFF_S = 0.25  # doubles with every attempt
_CONNECT_S = 10.0
_SILENCE_S = 10.0
_LONGEST_WAIT_S = 120.0  # that a server may ask for
_PASSING = (ConnectionLostError, aiohttp.ClientError, TimeoutError, ConnectionError)


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
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as http:
        reconnections = failures = 0
        while True:
            before = delivery.kept_bytes
            failure: Exception
            try:
                await profile.receive(http, route)
                return reconnections
            except aiohttp.WSServerHandshakeError as error:
                failure = _refusal(error)
                if not isinstance(failure, ConnectionLostError):
                    raise failure from error
            except aiohttp.ClientSSLError as error:
                raise StreamError(_reason(error)) from error
            except _PASSING as error:
                failure = error
            damaged = isinstance(failure, DamagedOnTheWayError)
            failures = 1 if delivery.kept_bytes > before and not damaged else failures + 1
            reason = _reason(failure)
            if failures >= (_ATTEMPTS if delivery.kept_bytes else _FIRST_ATTEMPTS):
                raise StreamError(f"{reason}; gave up after {failures} attempts") from failure
            wait_s = _BACKOFF_S * 2 ** (failures - 1)
            if isinstance(failure, ConnectionLostError):
                wait_s = max(wait_s, failure.retry_after_s)
                if wait_s > _LONGEST_WAIT_S:
                    raise StreamError(f"{reason}; it asks to come back in {wait_s:g} s")
            note(f"{reason}; connecting again in {wait_s:g} s")
            await asyncio.sleep(wait_s)
            reconnections += 1


def _refusal(error: aiohttp.WSServerHandshakeError) -> StreamError:
    match error.status:
        case 401 | 403:
            return StreamError(TOKEN_REFUSED)
        case 429 | 503:
            wait_s = retry_after_s(error.headers)
            return ConnectionLostError(f"the server answers {error.status}", retry_after_s=wait_s)
        case status:
            return StreamError(f"the server answers {status} instead of opening a WebSocket")


def _reason(error: Exception) -> str:
    match error:
        case ConnectionLostError():
            return str(error)
        case aiohttp.ClientConnectorError(os_error=cause):
            reason = getattr(cause, "verify_message", None) or _strerror(cause)
            return f"can't connect: {reason.lower()}"
        case TimeoutError():
            return "nothing came for a while"
        case _:
            return "the connection broke"


def _strerror(error: OSError) -> str:
    """The system's word for `error`; those of TLS and of names have numbers of their own."""
    if error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error)
