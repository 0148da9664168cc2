"""Requests for http(s) URLs, as users write them, with their token, proxies and certificates.

urllib takes proxies from the environment: http_proxy, https_proxy, no_proxy. A server that asks to
come back soon is asked again.
"""

from __future__ import annotations

import base64
import gzip
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from exgs.client.errors import FORBIDDEN, retry_after_s
from exgs.codec.constants import MAGIC
from exgs.codec.errors import ExgsError
from exgs.scene.formats import READABLE

_TIMEOUT_S = 30.0
_ATTEMPTS = 5
_LONGEST_WAIT_S = 30.0  # that a server may ask for
_TOKEN_REMEDY = ": it wants a token, or another one: give it with EXGS_TOKEN"
_IN_URLS = "%/:@!$&'()*+,;=?"  # not escaped in a path and a query; "%" may start an escape
_KNOWN = (".exgs", *READABLE)
_BEGINNINGS = (
    (MAGIC, ".exgs"),
    (b"ply", ".ply"),
    (b"NGSP", ".spz"),
    (b"\x1f\x8b", ".spz"),
    (b"PK\x03\x04", ".sog"),
    (b"glTF", ".glb"),
    (b"{", ".json"),
    (b"[", ".json"),
)


class InputError(ExgsError):
    """An input can't be read, or has an unknown format."""


class Body(Protocol):
    """The body of an answer."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes."""
        ...


class Answer:
    """An answer whose body is unpacked while it is read.

    Attributes:
        status: 200 or 206.
        length: of the body in bytes; None if it is unknown.
    """

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.length = response.length
        self.body: Body = response
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("gzip", "x-gzip") and self.status == HTTPStatus.OK:
            self.length = None
            self.body = gzip.GzipFile(fileobj=response)
        elif encoding != "identity":
            raise ValueError(
                f"the server compresses the file (Content-Encoding: {encoding}); turn that off"
            )


class _Trust:
    """The certificates that requests of this process trust."""

    context: ssl.SSLContext | None = None


def trust(path: Path | None) -> None:
    """Also trust the certificates in a PEM file; with None only those that the system trusts.

    Raises InputError if it holds none, OSError.
    """
    _Trust.context = None
    if path is None:
        return
    context = ssl.create_default_context()
    path.read_bytes()  # the ssl module does not name a missing file
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise InputError(f"{path}: holds no certificate in PEM form") from error
    _Trust.context = context


def trusted() -> ssl.SSLContext | None:
    """What `trust` has set; None for the certificates that the system trusts."""
    return _Trust.context


def is_url(text: str) -> bool:
    """Whether an argument is an http(s) URL."""
    return text[:8].lower().startswith(("http://", "https://"))


def address_and_headers(url: str) -> tuple[str, dict[str, str]]:
    """A URL as its server expects it, and the headers that authorize. Raises InputError."""
    with named(url):
        request = _request(url)
    return request.full_url, dict(request.unredirected_hdrs)


def extension_of(url: str) -> str:
    """The extension of the file at a URL, "" if unknown.

    It is taken from the path, from a value in the query, or from the first bytes. Raises
    InputError.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        values = [value for _, value in urllib.parse.parse_qsl(parts.query)]
    except ValueError as error:
        raise InputError(f"{url}: {error}") from error
    found = [PurePosixPath(name).suffix.lower() for name in (parts.path, *values)]
    known = [ending for ending in found if ending in _KNOWN]
    return known[0] if known else _sniffed(url) or found[0]


@lru_cache(maxsize=16)
def _sniffed(url: str) -> str:
    with named(url), get(url, 0, len(MAGIC)) as answer:
        data = answer.body.read(len(MAGIC))
    return next((ending for start, ending in _BEGINNINGS if data.startswith(start)), "")


@contextmanager
def get(url: str, offset: int, length: int | None) -> Iterator[Answer]:
    """The answer to a request for `length` bytes from `offset`, or for the rest.

    Asks again if the server says when. Raises OSError, HTTPException, ValueError; see `named`.
    """
    request = _request(url)
    if offset or length is not None:
        end = "" if length is None else offset + length - 1
        request.add_header("Range", f"bytes={offset}-{end}")
    for attempt in range(_ATTEMPTS):
        try:
            opened = urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=trusted())
            break
        except urllib.error.HTTPError as error:
            wait_s = retry_after_s(dict(error.headers))
            if not 0 < wait_s <= _LONGEST_WAIT_S or attempt == _ATTEMPTS - 1:
                raise
            error.close()
            time.sleep(wait_s)
    with cast(HTTPResponse, opened) as response:
        yield Answer(response)


@contextmanager
def named(url: str) -> Iterator[None]:
    """Convert network errors to an InputError that names the URL."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        text = f"the server answers {error.code} {error.reason}".rstrip()
        if 300 <= error.code < 400:
            text = "the server redirects in a circle"
        if error.code == HTTPStatus.UNAUTHORIZED:
            text += _TOKEN_REMEDY
        if error.code == HTTPStatus.FORBIDDEN:
            text = FORBIDDEN
        raise InputError(f"{url}: {text}") from error
    except (IncompleteRead, EOFError) as error:
        raise InputError(f"{url}: the connection broke; try again") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        remedy = ""
        if isinstance(reason, ssl.SSLCertVerificationError):
            reason, remedy = reason.verify_message, "; for a private certificate give --ca FILE.pem"
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise InputError(f"{url}: {text}{remedy}") from error


def _request(url: str) -> urllib.request.Request:
    """A request for a URL as users write it, with any characters, spaces, name and password.

    Raises ValueError.
    """
    parts = urllib.parse.urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    if not host:
        raise ValueError("no host given")
    place = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        place = f"{place}:{parts.port}"
    path, query = (urllib.parse.quote(part, safe=_IN_URLS) for part in (parts.path, parts.query))
    request = urllib.request.Request(
        urllib.parse.urlunsplit((parts.scheme, place, path, query, ""))
    )
    token = os.environ.get("EXGS_TOKEN", "").strip()
    if parts.username is not None:
        name, password = map(urllib.parse.unquote, (parts.username, parts.password or ""))
        if ":" in name:  # RFC 7617, section 2
            raise ValueError("a name that goes with a password can't hold a colon")
        authorization = f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
        request.add_unredirected_header("Authorization", authorization)
    elif token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request
