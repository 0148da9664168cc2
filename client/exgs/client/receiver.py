"""Receiving a scene: what a remote viewer, a notebook or a robot calls first.

`receive` is for programs with an event loop, `receive_in_thread` for those without one. Both give
the same updates; the network runs on a thread of its own either way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import Self

from yarl import URL

from exgs.client.decoding import LiveScene
from exgs.client.engine import Engine, Terms, is_stream
from exgs.client.errors import StreamError
from exgs.client.link import Link
from exgs.client.route import parse_url
from exgs.client.update import Update
from exgs.codec.format.container import FileHead
from exgs.codec.format.facts import SceneFacts
from exgs.scene.camera import Camera


def receive(
    source: str | PathLike[str],
    *,
    camera: Camera | None = None,
    cache: str | PathLike[str] | None = None,
    memory_bytes: int | None = None,
    token: str | None = None,
    link: Link | None = None,
    max_bytes: int | None = None,
    seed: int = 0,
    note: Callable[[str], None] = lambda _: None,
) -> AsyncReceiver:
    """Receive a scene inside an event loop, update by update.

        async with exgs.client.receive("https://example.org/room.exgs") as scene:
            scene.look(camera)
            async for update in scene:
                draw(update.gaussians)

    `source` is ws(s)://HOST/scenes/NAME/stream, the http(s) URL of an .exgs file on any server, or
    the path of a file. `camera` is where to look from to begin with; what it sees comes first.
    `cache` is a folder that keeps what comes in, so that it is fetched once. `memory_bytes` bounds
    the decoded scene: far cells stay proxies. `link` shapes the traffic, to try out slow ones, with
    losses by `seed`. It stops after about `max_bytes`. `note` is told lines for people, on another
    thread.

    Raises StreamError for a source that is none. Iterating raises StreamError, FormatError,
    RemoteProtocolError; it ends when everything is here, or `max_bytes` have come. Where memory is
    full it goes on, since another view may bring other cells. Leaving the `async with` stops
    receiving at once.
    """
    return AsyncReceiver(
        _source(source),
        Terms(camera, _folder(cache), memory_bytes, token, link, max_bytes, seed, note),
    )


def receive_in_thread(
    source: str | PathLike[str],
    *,
    camera: Camera | None = None,
    cache: str | PathLike[str] | None = None,
    memory_bytes: int | None = None,
    token: str | None = None,
    link: Link | None = None,
    max_bytes: int | None = None,
    seed: int = 0,
    note: Callable[[str], None] = lambda _: None,
) -> Receiver:
    """Receive a scene without an event loop: the same as `receive` for a plain thread.

        with exgs.client.receive_in_thread("room.exgs") as scene:
            scene.look(camera)
            for update in scene:
                draw(update.gaussians)

    Arguments and errors are those of `receive`.
    """
    return Receiver(
        _source(source),
        Terms(camera, _folder(cache), memory_bytes, token, link, max_bytes, seed, note),
    )


class _Receiver:
    """What both kinds of receivers share."""

    def __init__(self, source: URL | Path, terms: Terms) -> None:
        self._engine = Engine(source, terms)
        self._live = LiveScene()
        self._is_ending = False  # nothing more will come
        self._is_over = False  # and that has been told

    def look(self, camera: Camera) -> None:
        """Look from here from now on; may be called at any time, from any thread.

        What this camera sees comes first. Of views in quick succession the newest counts.
        """
        self._engine.look(camera)

    @property
    def head(self) -> FileHead | None:
        """Header and root index of the file, once they are here."""
        return self._engine.arrivals.head

    @property
    def facts(self) -> SceneFacts | None:
        """What the file says of its scene, once that is here."""
        return self.head.root.facts if self.head is not None else None

    @property
    def received_bytes(self) -> int:
        """Bytes received so far."""
        return self._engine.arrivals.received_bytes

    @property
    def received_at_s(self) -> float:
        """When the last of them came, by time.monotonic."""
        return self._engine.arrivals.received_at_s

    def fetch_rest(self) -> None:
        """Receive also what `max_bytes` and `memory_bytes` have left out, and not over `link`.

        Updates go on. It waits a moment for the network's thread to begin anew.
        """
        self._engine.fetch_rest()
        self._is_ending = self._is_over = False

    def _advance(self) -> Update | None:
        """Take what has come and decode it; the update that it gives, if any."""
        batch = self._engine.arrivals.take()
        try:
            update = self._live.advance(batch)
        except Exception:
            self._is_over = True
            raise
        self._is_ending = batch.is_over and not self._live.has_left
        return update

    def _end(self) -> None:
        """Tell that nothing more will come; raises the fault that is why."""
        self._is_over = True
        fault = self._engine.arrivals.fault
        if fault is not None:
            raise fault


class Receiver(_Receiver):
    """A scene that is being received; to be used in a `with`, and iterated by one thread."""

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
        """Wait for the next update; None where none comes in time, or ever.

        Raises what iterating does.
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
    """A scene that is being received; to be used in an `async with`, and iterated by one task.

    Decoding happens on a thread, so the event loop goes on meanwhile.
    """

    def __init__(self, source: URL | Path, terms: Terms) -> None:
        super().__init__(source, terms)
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
                if self._is_over or self._decoder is None:  # closed meanwhile
                    break
                loop = asyncio.get_running_loop()
                self._decoding = loop.run_in_executor(self._decoder, self._advance)
            # Whoever is cancelled here finds the same update at the next call.
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
        is_stream(url)  # raises where it is neither a stream's nor a file's
        return url
    path = Path(text)
    if not path.is_file():
        raise StreamError(f"{text}: neither a URL nor a file")
    return path


def _folder(cache: str | PathLike[str] | None) -> Path | None:
    return Path(cache) if cache is not None else None
