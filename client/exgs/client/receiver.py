"""Receives a scene, for remote viewers, notebooks and robots.

`receive` is for programs with an event loop, `receive_in_thread` for programs without one. Both
give the same updates. The network always runs on its own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from yarl import URL

from exgs.client.decoding import LiveScene
from exgs.client.engine import Engine, Options, is_stream
from exgs.client.errors import StreamError
from exgs.client.link import Link
from exgs.client.route import parse_url
from exgs.client.update import Update
from exgs.codec.format.container import FileHead
from exgs.codec.format.facts import SceneFacts
from exgs.scene.camera import Camera


class ReceiveOptions(TypedDict, total=False):
    """Keyword arguments of `receive` and `receive_in_thread`. All are optional."""

    camera: Camera | None
    """The initial camera; what it sees arrives first."""

    cache: str | PathLike[str] | None
    """A folder for received data. Data in it are not requested again in later runs."""

    memory_bytes: int | None
    """Limit of the scene in memory: decoded, drawn, and packed chunks of dropped cells. Distant
    cells stay proxies. Libraries and the index (about 1 kB per cell) come on top."""

    token: str | None
    """Bearer token for the server."""

    link: Link | None
    """An emulated slow link; see `parse_link`."""

    max_bytes: int | None
    """Receiving stops after about this many bytes."""

    seed: int
    """Seed of the losses of `link`; 0 by default."""

    poster: bool
    """Whether to request the poster from a streaming server, at the same time as the scene. Files,
    local or by ranges, contain it."""

    note: Callable[[str], None]
    """Called with lines of text about lost connections and the cache, on another thread."""

    tls: ssl.SSLContext | None
    """The certificates to trust; by default those that the system trusts."""


def receive(source: str | PathLike[str], **options: Unpack[ReceiveOptions]) -> AsyncReceiver:
    """Receive a scene inside an event loop, update by update.

        async with exgs.client.receive("https://example.org/room.exgs") as scene:
            scene.look(camera)
            async for update in scene:
                draw(update.gaussians)

    `source` is ws(s)://HOST/scenes/NAME/stream, the http(s) URL of an .exgs file on any server, or
    the path of a file. The options are those of `ReceiveOptions`. HTTP proxies are those of the
    environment.

    Raises StreamError if `source` is not valid. Iterating raises StreamError, FormatError,
    RemoteProtocolError. It ends when everything or `max_bytes` have arrived. If memory is full it
    does not end, since another view may need other cells. Leaving the `async with` stops receiving
    at once.
    """
    return AsyncReceiver(_source(source), _options(options))


def receive_in_thread(source: str | PathLike[str], **options: Unpack[ReceiveOptions]) -> Receiver:
    """Receive a scene without an event loop, like `receive` for a plain thread.

        with exgs.client.receive_in_thread("room.exgs") as scene:
            scene.look(camera)
            for update in scene:
                draw(update.gaussians)

    Arguments and errors are those of `receive`.
    """
    return Receiver(_source(source), _options(options))


class _Receiver:
    """The common part of both receivers."""

    def __init__(self, source: URL | Path, options: Options) -> None:
        self._engine = Engine(source, options)
        self._live = LiveScene()
        self._is_ending = False  # nothing more will arrive
        self._is_over = False  # the user has been told so

    def look(self, camera: Camera) -> None:
        """Set the camera. May be called at any time, from any thread.

        What this camera sees arrives first. Of several calls in quick succession, only the newest
        counts.
        """
        self._engine.look(camera)

    @property
    def head(self) -> FileHead | None:
        """Header and root index of the file, once they have arrived."""
        return self._engine.arrivals.head

    @property
    def facts(self) -> SceneFacts | None:
        """The facts of the scene, once they have arrived."""
        return self.head.root.facts if self.head is not None else None

    @property
    def poster(self) -> bytes | None:
        """A small JPEG or WebP of the home view, once it has arrived.

        It usually arrives before the first Gaussians. None if the file has no poster, or a damaged
        one, or if a streaming server was not asked for it (option `poster`).
        """
        return self._engine.arrivals.poster

    @property
    def received_bytes(self) -> int:
        """Bytes received so far."""
        return self._engine.arrivals.received_bytes

    @property
    def received_at_s(self) -> float:
        """The time when the last byte arrived, by time.monotonic."""
        return self._engine.arrivals.received_at_s

    def fetch_rest(self) -> None:
        """Also receive what `max_bytes` and `memory_bytes` have left out, without `link`.

        Updates continue. Waits a moment for the network thread to restart.
        """
        self._engine.fetch_rest()
        self._is_ending = self._is_over = False

    def _advance(self) -> Update | None:
        """Decode new arrivals and return the update, if there is one."""
        batch = self._engine.arrivals.take()
        try:
            update = self._live.advance(batch)
        except Exception:
            self._is_over = True
            raise
        self._is_ending = batch.is_over and not self._live.has_left
        return update

    def _end(self) -> None:
        """End the iteration. Raises the fault that ended receiving, if any."""
        self._is_over = True
        fault = self._engine.arrivals.fault
        if fault is not None:
            raise fault


class Receiver(_Receiver):
    """A scene that is being received. Use it in a `with` block and iterate it on one thread."""

    def __enter__(self) -> Self:
        self._engine.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Update]:
        while (update := self.next()) is not None:
            yield update

    @property
    def is_over(self) -> bool:
        """Whether the last update has been taken."""
        return self._is_over

    def next(self, timeout_s: float | None = None) -> Update | None:
        """Wait for the next update; None after the timeout or at the end.

        Raises the same errors as iterating.
        """
        arrivals = self._engine.arrivals
        while not self._is_over:
            if self._is_ending:
                self._end()
                break
            if not self._live.has_left and not arrivals.wait(timeout_s):
                return None
            update = self._advance()
            if update is not None:
                return update
        return None

    def close(self) -> None:
        """Stop receiving, and wait until nothing of it is left; iterating ends."""
        self._is_over = True
        self._engine.close()


class AsyncReceiver(_Receiver):
    """A scene that is being received. Use it in an `async with` block; iterate it in one task.

    Decoding runs on a thread, so it does not block the event loop.
    """

    def __init__(self, source: URL | Path, options: Options) -> None:
        super().__init__(source, options)
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._decoder: ThreadPoolExecutor | None = None
        self._decoding: asyncio.Future[Update | None] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._news.set)

        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="exgs decoder")
        self._engine.arrivals.on_news = tell
        self._engine.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Update]:
        return self

    async def __anext__(self) -> Update:
        if self._decoder is None and not self._is_over:
            raise RuntimeError("use it in an 'async with'")
        while not self._is_over:
            if self._is_ending and self._decoding is None:
                self._end()
                break
            if self._decoding is None:
                if not self._live.has_left:
                    await self._news.wait()
                self._news.clear()
                if self._is_over or self._decoder is None:  # closed in the meantime
                    break
                loop = asyncio.get_running_loop()
                self._decoding = loop.run_in_executor(self._decoder, self._advance)
            # After a cancellation here, the next call returns the same update.
            try:
                update = await asyncio.shield(self._decoding)
            except asyncio.CancelledError:
                raise
            except Exception:
                self._decoding = None
                raise
            self._decoding = None
            if update is not None:
                return update
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop receiving, and wait until nothing of it is left; iterating ends."""
        self._is_over = True
        self._engine.stop()
        if self._decoder is None:
            return
        decoder, self._decoder = self._decoder, None
        try:
            joining = asyncio.get_running_loop().run_in_executor(decoder, self._engine.close)
            await asyncio.shield(joining)
        finally:
            self._engine.close()
            decoder.shutdown()


def _source(source: str | PathLike[str]) -> URL | Path:
    text = fspath(source)
    if isinstance(source, str) and "://" in text:
        url = parse_url(text)
        is_stream(url)  # raises if it is the URL of neither a stream nor a file
        return url
    path = Path(text)
    if not path.is_file():
        raise StreamError(f"{text}: neither a URL nor a file")
    return path


def _options(options: ReceiveOptions) -> Options:
    """The options of an engine. Raises TypeError for unknown ones."""
    unknown = options.keys() - ReceiveOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"unknown option {min(unknown)!r}; see exgs.client.ReceiveOptions")
    given: dict[str, Any] = dict(options)
    if given.get("cache") is not None:
        given["cache"] = Path(given["cache"])
    return Options(**given)
