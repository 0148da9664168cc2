"""Inputs of commands: files, http(s) URLs and stores, of which only the needed bytes are fetched.

For servers that require a token, $EXGS_TOKEN or the name and password of the URL are sent.

`open_input` gives random access, with one range request for the head of a file. `local_file` gives
a path for readers that need one, and fetches only the bytes that they may use.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import IncompleteRead
from pathlib import Path
from typing import BinaryIO, Protocol

from exgs.cli.output import Report
from exgs.cli.urls import Answer, InputError, extension_of, get, is_url, named
from exgs.codec.errors import ExgsError
from exgs.scene.beginnings import kind_of
from exgs.scene.formats import READABLE, UNSUPPORTED
from exgs.scene.stores import Place, is_store, local_copy, place

_BLOCK_BYTES = 256 << 10


class Input(Protocol):
    """A file, or one at a URL, with random access."""

    name: str

    def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes at `offset`; fewer only at the end."""
        ...


def extension(text: str) -> str:
    """The extension of a path or URL in lower case, which determines the format.

    Raises InputError.
    """
    return extension_of(text) if is_url(text) else Path(text).suffix.lower()


def require_extension(text: str, *known: str) -> str:
    """The extension of an input. Raises InputError, with a hint, if it is not in `known`."""
    if not text:
        raise InputError("the name of the input is empty")
    found = extension(text)
    if found in known:
        return found
    if known == (".exgs",) and found in READABLE:
        raise InputError(f"{text}: is no .exgs file; make one of it with `exgs encode`")
    if found == ".exgs":
        raise InputError(f"{text}: is encoded already; make a scene file of it with `exgs decode`")
    if found in UNSUPPORTED and ".ply" in known:
        raise InputError(f"{text}: {UNSUPPORTED[found]}")
    hint = ""
    if is_url(text):
        hint = "" if found else ", nor do its first bytes tell what it is"
    elif not is_store(text):
        hint = _hint(Path(text))
    raise InputError(f"{text}: expected a name that ends in {one_of(known)}{hint}")


def require_output(path: Place, *known: str) -> None:
    """Raise InputError if the name of an output does not end in one of `known`."""
    if not path.name.lower().endswith(known):
        raise InputError(f"{path}: the name of the output must end in {one_of(known)}")


def one_of(names: Sequence[str]) -> str:
    """Names as text, as in "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _hint(path: Path) -> str:
    """What a file of another extension is, by its first bytes."""
    try:
        with path.open("rb") as file:
            return f"; {kind_of(file.read(64))}"
    except OSError:
        return ""


def require_scene(text: str, *known: str) -> None:
    """Raise InputError if `text` is no folder, and its extension is not in `known`."""
    may_be_folder = text and not is_url(text) and not (is_store(text) and extension(text))
    if may_be_folder and place(text).is_dir():
        return
    if require_extension(text, *known) in (".json", ".lcc") and is_url(text):
        raise InputError(
            f"{text}: names other files, which are not fetched: fetch them all, or name a .sog"
        )


@contextmanager
def open_input(text: str) -> Iterator[Input]:
    """Random access to a file or URL. Raises InputError, OSError, StoreError."""
    if is_url(text):
        yield _Url(text)
        return
    with place(text).open("rb") as file:
        yield _File(text, file)


@contextmanager
def local_file(
    text: str,
    *,
    max_bytes: int | None = None,
    report: Report = lambda stage, fraction: None,
) -> Iterator[Path]:
    """A path with the content of a file, or with the first `max_bytes` bytes of a URL.

    `report` is called with the progress of fetching a URL. Raises InputError, StoreError.
    """
    if not is_url(text):
        with local_copy(
            place(text),
            with_folder=True,
            max_bytes=max_bytes,
            report=lambda share: report("fetching", share),
        ) as path:
            yield path
        return
    with tempfile.TemporaryDirectory(prefix="exgs-") as folder:
        path = Path(folder) / f"input{extension(text)}"
        with path.open("wb") as file, named(text), get(text, 0, max_bytes) as answer:
            _copy(answer, file, max_bytes, report)
        try:
            yield path
        except ExgsError as error:  # errors that name the copy must name the URL
            if str(path) in str(error):
                raise InputError(str(error).replace(str(path), text)) from error
            raise


def _copy(answer: Answer, file: BinaryIO, max_bytes: int | None, report: Report) -> None:
    """Write the body of an answer, or its first `max_bytes` bytes. Raises IncompleteRead."""
    limit = min((n for n in (answer.length, max_bytes) if n is not None), default=None)
    done = 0
    report("fetching", 0.0)
    while limit is None or done < limit:
        block = answer.body.read(_BLOCK_BYTES if limit is None else min(_BLOCK_BYTES, limit - done))
        if not block:
            break
        file.write(block)
        done += len(block)
        if limit:
            report("fetching", done / limit)
    if answer.length is not None and limit is not None and done < limit:
        raise IncompleteRead(b"", limit - done)


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
        with named(self.name), get(self.name, offset, length) as answer:
            if answer.status == HTTPStatus.OK and offset:
                answer.body.read(offset)
            return answer.body.read(length)
