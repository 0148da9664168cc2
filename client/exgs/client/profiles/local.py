"""Reads a local file like a network profile: what the camera sees first."""

from __future__ import annotations

import asyncio
from pathlib import Path

from exgs.client.delivery import Delivery
from exgs.client.errors import DamagedAtServerError, StreamError
from exgs.client.profiles.ranges import RangeReader
from exgs.codec.errors import DamagedError
from exgs.scene.camera import Camera

_PIECE_BYTES = 256 << 10  # read at a time; a new view takes effect between reads


class LocalProfile:
    """Reads an .exgs file. Continues after an interruption."""

    def __init__(self, path: Path, delivery: Delivery, *, limit_bytes: int | None = None) -> None:
        self._path = path
        self._delivery = delivery
        self._reader = RangeReader(delivery)
        self._limit_bytes = limit_bytes
        self._news = asyncio.Event()  # set by a new view

    def look(self, camera: Camera) -> None:
        """Set the camera. Call it on the event loop."""
        self._reader.look(camera)
        self._news.set()

    def lift_limit(self) -> None:
        """Remove all limits, from the next `receive` on."""
        self._limit_bytes = None

    async def receive(self) -> None:
        """Read until everything has arrived. Raises StreamError, FormatError."""
        loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._reader.revise()
        try:
            with self._path.open("rb") as file:
                while size_bytes := self._size_bytes():
                    wanted = self._reader.claim(size_bytes, most_bytes=size_bytes)
                    if wanted is None and not self._delivery.is_full:
                        break
                    if wanted is None:
                        self._news.clear()
                        await self._news.wait()
                        continue
                    file.seek(wanted.start)
                    data = file.read(wanted.end - wanted.start)
                    self._delivery.count(len(data), loop.time())
                    self._reader.take(wanted.start, data)
                    self._reader.finish(wanted)
                    file_bytes = self._reader.file_bytes
                    if len(data) < wanted.end - wanted.start and wanted.end <= (file_bytes or 0):
                        raise StreamError(f"{self._path} ends before it is complete")
                    if not data:
                        raise StreamError(f"{self._path}: not an .exgs file, or one cut short")
                    await asyncio.sleep(0)  # there may be a new view
        except OSError as error:
            raise StreamError(f"{self._path}: {error.strerror}") from error
        except DamagedAtServerError as error:
            raise DamagedError(str(error), section=str(self._path)) from error
        finally:
            self._reader.release()

    def _size_bytes(self) -> int:
        if self._limit_bytes is None:
            return _PIECE_BYTES
        return min(_PIECE_BYTES, max(0, self._limit_bytes - self._delivery.received_bytes))
