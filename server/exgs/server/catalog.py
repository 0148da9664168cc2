"""The scenes of a folder, kept up to date while it changes.

Requests look names up in a dictionary and never touch the file system: no name can lead out of
the folder. A file that is replaced is opened anew; who reads the old one keeps it to the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import weakref
from dataclasses import dataclass
from pathlib import Path

from exgs.codec.container import open_table
from exgs.codec.errors import ExgsError, TruncatedError
from exgs.wire.plan import PartPlan

_SUFFIX = ".exgs"
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

log = logging.getLogger("exgs.server")


class RootError(ExgsError):
    """The folder to serve can't be read."""


class UnreadableError(ExgsError):
    """A file can't be read any more, or holds less than when it was opened."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells that a file is another one now."""

    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """That of a file with this status."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class Scene:
    """One open file: its plan for streams, its bytes for ranges.

    Bytes are read by position rather than mapped: a file that someone cuts short in place then
    ends an answer early, where a mapping would end the process.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RootError(f"{name}{_SUFFIX}: not a regular file")
        self.name = name
        self.signature = Signature.of(status)
        head, table = open_table(lambda offset, length: os.pread(descriptor, length, offset))
        self.size_bytes = head.header.file_bytes
        if status.st_size < self.size_bytes:
            raise TruncatedError(
                f"{status.st_size} of {self.size_bytes} bytes; upload it again",
                section="file",
                needed_bytes=self.size_bytes,
            )
        self.plan = PartPlan(head, table)
        self.hash = head.scene_hash.hex()

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file; raises UnreadableError."""
        try:
            data = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise UnreadableError(f"{self.name}{_SUFFIX}: {error.strerror}") from error
        if len(data) != length:
            raise UnreadableError(
                f"{self.name}{_SUFFIX} was cut short while it is served; upload it again"
            )
        return data


class Catalog:
    """The scenes by name; `refresh` or `watch` keeps them up to date."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._scenes: dict[str, Scene] = {}
        self._refused: dict[str, Signature] = {}

    def get(self, name: str) -> Scene | None:
        """The scene of this name."""
        return self._scenes.get(name)

    @property
    def scenes(self) -> list[Scene]:
        """All scenes, by name."""
        return [scene for _, scene in sorted(self._scenes.items())]

    @property
    def refused_count(self) -> int:
        """Files of the folder that could not be opened as scenes."""
        return len(self._refused)

    def refresh(self) -> None:
        """Open what is new or has changed, drop what is gone; raises RootError."""
        scenes: dict[str, Scene] = {}
        refused: dict[str, Signature] = {}
        for name, signature in self._list():
            known = self._scenes.get(name)
            if known is not None and known.signature == signature:
                scenes[name] = known
            elif self._refused.get(name) == signature:
                refused[name] = signature
            else:
                try:
                    scenes[name] = self._open(name)
                except (ExgsError, OSError) as error:
                    log.warning("scene refused", extra={"scene": name, "error": str(error)})
                    refused[name] = signature
                else:
                    log.info("scene opened", extra={"scene": name, "hash": scenes[name].hash})
        for name in self._scenes.keys() - scenes.keys():
            log.info("scene dropped", extra={"scene": name})
        self._scenes, self._refused = scenes, refused

    async def watch(self, interval_s: float) -> None:
        """Refresh again and again."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await asyncio.to_thread(self.refresh)
            except RootError as error:
                log.error("folder can't be read", extra={"error": str(error)})

    def _list(self) -> list[tuple[str, Signature]]:
        found = []
        try:
            with os.scandir(self._root) as entries:
                for entry in entries:
                    if not entry.name.endswith(_SUFFIX) or entry.name.startswith("."):
                        continue
                    if entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        found.append((entry.name.removesuffix(_SUFFIX), Signature.of(status)))
        except OSError as error:
            raise RootError(f"{self._root}: {error.strerror}") from error
        return found

    def _open(self, name: str) -> Scene:
        descriptor = os.open(self._root / f"{name}{_SUFFIX}", _OPEN_FLAGS)
        return Scene(name, descriptor)
