"""The network side of a receiver: a thread with its own event loop.

So receiving continues while the user draws, and one receiver works with and without an event loop.
`close` ends the thread, all tasks and all sockets.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from exgs.client.arrivals import Arrivals
from exgs.client.cache import Cache, Stored
from exgs.client.connecting import Profile, receive_all
from exgs.client.delivery import Delivery
from exgs.client.errors import StreamError
from exgs.client.flow.silence import SILENCE_S
from exgs.client.link import Link
from exgs.client.profiles.local import LocalProfile
from exgs.client.profiles.static import StaticProfile
from exgs.client.profiles.streaming import StreamingProfile
from exgs.client.route import open_route
from exgs.scene.camera import Camera


@dataclass(frozen=True, slots=True)
class Options:
    """Options for receiving a scene; see `ReceiveOptions`."""

    camera: Camera | None = None  # initial camera
    cache: Path | None = None  # folder of the cache
    memory_bytes: int | None = None  # limit for the decoded scene
    token: str | None = None
    link: Link | None = None  # emulated link
    max_bytes: int | None = None  # stop after this many bytes
    seed: int = 0  # for losses of the link
    poster: bool = False  # request the poster from a streaming server
    note: Callable[[str], None] = lambda _: None  # called on the network thread with lines of text
    tls: ssl.SSLContext | None = None  # which certificates to trust; None: those of the system
    silence_s: float = SILENCE_S  # time without a byte after which a connection is given up


class Engine:
    """Receives one scene into `arrivals` on its own thread."""

    def __init__(self, source: URL | Path, options: Options) -> None:
        self.arrivals = Arrivals()
        self._source = source
        self._options = options
        self._link = options.link
        self._cache: Cache | None = None
        self._delivery: Delivery | None = None
        self._profile: Profile | LocalProfile | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # protects the following fields
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._camera = options.camera  # the newest camera
        self._is_looking = False  # whether a call that passes it on is pending
        self._is_stopped = False

    # Any thread

    def start(self) -> None:
        """Start to receive."""
        self._thread = threading.Thread(target=self._run, name="exgs receiver", daemon=True)
        self._thread.start()

    def look(self, camera: Camera) -> None:
        """Set the camera. Of several calls in quick succession, only the newest counts."""
        with self._lock:
            self._camera = camera
            self.arrivals.view_changes()
            if self._loop is not None and not self._is_looking:
                self._is_looking = True
                self._loop.call_soon_threadsafe(self._look)

    def stop(self) -> None:
        """Stop receiving."""
        with self._lock:
            if not self._is_stopped and self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._is_stopped = True

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop, wait for the thread to end, and close the cache."""
        self.stop()
        self.join()
        if self._cache is not None:
            self._cache.close()

    def fetch_rest(self) -> None:
        """Stop, then receive what limits have left out, without the emulated link."""
        self.stop()
        self.join()
        self._is_stopped = False
        if self._profile is not None:
            self._profile.lift_limit()
        if self._delivery is not None:
            self._delivery.lift_budget()
        self._link = None
        self.arrivals.reopen()
        self.start()

    # The network's thread

    def _run(self) -> None:
        fault: BaseException | None = None
        try:
            asyncio.run(self._receive())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # raised by the thread that takes updates
            fault = error
        finally:
            with self._lock:
                self._loop = self._task = None
            self.arrivals.close(fault)

    async def _receive(self) -> None:
        if self._delivery is None or self._profile is None:
            self._delivery, self._profile = self._prepare()
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            if self._is_stopped:
                return
        self._look()
        if isinstance(self._profile, LocalProfile):
            await self._profile.receive()
        elif isinstance(self._source, URL):
            async with open_route(self._source, self._link, seed=self._options.seed) as route:
                await receive_all(
                    self._profile,
                    route,
                    self._delivery,
                    self._lost,
                    silence_s=self._options.silence_s,
                    tls=self._options.tls,
                )

    def _prepare(self) -> tuple[Delivery, Profile | LocalProfile]:
        options, source = self._options, self._source
        stored: Stored | None = None
        if options.cache is not None and isinstance(source, URL):
            self._cache = Cache(options.cache, str(source), options.note)
            stored = self._cache.load()
        delivery = Delivery(self.arrivals, self._cache, stored, options.memory_bytes)
        if isinstance(source, Path):
            return delivery, LocalProfile(source, delivery, limit_bytes=options.max_bytes)
        resume = stored.resume if stored is not None else None
        if not is_stream(source):
            return delivery, StaticProfile(
                delivery, token=options.token, limit_bytes=options.max_bytes, resume=resume
            )
        return delivery, StreamingProfile(
            source.parts[-2],
            delivery,
            token=options.token,
            limit_bytes=options.max_bytes,
            resume=resume,
            silence_s=options.silence_s,
            poster=options.poster,
        )

    def _look(self) -> None:
        with self._lock:
            camera, self._is_looking = self._camera, False
        if camera is not None and self._profile is not None:
            self._profile.look(camera)
            with self._lock:
                if camera is self._camera:
                    self.arrivals.view_taken()

    def _lost(self, reason: str) -> None:
        self.arrivals.lost(reason)
        self._options.note(reason)


def is_stream(url: URL) -> bool:
    """Whether a URL is that of a stream, .../scenes/NAME/stream, instead of a file.

    Raises StreamError if its scheme and its path disagree.
    """
    if url.name == "stream" and len(url.parts) > 2:
        return True
    if url.scheme in ("ws", "wss"):
        raise StreamError(f"{url}: a stream is at ws://HOST/scenes/NAME/stream")
    return False
