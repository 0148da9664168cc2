"""The screen: a thread that draws the growing scene whenever it has changed, and keeps frames.

It always draws the newest state: what arrives while it is busy is drawn next, all at once. The
network thread never waits for it. A slow painter gets a thread of its own: the raw frame is
written first and the painted one replaces it; a frame that a newer one overtakes stays raw. One of
the two threads draws at a time, since rasterizers are not made for two.
With a bound on how much a frame may change, frames between two states fade from one to the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exgs.client.growing import GrowingScene, Growth
from exgs.codec.decoding.build import DrawnScene, is_complete
from exgs.codec.format.facts import SceneFacts
from exgs.painter.choice import Painter
from exgs.painter.confidence import Confidence, look_at_scene, prepare_to_look
from exgs.painter.worker import PaintWorker
from exgs.present.fade import crossfade
from exgs.present.picture import Color, draw_picture, over_background
from exgs.scene.camera import Camera
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import FloatArray
from exgs.scene.pictures import encode_png, to_pixels
from exgs.scene.rasterizer import Rasterizer, Render

ChooseCamera = Callable[[int, SceneFacts, DrawnScene], Camera]  # by the frame's number


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture that was shown."""

    path: Path
    camera: Camera
    time_s: float  # when it was ready, since connecting began
    received_bytes: int  # when its drawing began
    layer: int
    complete: bool


class Screen:
    """Draws `scene` on a thread of its own into frame_0000.png, frame_0001.png, …

    `clock` gives the seconds since connecting began. `on_first` is called before the first frame
    is written and `on_frame` behind each, on the drawing thread.
    `most_change` bounds what arriving chunks change from frame to frame, see `crossfade`.
    """

    def __init__(
        self,
        scene: GrowingScene,
        rasterizer: Rasterizer,
        choose_camera: ChooseCamera,
        folder: Path,
        clock: Callable[[], float],
        *,
        painter: Painter | None = None,
        background: Color = (0.0, 0.0, 0.0),
        most_change: float | None = None,
        on_first: Callable[[], None] = lambda: None,
        on_frame: Callable[[Frame], None] = lambda _: None,
    ) -> None:
        self.frames: list[Frame] = []
        self.last: Growth | None = None  # what the last frame shows
        self._scene = scene
        self._rasterizer = rasterizer
        self._choose_camera = choose_camera
        self._folder = folder
        self._clock = clock
        self._painter = None if painter is not None and painter.slow else painter
        self._worker = PaintWorker(painter) if painter is not None and painter.slow else None
        self._spreads = painter is not None and painter.spreads
        self._background = background
        self._most_change = most_change
        self._on_first = on_first
        self._on_frame = on_frame
        self._drawing = threading.Lock()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def finish(self) -> None:
        """Wait for the last frame of a closed scene; raises what went wrong on the thread."""
        self.join()
        if self._fault is not None:
            raise self._fault

    def join(self) -> None:
        """Wait for the thread to end, whatever it met."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while (growth := self._scene.grow()) is not None:
                self._show(growth)
            if self._worker is not None:
                self._worker.close()
        except Exception as fault:  # the thread's end: `finish` raises it where it can be seen
            self._fault = fault
            self._scene.fail(fault)
            if self._worker is not None:
                self._worker.stop()

    def _show(self, growth: Growth) -> None:
        before, self.last = self.last, growth

        def next_camera() -> Camera:
            return self._choose_camera(len(self.frames), growth.facts, growth.drawn)

        if before is None or self._most_change is None:
            camera = next_camera()
            self._keep(self._draw(growth, camera), camera, growth, growth)
            return
        for image, camera, is_last in crossfade(
            partial(self._draw, before), partial(self._draw, growth), next_camera, self._most_change
        ):
            self._keep(image, camera, growth, growth if is_last else before)

    def _draw(self, growth: Growth, camera: Camera) -> FloatArray:
        with self._drawing:
            return draw_picture(
                self._rasterizer,
                growth.drawn,
                growth.facts,
                camera,
                painter=self._painter,
                background=self._background,
            )

    def _keep(self, image: FloatArray, camera: Camera, growth: Growth, shown: Growth) -> None:
        """Write a frame on the way to `growth`; `shown` is what it shows all of."""
        time_s = self._clock()
        if not self.frames:
            self._on_first()
        path = self._folder / f"frame_{len(self.frames):04d}.png"
        _write_frame(path, image)
        if self._worker is not None and shown is growth:
            self._paint_later(self._worker, growth, camera, path)
        frame = Frame(path, camera, time_s, growth.received_bytes, shown.layer, shown.complete)
        self.frames.append(frame)
        self._on_frame(frame)

    def _paint_later(self, worker: PaintWorker, growth: Growth, camera: Camera, path: Path) -> None:
        """Have the frame at `path` replaced by its painted picture."""
        if is_complete(growth.drawn, growth.facts):
            worker.drop()
            return

        def look() -> tuple[Render, Confidence]:
            drawn, facts = growth.drawn, growth.facts
            prepare_to_look(drawn, facts, spread=self._spreads)  # frames are drawn meanwhile
            with self._drawing:
                return look_at_scene(self._rasterizer, drawn, facts, camera, spread=self._spreads)

        def replace_frame(painted: FloatArray, confidence: Confidence) -> None:
            image = over_background(painted, confidence, self._background)
            _write_frame(path, image)

        worker.submit(look, replace_frame)


def _write_frame(path: Path, image: FloatArray) -> None:
    with atomic_write(path) as file:
        file.write(encode_png(to_pixels(image)))
