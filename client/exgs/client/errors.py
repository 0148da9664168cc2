"""Errors between a client and its server, by what the user can do about them."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping

from exgs.codec.errors import ExgsError

TOKEN_REFUSED = "the server wants a token, or another one: give it with --token or EXGS_TOKEN"
FORBIDDEN = "the server answers 403: the URL has expired, or it wants another token"
_RETRYABLE_STATUSES = (429, 500, 502, 503, 504)  # HTTP: a later request may succeed


class StreamError(ExgsError):
    """The server refuses the request, or can't be reached any more."""


class SceneChangedError(StreamError):
    """The file on the server has changed since receiving started. Start again."""


class ConnectionLostError(StreamError):
    """This connection has ended. Another one may continue.

    Attributes:
        retry_after_s: time that the server asks to wait before reconnecting.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DamagedOnTheWayError(ConnectionLostError):
    """Received data does not match its hash. Another connection may transfer it correctly.

    Attributes:
        part: id of the damaged part; None if it is unknown.
    """

    def __init__(self, message: str, *, part: int | None = None) -> None:
        super().__init__(message)
        self.part = part


class DamagedAtServerError(StreamError):
    """A part arrives damaged repeatedly: the file must be uploaded again."""


def refusal_of(status: int, headers: Mapping[str, str] | None, detail: str) -> StreamError:
    """The error for an unexpected HTTP status. `detail` follows its number in the message.

    ConnectionLostError if another request may succeed.
    """
    if status == 401:
        return StreamError(TOKEN_REFUSED)
    if status == 403:
        return StreamError(FORBIDDEN)
    if status in _RETRYABLE_STATUSES:
        return ConnectionLostError(
            f"the server answers {status}", retry_after_s=retry_after_s(headers)
        )
    return StreamError(f"the server answers {status} {detail}".rstrip())


def retry_after_s(headers: Mapping[str, str] | None) -> float:
    """The seconds of Retry-After, also if it is a date; 0 if it is missing or unreadable."""
    headers = headers or {}
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    then_s = _seconds_of(value)
    now_s = _seconds_of(headers.get("Date", ""))  # by the server's clock
    if then_s is None:
        return 0.0
    return max(0.0, then_s - (time.time() if now_s is None else now_s))


def _seconds_of(date: str) -> float | None:
    """An HTTP date in seconds since 1970. None if it is none."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
