"""Receives a scene, draws it while it arrives, and measures the frames afterwards.

`stream` uses `exgs.client`. A `Screen` draws each update. At the end, the frames are compared with
the full scene.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exgs.client.errors import StreamError
from exgs.client.link import Link
from exgs.client.receiver import Receiver, receive_in_thread
from exgs.client.update import Update
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.format.facts import SceneFacts
from exgs.painter.interface import Painter
from exgs.present.picture import Color
from exgs.present.quality import QualityRow, measure_frames, plot, write_csv
from exgs.present.screen import ChooseCamera, Screen
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Rasterizer

RESULTS = (
    "frame_*.png",
    "painted_*.png",
    "quality.csv",
    "quality.png",
)  # globs of the files that a run writes

_TICK_S = 0.1  # between updates of the progress


@dataclass(frozen=True, slots=True, eq=False)
class StreamOptions:
    """Options for receiving and drawing."""

    choose_camera: ChooseCamera
    link: Link | None = None
    painter: Painter | None = None
    background: Color = (0.0, 0.0, 0.0)
    max_bytes: int | None = None
    reference: Gaussians | None = None  # to compare with; None: the full streamed scene
    token: str | None = None
    cache: Path | None = None  # folder
    memory_bytes: int | None = None  # limit for the decoded scene
    most_change: float | None = None  # limit of the RMS change per frame by arriving chunks
    seed: int = 0  # of the link's losses
    tls: ssl.SSLContext | None = None  # which certificates to trust


@dataclass(frozen=True, slots=True, eq=False)
class StreamReport:
    """The results of a run. Times are seconds since the start of connecting."""

    facts: SceneFacts
    scene_hash: bytes
    file_bytes: int
    received_bytes: int
    received_s: float  # arrival of the last byte
    reconnections: int
    rows: list[QualityRow]
    files: list[Path]  # frames, quality.csv, quality.png

    @property
    def first_picture_s(self) -> float:
        """The time of the first picture."""
        return self.rows[0].time_s


def stream(
    url: str,
    folder: Path,
    options: StreamOptions,
    *,
    progress: Callable[[str, float], None] = lambda _stage, _fraction: None,
    note: Callable[[str], None] = lambda _: None,
) -> StreamReport:
    """Stream the scene at `url` and write frame_0000.png, …, quality.csv, quality.png to `folder`.

    A URL that ends in /NAME/stream, such as ws://HOST/scenes/NAME/stream, uses the streaming
    profile, whatever its scheme. Any other URL is that of a file, read by range requests. The
    folder is made, or results of an earlier run are deleted, when the first frame is ready.
    `progress` is called with a stage and the completed fraction, `note` with a line of text. Raises
    StreamError, FormatError, OSError.
    """
    _warm_up(default_rasterizer())
    scene = receive_in_thread(
        url,
        cache=options.cache,
        memory_bytes=options.memory_bytes,
        token=options.token,
        link=options.link,
        max_bytes=options.max_bytes,
        seed=options.seed,
        note=note,
        tls=options.tls,
    )
    run = _Run(scene, folder, options)
    try:
        with scene:
            run.receive(progress, note)
    finally:
        run.stop()
    return run.measure(progress)


class _Run:
    """One run of `stream`."""

    def __init__(self, scene: Receiver, folder: Path, options: StreamOptions) -> None:
        self._scene = scene
        self._folder = folder
        self._options = options
        self._rasterizer = default_rasterizer()
        self._start_s = time.monotonic()
        self._received_s = 0.0
        self._received_bytes = 0
        self._reconnections = 0
        self._camera: Camera | None = None
        self._last: Update | None = None
        self._screen: Screen | None = None  # until the facts of the scene are here

    def _open(self, facts: SceneFacts) -> Screen:
        """The screen, which draws the scene in the mode that the file states."""
        if facts.antialiased:
            self._rasterizer = default_rasterizer(antialiased=True)
        return Screen(
            self._rasterizer,
            self._choose_camera,
            self._folder,
            lambda: time.monotonic() - self._start_s,
            painter=self._options.painter,
            background=self._options.background,
            most_change=self._options.most_change,
            on_first=self._clear,
        )

    def _clear(self) -> None:
        """Make the folder, or delete the results of an earlier run."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in [path for pattern in RESULTS for path in self._folder.glob(pattern)]:
            old.unlink()

    def _choose_camera(self, number: int, facts: SceneFacts, drawn: DrawnScene) -> Camera:
        """Choose the camera and send it to the server."""
        camera = self._options.choose_camera(number, facts, drawn)
        if camera is not self._camera:
            self._camera = camera
            self._scene.look(camera)
        return camera

    def receive(self, progress: Callable[[str, float], None], note: Callable[[str], None]) -> None:
        """Receive and draw the scene; then receive the rest, if a limit left some out."""
        scene = self._scene
        while not scene.is_over:
            update = scene.next(_TICK_S)
            progress("receiving", self._share())
            if update is not None:
                self._last = update
                self._reconnections = update.reconnections
                self._screen = self._screen or self._open(update.facts)
                self._screen.show(update)
                if update.is_ready and self._options.memory_bytes is not None:
                    break  # the rest does not fit in memory
        self._received_s = scene.received_at_s - self._start_s
        self._received_bytes = scene.received_bytes
        if self._screen is None:
            return
        self._screen.finish()
        frames = self._screen.frames
        if self._options.reference is None and frames and not frames[-1].complete:
            note("fetching the rest of the scene, to measure against")
            scene.fetch_rest()
            for update in scene:
                self._last = update

    def stop(self) -> None:
        """Stop the receiver and the screen."""
        if self._screen is not None:
            self._screen.stop()

    def measure(self, progress: Callable[[str, float], None]) -> StreamReport:
        """Compare the frames with the full scene and write the measurements."""
        head, last, screen = self._scene.head, self._last, self._screen
        if head is None or last is None or screen is None or not screen.frames:
            raise StreamError(
                f"{self._received_bytes} bytes hold no picture yet; allow more of them"
            )
        frames = sorted([*screen.frames, *screen.painted], key=lambda frame: frame.time_s)
        rows = measure_frames(
            frames,
            self._options.reference or last.gaussians,
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
            files=[*(frame.path for frame in frames), table, curve],
        )

    def _share(self) -> float:
        head = self._scene.head
        total_bytes = head.header.file_bytes if head else 0
        if self._options.max_bytes is not None:
            total_bytes = min(total_bytes, self._options.max_bytes)
        return min(1.0, self._scene.received_bytes / total_bytes) if total_bytes else 0.0


def _warm_up(rasterizer: Rasterizer) -> None:
    """Load and compile what the rasterizer needs, so that the first picture does not wait."""
    one = np.ones((1, 3), np.float32)
    quat = np.array([[1, 0, 0, 0]], np.float32)
    scene = Gaussians(one, quat, one, one[:, 0], one, np.zeros((1, 3, 3), np.float32))
    rasterizer.render(
        scene, look_at((0, 0, -3), (1, 1, 1), (0, -1, 0), pinhole(16, 16, 60), 16, 16)
    )
