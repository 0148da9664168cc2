"""The scenes of a store, updated while the store changes.

Requests look up names in a dictionary and never pass them to the store, so no name can reach other
files. A replaced file is opened again; readers of the old file keep it until they finish.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Mapping
from pathlib import Path

from exgs.codec.errors import DamagedError, ExgsError, TruncatedError
from exgs.codec.format.container import FileHead, open_table
from exgs.server.storage import LocalFile, RootError, Source, Store, UnreadableError, open_store
from exgs.server.web_page import Poster, poster_of
from exgs.wire.layer_zero import read_sketch
from exgs.wire.plan import PartPlan

log = logging.getLogger("exgs.server")


class Scene:
    """One open file: its plan for streams and its bytes for range requests."""

    def __init__(self, name: str, version: Hashable, source: Source) -> None:
        head, table = open_table(source.read_now)
        self.name = name
        self.version = version
        self.size_bytes = head.header.file_bytes
        if source.size_bytes < self.size_bytes:
            raise TruncatedError(
                f"{source.size_bytes} of {self.size_bytes} bytes; upload it again",
                section="file",
                needed_bytes=self.size_bytes,
            )
        self.plan = PartPlan(head, table)
        self.plan.screen.sketch = read_sketch(head, source.read_now)
        self.hash = head.scene_hash.hex()
        self.poster = _poster(name, head, source)
        self._source = source

    async def read(self, offset: int, length: int) -> bytes:
        """Read bytes of the file. Raises UnreadableError if they are not available any more."""
        return self._whole(await self._source.read(offset, length), length)

    def read_at_once(self, offset: int, length: int) -> bytes | None:
        """Read bytes without waiting; None if that is not possible. Raises UnreadableError."""
        if not isinstance(self._source, LocalFile):
            return None
        return self._whole(self._source.read_now(offset, length), length)

    def _whole(self, data: bytes, length: int) -> bytes:
        if len(data) != length:
            raise UnreadableError(f"{self.name}: cut short while it is served; upload it again")
        return data


class Catalog:
    """The scenes by name. `refresh` and `watch` update them."""

    def __init__(self, root: Path | str) -> None:
        self._root = root
        self._store: Store | None = None
        self._scenes: dict[str, Scene] = {}
        self._refused: dict[str, Hashable] = {}
        self._left_out: Mapping[str, str] = {}

    def get(self, name: str) -> Scene | None:
        """The scene of this name."""
        return self._scenes.get(name)

    @property
    def scenes(self) -> list[Scene]:
        """All scenes, by name."""
        return [scene for _, scene in sorted(self._scenes.items())]

    @property
    def refused_count(self) -> int:
        """The number of files that could not be opened as scenes."""
        return len(self._refused)

    def refresh(self) -> None:
        """Open new and changed files, drop removed ones. Raises RootError."""
        store = self._store = self._store or open_store(self._root)
        scenes: dict[str, Scene] = {}
        refused: dict[str, Hashable] = {}
        for name, version in store.list().items():
            known = self._scenes.get(name)
            if known is not None and known.version == version:
                scenes[name] = known
            elif self._refused.get(name) == version:
                refused[name] = version
            else:
                try:
                    _require_text(name)
                    scenes[name] = Scene(name, version, store.open(name))
                except (ExgsError, OSError) as error:
                    log.warning("scene refused", extra={"scene": name, "error": str(error)})
                    refused[name] = version
                else:
                    log.info("scene opened", extra={"scene": name, "hash": scenes[name].hash})
        for name in self._scenes.keys() - scenes.keys():
            log.info("scene dropped", extra={"scene": name})
        self._scenes, self._refused = scenes, refused
        left_out = store.left_out()
        for name in sorted(left_out.keys() - self._left_out.keys()):
            log.warning("file not served", extra={"file": name, "reason": left_out[name]})
        self._left_out = left_out

    async def watch(self, interval_s: float) -> None:
        """Refresh periodically."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await asyncio.to_thread(self.refresh)
            except RootError as error:
                log.error("the catalogue can't be read", extra={"error": str(error)})


def _poster(name: str, head: FileHead, source: Source) -> Poster | None:
    """The poster of a file. A missing or damaged poster is not an error."""
    if not head.header.poster_bytes:
        return None
    data = source.read_now(head.header.root_end, head.header.poster_bytes)
    try:
        head.check_poster(data)
    except DamagedError as error:
        log.warning("poster refused", extra={"scene": name, "error": str(error)})
        return None
    return poster_of(data)


def _require_text(name: str) -> None:
    """Raise UnreadableError if the name is not valid in a URL."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UnreadableError("its name is not UTF-8; rename it") from error
