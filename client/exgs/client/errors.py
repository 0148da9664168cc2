"""What can go wrong between a client and its server, by what the user can do about it."""

from __future__ import annotations

from collections.abc import Mapping

from exgs.codec.errors import ExgsError

TOKEN_REFUSED = "the server wants a token, or another one: give it with --token or EXGS_TOKEN"
_RETRYABLE_STATUSES = (429, 500, 502, 503, 504)  # of HTTP: a later request may not meet them


class StreamError(ExgsError):
    """The server refuses, or can't be reached any more."""


class SceneChangedError(StreamError):
    """The file on the server is not the one that was begun: start again."""


class ConnectionLostError(StreamError):
    """This connection is over; another one may go on from here.

    Attributes:
        retry_after_s: how long the server asks to stay away.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DamagedOnTheWayError(ConnectionLostError):
    """What came does not match its hash; another connection may bring it unharmed.

    Attributes:
        part: id of the part that it is about; None where it is not known.
    """

    def __init__(self, message: str, *, part: int | None = None) -> None:
        super().__init__(message)
        self.part = part


class DamagedAtServerError(StreamError):
    """A part comes damaged again and again: the file has to be uploaded anew."""


def refusal_of(status: int, headers: Mapping[str, str] | None, detail: str) -> StreamError:
    """What an HTTP status other than the one hoped for means; `detail` goes behind its number.

    ConnectionLostError where another request may do better.
    """
    if status in (401, 403):
        return StreamError(TOKEN_REFUSED)
    if status in _RETRYABLE_STATUSES:
        return ConnectionLostError(
            f"the server answers {status}", retry_after_s=_retry_after_s(headers)
        )
    return StreamError(f"the server answers {status} {detail}".rstrip())


def _retry_after_s(headers: Mapping[str, str] | None) -> float:
    """The seconds of Retry-After; 0 where there are none, or a date."""
    value = (headers or {}).get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0
