"""Inputs of commands: files and http(s) URLs, of which only the needed bytes are fetched.

For servers that require a token, $EXGS_TOKEN or the name and password of the URL are sent.

`open_input` gives random access, with one range request for the head of a file. `local_file` gives
a path for readers that need one, and fetches only the bytes that they may use.
"""

from __future__ import annotations

import base64
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from exgs.cli.output import Report
from exgs.codec.errors import ExgsError

_TIMEOUT_S = 30.0
_BLOCK_BYTES = 256 << 10
_TOKEN_REMEDY = ": it wants a token, or another one: give it with EXGS_TOKEN"
_IN_URLS = "%/:@!$&'()*+,;=?"  # not escaped in a path and a query; "%" may start an escape


class InputError(ExgsError):
    """An input can't be read, or has an unknown format."""


class Input(Protocol):
    """A file or URL with random access."""

    name: str

    def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes at `offset`; fewer only at the end."""
        ...


def is_url(text: str) -> bool:
    """Whether an argument is an http(s) URL."""
    return text[:8].lower().startswith(("http://", "https://"))


def extension(text: str) -> str:
    """The extension of a path or URL in lower case, which determines the format.

    Raises InputError.
    """
    if not is_url(text):
        return Path(text).suffix.lower()
    try:
        return Path(urllib.parse.urlsplit(text).path).suffix.lower()
    except ValueError as error:
        raise InputError(f"{text}: {error}") from error


def require_extension(text: str, *known: str) -> str:
    """The extension of `text`. Raises InputError if it is not in `known`."""
    found = extension(text)
    if found not in known:
        raise InputError(f"{text}: expected a name that ends in {' or '.join(known)}")
    return found


def require_scene(text: str, *known: str) -> None:
    """Raise InputError if `text` is no folder, and its extension is not in `known`."""
    if not is_url(text) and Path(text).is_dir():
        return
    if require_extension(text, *known) in (".json", ".lcc") and is_url(text):
        raise InputError(
            f"{text}: names other files, which are not fetched: fetch them all, or name a .sog"
        )


@contextmanager
def open_input(text: str) -> Iterator[Input]:
    """Random access to a file or URL. Raises InputError, OSError."""
    if is_url(text):
        yield _Url(text)
        return
    with Path(text).open("rb") as file:
        yield _File(text, file)


@contextmanager
def local_file(
    text: str,
    *,
    max_bytes: int | None = None,
    report: Report = lambda stage, fraction: None,
) -> Iterator[Path]:
    """A path with the content of a file, or with the first `max_bytes` bytes of a URL.

    `report` is called with the progress of fetching a URL. Raises InputError.
    """
    if not is_url(text):
        yield Path(text)
        return
    with tempfile.TemporaryDirectory(prefix="exgs-") as folder:
        path = Path(folder) / f"input{extension(text)}"
        with path.open("wb") as file, _named(text), _get(text, 0, max_bytes) as response:
            _copy(response, file, max_bytes, report)
        try:
            yield path
        except ExgsError as error:  # errors that name the copy must name the URL
            if str(path) in str(error):
                raise InputError(str(error).replace(str(path), text)) from error
            raise


def _copy(response: HTTPResponse, file: BinaryIO, max_bytes: int | None, report: Report) -> None:
    """Yield the body of a response, or its first `max_bytes` bytes."""
    wanted = min((n for n in (response.length, max_bytes) if n is not None), default=None)
    done = 0
    report("fetching", 0.0)
    while wanted is None or done < wanted:
        block = response.read(_BLOCK_BYTES if wanted is None else min(_BLOCK_BYTES, wanted - done))
        if not block:
            break
        file.write(block)
        done += len(block)
        if wanted:
            report("fetching", done / wanted)
    if wanted is not None and done < wanted:
        raise IncompleteRead(b"", wanted - done)


class _File:
    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self._file = file

    def read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)


class _Url:
    """Reads by range requests. From a server without ranges, each read starts at the beginning."""

    def __init__(self, url: str) -> None:
        self.name = url

    def read(self, offset: int, length: int) -> bytes:
        if not length:
            return b""
        with _named(self.name), _get(self.name, offset, length) as response:
            if response.status == 200 and offset:
                response.read(offset)
            return response.read(length)


def _get(url: str, offset: int, length: int | None) -> HTTPResponse:
    request = _request(url)
    if offset or length is not None:
        end = "" if length is None else offset + length - 1
        request.add_header("Range", f"bytes={offset}-{end}")
    return cast(HTTPResponse, urllib.request.urlopen(request, timeout=_TIMEOUT_S))


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


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Convert network errors to an InputError that names the URL."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        remedy = _TOKEN_REMEDY if error.code == HTTPStatus.UNAUTHORIZED else ""
        raise InputError(
            f"{url}: the server answers {error.code} {error.reason}{remedy}"
        ) from error
    except IncompleteRead as error:
        raise InputError(f"{url}: the connection broke; try again") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise InputError(f"{url}: {text}") from error
