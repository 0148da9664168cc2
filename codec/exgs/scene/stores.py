"""Files in stores that fsspec reaches, such as S3, by URLs such as s3://bucket/scene.ply.

A StorePath names a file or prefix of a store. It has those methods of a Path that readers, and the
work folder of the encoder, need. What is written appears when it is whole. Credentials come from
the environment, or from the configuration of fsspec.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from exgs.scene.errors import ExgsError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_WEB = ("http", "https")  # whose URLs are no stores: they can't be listed or written
_BUFFER_BYTES = 1 << 16  # read at least; larger reads take one request each
_TELLS_VERSION = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")
_PAIR = ("transforms.json", "dataparser_transforms.json")  # nerfstudio's cameras and their frame
# Stores with true folders, where a broken upload leaves a part of a file.
_FILE_SYSTEMS = ("file", "local", "sftp", "ssh", "ftp")


class StoreError(ExgsError):
    """A store can't be reached, read or written. The message names the URL."""


@dataclass(frozen=True, slots=True)
class StoreStat:
    """The facts that a store tells about a file or folder."""

    st_size: int
    version: str  # changes with the file
    is_dir: bool = False


@dataclass(frozen=True, slots=True)
class StorePath:
    """A file or prefix in a store. Can be pickled.

    A missing file raises FileNotFoundError, any other failure StoreError.
    """

    url: str
    listed: StoreStat | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, part: str | PurePosixPath) -> StorePath:
        return self if str(part) == "." else StorePath(f"{self.url.rstrip('/')}/{part}")

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The extension of the name."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> StorePath:
        """The folder."""
        return StorePath(self.url.rstrip("/").rpartition("/")[0])

    def with_name(self, name: str) -> StorePath:
        """Another file of the same folder."""
        return self.parent / name

    def relative_to(self, folder: StorePath) -> PurePosixPath:
        """The path from a folder to this file below it."""
        return PurePosixPath(self.url[len(folder.url.rstrip("/")) + 1 :])

    # Facts

    def stat(self) -> StoreStat:
        """The size and version."""
        if self.listed is not None:
            return self.listed
        files, path = connect(self.url)
        with _named(self.url):
            files.invalidate_cache(path)
            return _stat(files.info(path))

    def pinned(self) -> StorePath:
        """The same path with the facts of now, which are not asked for again."""
        return StorePath(self.url, self.stat())

    def exists(self) -> bool:
        """Whether there is a file, or a folder with files."""
        return self._found() is not None

    def is_dir(self) -> bool:
        """Whether this is a folder."""
        found = self._found()
        return found is not None and found.is_dir

    def is_file(self) -> bool:
        """Whether this is a file."""
        found = self._found()
        return found is not None and not found.is_dir

    def _found(self) -> StoreStat | None:
        try:
            return self.stat()
        except FileNotFoundError:
            return None

    def iterdir(self) -> Iterator[StorePath]:
        """The files and folders in a folder."""
        files, path = connect(self.url)
        with _named(self.url):
            files.invalidate_cache(path)
            entries = files.ls(path, detail=True)
        for entry in entries:
            name = str(entry["name"]).rstrip("/").rpartition("/")[2]
            yield StorePath(f"{self.url.rstrip('/')}/{name}", _stat(entry))

    def files(self) -> list[StorePath]:
        """All files below a folder, sorted."""
        files, path = connect(self.url)
        with _named(self.url):
            files.invalidate_cache()
            entries: Mapping[str, Any] = files.find(path, detail=True)
        start = len(path.rstrip("/")) + 1
        return [
            StorePath(f"{self.url.rstrip('/')}/{name[start:]}", _stat(entries[name]))
            for name in sorted(entries)
            if name[start:]
        ]

    # Reading

    def read_bytes(self, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of a file, or those from `start` to `end`."""
        files, path = connect(self.url)
        with _named(self.url):
            data: bytes = files.cat_file(path, start=start, end=end)
        return data

    def open(self, mode: str = "rb", buffering: int = _BUFFER_BYTES) -> io.BufferedReader:
        """Open a file for reading by range. Reads of `buffering` bytes or more aren't buffered."""
        if mode != "rb":
            raise ValueError(f"mode {mode!r} for {self.url}; atomic_write writes to stores")
        return io.BufferedReader(_Ranges(self), buffering)

    # Writing

    def mkdir(self, *, exist_ok: bool = True) -> None:
        """Nothing: folders of stores come with their files."""

    @contextmanager
    def written(self) -> Iterator[BinaryIO]:
        """Open a temporary file on this machine, which is uploaded at the end of the block."""
        with tempfile.NamedTemporaryFile(prefix="exgs-") as file:
            yield file.file  # type: ignore[misc]  # which is a BinaryIO
            file.flush()
            self._put(file.name)

    def _put(self, local: str) -> None:
        files, path = connect(self.url)
        try:
            if _scheme(self.url) not in _FILE_SYSTEMS:
                files.put_file(local, path)
                return
            folder = path.rpartition("/")[0]
            temporary = f"{folder}/.exgs-{secrets.token_hex(8)}.tmp"
            files.makedirs(folder, exist_ok=True)
            try:
                files.put_file(local, temporary)
                files.mv(temporary, path)
            except BaseException:
                with suppress(Exception):  # the first error matters
                    files.rm_file(temporary)
                raise
        except Exception as error:  # stores raise the errors of their libraries
            raise StoreError(f"{self.url}: can't be written: {reason(error)}") from error

    def remove(self, names: Iterable[str]) -> None:
        """Delete files of this folder."""
        files, path = connect(self.url)
        found = [f"{path}/{name}" for name in names]
        with _named(self.url):
            if found:
                files.rm(found)
            if _scheme(self.url) in (*_FILE_SYSTEMS, "memory"):
                for folder in (*{name.rpartition("/")[0] for name in found} - {path}, path):
                    with suppress(OSError):  # files of others stay there
                        files.rmdir(folder)


Place = Path | StorePath
AnyPath = str | os.PathLike[str] | StorePath


class _Ranges(io.RawIOBase):
    """A file of a store. Each read is one request."""

    def __init__(self, path: StorePath) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._size)
        if self._at >= end:
            return 0
        data = self._path.read_bytes(self._at, end)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def is_store(text: str) -> bool:
    """Whether a text is the URL of a file in a store."""
    return _scheme(text) not in ("", *_WEB)


def place(path: AnyPath) -> Place:
    """A path, or a place in a store if it is the URL of one."""
    if isinstance(path, StorePath):
        return path
    return StorePath(path) if isinstance(path, str) and is_store(path) else Path(path)


def connect(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it. Raises StoreError."""
    try:
        import fsspec

        files, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise StoreError(
            f"{url}: {reason(error)}; pip install 'exgs[s3]' (in a source folder '.[s3]'), or the"
            " fsspec package of its kind"
        ) from error
    except Exception as error:  # stores raise the errors of their libraries
        raise StoreError(f"{url}: {reason(error)}") from error
    return files, path


@contextmanager
def local_copy(
    path: Place,
    *,
    with_folder: bool = False,
    max_bytes: int | None = None,
    report: Callable[[float], None] = lambda share: None,
) -> Iterator[Path]:
    """A path on this machine: `path`, or a temporary copy of a file in a store.

    `with_folder` also copies folders, and the files that belong to one with cameras or the facts of
    a scene. Of any other file only the first `max_bytes` bytes are copied. Errors of the block that
    name the copy name the URL instead.
    """
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="exgs-") as folder:
        copy = Path(folder) / path.name
        if with_folder and path.is_dir():
            _fetch_folder(path, copy, report)
        elif with_folder and path.name.endswith(("meta.json", ".lcc")):
            _fetch_folder(path.parent, Path(folder), report)
        elif max_bytes is not None:
            copy.write_bytes(path.read_bytes(0, min(max_bytes, path.stat().st_size)))
        else:
            _fetch(path, copy, report)
            if with_folder and path.name in _PAIR:
                _fetch_beside(path, copy)
        try:
            yield copy
        except ExgsError as error:
            if str(copy) in str(error):
                raise StoreError(str(error).replace(str(copy), path.url)) from error
            raise


def _fetch(path: StorePath, copy: Path, report: Callable[[float], None]) -> None:
    files, name = connect(path.url)
    with _named(path.url):
        from fsspec.callbacks import Callback

        def told(size: int | None, value: int, **_: object) -> None:
            if size:
                report(value / size)

        files.get_file(name, str(copy), callback=Callback(hooks={"report": told}))


def _fetch_beside(path: StorePath, copy: Path) -> None:
    for name in _PAIR:
        if name != path.name and path.with_name(name).exists():
            _fetch(path.with_name(name), copy.with_name(name), lambda share: None)


def _fetch_folder(folder: StorePath, copy: Path, report: Callable[[float], None]) -> None:
    found = folder.files()
    for number, file in enumerate(found):
        part = file.relative_to(folder)
        if ".." in part.parts or part.is_absolute():
            raise StoreError(f"{file}: lies outside its folder; rename it")
        (copy / part).parent.mkdir(parents=True, exist_ok=True)
        _fetch(file, copy / part, lambda share: None)
        report((number + 1) / len(found))


def versions(path: Place) -> list[tuple[str, int, str]]:
    """The name, size in bytes and version of a file, or of all files below a folder, sorted."""
    if isinstance(path, StorePath):
        path = path.pinned()
        parts = path.files() if path.is_dir() else [path]
        return [(part.url, part.stat().st_size, part.stat().version) for part in parts]
    local = sorted(path.rglob("*")) if path.is_dir() else [path]
    facts = [(part, part.stat()) for part in local if part.is_file()]
    return [(str(part.resolve()), fact.st_size, str(fact.st_mtime_ns)) for part, fact in facts]


def version_of(entry: Mapping[str, Any]) -> str:
    """A text that changes with a file, of what fsspec tells about it."""
    return next((str(entry[key]) for key in _TELLS_VERSION if key in entry), "")


def reason(error: Exception) -> str:
    """The first line of an error of a store's library."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _stat(entry: Mapping[str, Any]) -> StoreStat:
    is_dir = entry["type"] == "directory"
    return StoreStat(0 if is_dir else int(entry["size"] or 0), version_of(entry), is_dir)


def _scheme(text: str) -> str:
    found = _URL.match(text)
    return found[1].lower() if found else ""


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Convert the errors of a store's library to one that names the URL."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such file in the store", url) from error
    except ExgsError:
        raise
    except Exception as error:  # stores raise the errors of their libraries
        raise StoreError(f"{url}: {reason(error)}") from error
