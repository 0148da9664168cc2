"""Stores of files: a folder, one file, or a prefix in an object store (with fsspec).

A store lists and opens files. An open file returns the bytes it had when it was opened, or fails. A
folder holds the file open; an object store checks that the object has not changed.
"""

from __future__ import annotations

import asyncio
import os
import stat
import weakref
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Protocol

from exgs.codec.errors import ExgsError
from exgs.scene.stores import StoreError, connect, reason, version_of

SUFFIX = ".exgs"

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_BLOCK_BYTES = 1 << 20
_CACHED_BLOCKS = 64  # per store


class RootError(ExgsError):
    """The folder or store to serve can't be read."""


class UnreadableError(ExgsError):
    """A file can't be read any more, or has been replaced since it was opened."""


class Source(Protocol):
    """The bytes of one file."""

    size_bytes: int

    def read_now(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes. May block. Raises UnreadableError."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes. Raises UnreadableError."""
        ...


class Store(Protocol):
    """A collection of files."""

    def list(self) -> Mapping[str, Hashable]:
        """Names without suffix, each with a value that changes with the file. Raises RootError."""
        ...

    def open(self, name: str) -> Source:
        """Open one of the files. Raises OSError, ExgsError."""
        ...

    def left_out(self) -> Mapping[str, str]:
        """Scene files that are not served, each with the reason."""
        ...


def open_store(root: Path | str) -> Store:
    """The store at a path (folder or file) or a URL (s3://bucket/prefix). Raises RootError."""
    if isinstance(root, str) and "://" in root:
        return ObjectStore(root)
    return OneFile(Path(root)) if Path(root).is_file() else Folder(Path(root))


class Folder:
    """The regular files of one folder, without links and subfolders."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list(self) -> dict[str, Hashable]:
        """Names, each with inode, size and modification time."""
        found: dict[str, Hashable] = {}
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if not entry.name.endswith(SUFFIX) or entry.name.startswith("."):
                        continue
                    if entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        version = (status.st_ino, status.st_size, status.st_mtime_ns)
                        found[entry.name.removesuffix(SUFFIX)] = version
        except OSError as error:
            raise RootError(f"{self._path}: {error.strerror}") from error
        return found

    def open(self, name: str) -> LocalFile:
        """Open one of the files. It stays readable if it is renamed or deleted."""
        return LocalFile(self._path / f"{name}{SUFFIX}")

    def left_out(self) -> dict[str, str]:
        """Links, names with a suffix such as .EXGS, and scene files in subfolders."""
        found: dict[str, str] = {}
        try:
            entries = sorted(self._path.iterdir())
        except OSError:  # `list` says so
            return found
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink() and entry.suffix.lower() == SUFFIX:
                found[entry.name] = "it is a symbolic link; put the file itself here"
            elif entry.is_dir() and not entry.is_symlink():
                found |= _deeper(entry)
            elif entry.suffix != SUFFIX and entry.suffix.lower() == SUFFIX:
                found[entry.name] = f"its name must end in {SUFFIX}; rename it"
        return found


def _deeper(folder: Path) -> dict[str, str]:
    """The scene files of a subfolder, each with the reason why it is not served."""
    try:
        names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() == SUFFIX)
    except OSError:
        return {}
    reason = "it lies in a subfolder; serve that folder, or move the file up"
    return {f"{folder.name}/{name}": reason for name in names}


class OneFile:
    """A single file, without the other files of its folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list(self) -> dict[str, Hashable]:
        """Its name with inode, size and modification time; empty if it has been deleted."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RootError(f"{self._path}: {error.strerror}") from error
        version = (status.st_ino, status.st_size, status.st_mtime_ns)
        return {self._path.name.removesuffix(SUFFIX): version}

    def open(self, name: str) -> LocalFile:
        """Open the file. Links are followed, since the user has named the file."""
        return LocalFile(self._path.resolve())

    def left_out(self) -> dict[str, str]:
        """Nothing: the user has named one file."""
        return {}


class LocalFile:
    """An open file.

    Bytes are read by position instead of mapped. If someone truncates the file, the response ends
    early; with a mapping, the process would crash.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, _OPEN_FLAGS)
        weakref.finalize(self, os.close, self._descriptor)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(f"{path.name}: not a regular file")
        self.size_bytes = status.st_size

    def read_now(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes."""
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise UnreadableError(f"{self._path.name}: {error.strerror}") from error

    async def read(self, offset: int, length: int) -> bytes:
        """Read without waiting. Recently read bytes are in the page cache."""
        return self.read_now(offset, length)


class ObjectStore:
    """The objects directly below one prefix."""

    def __init__(self, url: str) -> None:
        try:
            self.files, self._prefix = connect(url)
        except StoreError as error:
            raise RootError(str(error)) from error
        self._url = url
        self._prefix = self._prefix.rstrip("/")
        self.blocks: OrderedDict[Hashable, bytes] = OrderedDict()

    def list(self) -> dict[str, Hashable]:
        """Names, each with size and ETag or time."""
        try:
            self.files.invalidate_cache()
            entries = self.files.ls(self._prefix, detail=True)
        except Exception as error:  # stores raise the errors of their libraries
            raise RootError(f"{self._url}: {reason(error)}") from error
        found: dict[str, Hashable] = {}
        for entry in entries:
            name = str(entry["name"]).rsplit("/", 1)[-1]
            if entry["type"] == "file" and name.endswith(SUFFIX) and not name.startswith("."):
                found[name.removesuffix(SUFFIX)] = _version(entry)
        return found

    def open(self, name: str) -> RemoteFile:
        """Open one of the objects. Reading fails if the object changes."""
        return RemoteFile(self, f"{self._prefix}/{name}{SUFFIX}")

    def left_out(self) -> dict[str, str]:
        """Nothing: listing subfolders would cost requests."""
        return {}


class RemoteFile:
    """An object, read in blocks that all readers of its store share."""

    def __init__(self, store: ObjectStore, path: str) -> None:
        self._store = store
        self._path = path
        entry = self._look()
        self._version = _version(entry)
        self.size_bytes = int(entry["size"])
        self._fetching: dict[int, asyncio.Task[bytes]] = {}

    def read_now(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes from the store."""
        end = min(offset + length, self.size_bytes)
        if offset >= end:
            return b""
        try:
            data: bytes = self._store.files.cat_file(self._path, start=offset, end=end)
        except Exception as error:  # stores raise the errors of their libraries
            raise UnreadableError(f"{self._path}: {reason(error)}") from error
        if _version(self._look()) != self._version:
            raise UnreadableError(f"{self._path} has changed while it is served")
        return data

    async def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes from cached blocks; missing blocks are read on a thread."""
        end = min(offset + length, self.size_bytes)
        numbers = range(offset // _BLOCK_BYTES, -(-end // _BLOCK_BYTES))
        data = b"".join([await self._block(number) for number in numbers])
        start = offset - numbers.start * _BLOCK_BYTES
        return data[start : start + end - offset]

    async def _block(self, number: int) -> bytes:
        blocks, key = self._store.blocks, (self._path, self._version, number)
        if key in blocks:
            blocks.move_to_end(key)
            return blocks[key]
        fetching = self._fetching.get(number)
        if fetching is None:
            read = asyncio.to_thread(self.read_now, number * _BLOCK_BYTES, _BLOCK_BYTES)
            fetching = self._fetching[number] = asyncio.create_task(read)
            fetching.add_done_callback(lambda _: self._fetching.pop(number))
        block = await asyncio.shield(fetching)  # other readers may wait for it too
        blocks[key] = block
        while len(blocks) > _CACHED_BLOCKS:
            blocks.popitem(last=False)
        return block

    def _look(self) -> Mapping[str, Any]:
        try:
            self._store.files.invalidate_cache(self._path)
            entry: Mapping[str, Any] = self._store.files.info(self._path)
        except Exception as error:  # stores raise the errors of their libraries
            raise UnreadableError(f"{self._path}: {reason(error)}") from error
        return entry


def _version(entry: Mapping[str, Any]) -> Hashable:
    """A value that changes with an object."""
    return (entry["size"], version_of(entry))
