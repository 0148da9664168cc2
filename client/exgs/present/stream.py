"""Streaming a scene: receive it, draw it while it arrives, measure the frames afterwards.

`stream` joins the parts: a profile receives on the event loop, a `Screen` draws on its thread,
and when all is done the frames are compared with the full scene.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from yarl import URL

from exgs.client.cache import Cache
from exgs.client.delivery import Delivery
from exgs.client.errors import StreamError
from exgs.client.growing import GrowingScene
from exgs.client.link import Link
from exgs.client.profiles.static import StaticProfile
from exgs.client.profiles.streaming import StreamingProfile
from exgs.client.receive import Profile, receive
from exgs.client.route import open_route, parse_url
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.format.facts import SceneFacts
from exgs.painter.choice import Painter
from exgs.present.picture import Color
from exgs.present.quality import QualityRow, measure_frames, plot, write_csv
from exgs.present.screen import ChooseCamera, Screen
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Rasterizer
from exgs.wire.client import Resume

RESULTS = ("frame_*.png", "quality.csv", "quality.png")  # globs of what a run leaves


@dataclass(frozen=True, slots=True, eq=False)
class StreamOptions:
    """How to receive and what to draw."""

    choose_camera: ChooseCamera
    link: Link | None = None
    painter: Painter | None = None
    background: Color = (0.0, 0.0, 0.0)
    max_bytes: int | None = None
    reference: Gaussians | None = None  # to measure against; the full streamed scene where None
    token: str | None = None
    cache: Path | None = None  # folder
    memory_bytes: int | None = None  # that the scene may take
    most_change: float | None = None  # RMS from frame to frame, that arriving chunks may cause
    seed: int = 0  # of the link's losses


@dataclass(frozen=True, slots=True, eq=False)
class StreamReport:
    """What a run gave. Times are seconds since connecting began."""

    facts: SceneFacts
    scene_hash: bytes
    file_bytes: int
    received_bytes: int
    received_s: float  # when the last byte was here
    reconnections: int
    rows: list[QualityRow]
    files: list[Path]  # frames, quality.csv, quality.png

    @property
    def first_picture_s(self) -> float:
        """When the first picture was there."""
        return self.rows[0].time_s


def stream(
    url: str,
    folder: Path,
    options: StreamOptions,
    *,
    progress: Callable[[str, float], None] = lambda _stage, _fraction: None,
    note: Callable[[str], None] = lambda _: None,
) -> StreamReport:
    """Stream the scene at `url` into `folder`: frame_0000.png, …, quality.csv, quality.png.

    A URL that ends in /NAME/stream, as ws://HOST/scenes/NAME/stream, is streamed, whatever its
    scheme; any other is that of the file itself, read by ranges. What an earlier run left there
    goes when the first frame is there. `progress` takes a stage and the fraction that is done,
    `note` a line for people.
    Raises StreamError, FormatError, OSError.
    """
    address = parse_url(url)
    rasterizer = default_rasterizer()
    _warm_up(rasterizer)
    run = _Run(address, folder, options, rasterizer, note)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(run.receive(progress))
    finally:
        run.close()
    return run.measure(progress)


class _Run:
    """One run of `stream`."""

    def __init__(
        self,
        url: URL,
        folder: Path,
        options: StreamOptions,
        rasterizer: Rasterizer,
        note: Callable[[str], None],
    ) -> None:
        self._url = url
        self._folder = folder
        self._options = options
        self._rasterizer = rasterizer
        self._note = note
        self._start_s = time.perf_counter()
        self._received_s = 0.0
        self._received_bytes = 0
        self._reconnections = 0
        self._camera: Camera | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scene = GrowingScene()
        self._screen = Screen(
            self._scene,
            rasterizer,
            self._choose_camera,
            folder,
            self._clock,
            painter=options.painter,
            background=options.background,
            most_change=options.most_change,
            on_first=self._clear,
        )
        self._cache = Cache(options.cache, str(url), note) if options.cache else None
        stored = self._cache.load() if self._cache else None
        self._delivery = Delivery(self._scene, self._cache, stored, options.memory_bytes)
        self._profile = _profile(url, self._delivery, options, stored.resume if stored else None)

    def _clear(self) -> None:
        """Remove what an earlier run has left."""
        for old in [path for pattern in RESULTS for path in self._folder.glob(pattern)]:
            old.unlink()

    def _choose_camera(self, number: int, facts: SceneFacts, drawn: DrawnScene) -> Camera:
        """On the screen's thread: choose, and tell the network what is looked at."""
        camera = self._options.choose_camera(number, facts, drawn)
        if camera is not self._camera and self._loop is not None:
            self._camera = camera
            with contextlib.suppress(RuntimeError):  # the loop has ended: nothing more will come
                self._loop.call_soon_threadsafe(self._profile.look, camera)
        return camera

    async def receive(self, progress: Callable[[str, float], None]) -> None:
        """Receive and draw; then, for the reference, what a limit has left out."""
        self._loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(self._tick(progress))
        try:
            async with open_route(self._url, self._options.link, seed=self._options.seed) as route:
                self._start_s = time.perf_counter()
                self._screen.start()
                self._reconnections = await receive(
                    self._profile, route, self._delivery, self._note
                )
            self._received_s = self._scene.received_at_s - self._start_s
            self._received_bytes = self._scene.received_bytes
            self._scene.close()
            await asyncio.to_thread(self._screen.finish)
            if self._reference_is_missing():
                self._note("fetching the rest of the scene, to measure against")
                self._profile.limit_bytes = None
                self._delivery.lift_budget()
                async with open_route(self._url, None) as route:
                    await receive(self._profile, route, self._delivery, self._note)
        finally:
            ticking.cancel()

    def close(self) -> None:
        """End what still runs."""
        self._scene.close()
        self._screen.join()
        if self._cache is not None:
            self._cache.close()

    def measure(self, progress: Callable[[str, float], None]) -> StreamReport:
        """Compare the frames with the full scene and write the measurements."""
        head = self._scene.head
        if head is None or not self._screen.frames:
            raise StreamError(
                f"{self._received_bytes} bytes hold no picture yet; allow more of them"
            )
        rows = measure_frames(
            self._screen.frames,
            self._options.reference or self._full_scene(),
            self._rasterizer,
            background=self._options.background,
            progress=lambda fraction: progress("measuring", fraction),
        )
        table, curve = self._folder / "quality.csv", self._folder / "quality.png"
        write_csv(table, rows)
        link = f" over {self._options.link}" if self._options.link else ""
        plot(curve, rows, f"{head.root.facts.name}{link}")
        return StreamReport(
            facts=head.root.facts,
            scene_hash=head.scene_hash,
            file_bytes=head.header.file_bytes,
            received_bytes=self._received_bytes,
            received_s=self._received_s,
            reconnections=self._reconnections,
            rows=rows,
            files=[*(frame.path for frame in self._screen.frames), table, curve],
        )

    def _reference_is_missing(self) -> bool:
        frames = self._screen.frames
        return self._options.reference is None and bool(frames) and not frames[-1].complete

    def _full_scene(self) -> Gaussians:
        growth = self._scene.grow() or self._screen.last
        if growth is None:
            raise StreamError("nothing has been drawn")
        return growth.drawn.gaussians

    def _clock(self) -> float:
        return time.perf_counter() - self._start_s

    async def _tick(self, progress: Callable[[str, float], None]) -> None:
        while True:
            head = self._scene.head
            total = head.header.file_bytes if head else 0
            if self._options.max_bytes is not None:
                total = min(total, self._options.max_bytes)
            progress("receiving", min(1.0, self._scene.received_bytes / total) if total else 0.0)
            await asyncio.sleep(0.1)


def _profile(
    url: URL, delivery: Delivery, options: StreamOptions, resume: Resume | None
) -> Profile:
    limit = options.max_bytes
    if url.name == "stream" and len(url.parts) > 2:
        return StreamingProfile(
            url.parts[-2], delivery, token=options.token, limit_bytes=limit, resume=resume
        )
    if url.scheme in ("ws", "wss"):
        raise StreamError(f"{url}: a stream is at ws://HOST/scenes/NAME/stream")
    return StaticProfile(delivery, token=options.token, limit_bytes=limit, resume=resume)


def _warm_up(rasterizer: Rasterizer) -> None:
    """Load what the rasterizer loads on first use, so that the first picture does not wait."""
    one = np.ones((1, 3), np.float32)
    quat = np.array([[1, 0, 0, 0]], np.float32)
    scene = Gaussians(one, quat, one, one[:, 0], one, np.zeros((1, 3, 3), np.float32))
    rasterizer.render(
        scene, look_at((0, 0, -3), (1, 1, 1), (0, -1, 0), pinhole(16, 16, 60), 16, 16)
    )
