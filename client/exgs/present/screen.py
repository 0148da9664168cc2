"""Draws each update of a scene and writes the frames.

A slow painter runs on its own thread. A frame is written raw first. Its painted version is a file
of its own, which takes its place on the screen unless a newer frame has come by then. The painter
always takes the newest frame next, and paints the last one at the end. Only one of the two threads
draws at a time, since rasterizers are not thread-safe. If the change per frame is limited,
additional frames fade from one state to the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from exgs.client.update import Update
from exgs.codec.decoding.build import DrawnScene, is_complete
from exgs.codec.format.facts import SceneFacts
from exgs.painter.confidence import Confidence, look_at_scene, prepare_to_look
from exgs.painter.interface import Painter
from exgs.painter.worker import PaintWorker
from exgs.present.fade import crossfade
from exgs.present.picture import Color, draw_picture, over_background
from exgs.scene.camera import Camera
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import FloatArray
from exgs.scene.pictures import encode_png, to_pixels
from exgs.scene.rasterizer import Rasterizer, Render

ChooseCamera = Callable[[int, SceneFacts, DrawnScene], Camera]  # by the number of the frame


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame that has been written."""

    path: Path
    camera: Camera
    time_s: float  # when it was ready, from the start of connecting
    received_bytes: int  # at the start of its drawing
    shown_bytes: int  # received bytes that it shows completely; fewer while a fade goes on
    layer: int
    complete: bool
    is_painted: bool = False  # by a painter with a thread of its own
    is_shown: bool = True  # False if it was painted after a newer frame had come


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """The content of one update to draw."""

    facts: SceneFacts
    drawn: DrawnScene
    received_bytes: int
    layer: int
    complete: bool


class Screen:
    """Writes frame_0000.png, frame_0001.png, …, one or more per call of `show`.

    The painted version of frame_0003.png is painted_0003.png. `clock` returns the seconds since the
    start of connecting. `on_first` is called before the first frame is written, `on_frame` after
    each. `most_change` limits the change by arriving chunks from frame to frame; see `crossfade`.
    """

    def __init__(
        self,
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
        self.painted: list[Frame] = []  # by a painter with a thread of its own
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
        self._before: _State | None = None  # only with fades
        self._drawing = threading.Lock()

    def show(self, update: Update) -> None:
        """Draw an update. An update without changes gives no frame."""
        if not update.has_changes:
            return
        is_kept = self._worker is not None or self._most_change is not None
        state = _State(
            update.facts,
            update.snapshot() if is_kept else update.drawn,
            update.received_bytes,
            update.layer,
            update.is_complete,
        )

        def next_camera() -> Camera:
            return self._choose_camera(len(self.frames), state.facts, state.drawn)

        before = self._before
        if self._most_change is not None:
            self._before = state
        if before is None or self._most_change is None:
            camera = next_camera()
            self._keep(self._draw(state, camera), camera, state, state)
            return
        for image, camera, is_last in crossfade(
            partial(self._draw, before), partial(self._draw, state), next_camera, self._most_change
        ):
            self._keep(image, camera, state, state if is_last else before)

    def finish(self) -> None:
        """Wait for the last painted frame. Raises exceptions of the painter."""
        if self._worker is not None:
            self._worker.close()

    def stop(self) -> None:
        """End without painting the waiting frame."""
        if self._worker is not None:
            self._worker.stop()

    def _draw(self, state: _State, camera: Camera) -> FloatArray:
        with self._drawing:
            return draw_picture(
                self._rasterizer,
                state.drawn,
                state.facts,
                camera,
                painter=self._painter,
                background=self._background,
            )

    def _keep(self, image: FloatArray, camera: Camera, state: _State, shown: _State) -> None:
        """Write a frame of a fade to `state`. `shown` is the state that it shows completely."""
        time_s = self._clock()
        if not self.frames:
            self._on_first()
        path = self._folder / f"frame_{len(self.frames):04d}.png"
        _write_frame(path, image)
        frame = Frame(
            path,
            camera,
            time_s,
            state.received_bytes,
            shown.received_bytes,
            shown.layer,
            shown.complete,
        )
        self.frames.append(frame)
        if self._worker is not None and shown is state:
            self._paint_later(self._worker, state, frame)
        self._on_frame(frame)

    def _paint_later(self, worker: PaintWorker, state: _State, frame: Frame) -> None:
        """Paint a frame on the painter's thread, and keep the picture beside the raw one."""
        if is_complete(state.drawn, state.facts):
            worker.drop()
            return

        def look() -> tuple[Render, Confidence]:
            drawn, facts = state.drawn, state.facts
            prepare_to_look(drawn, facts, spread=self._spreads)  # while frames are drawn
            with self._drawing:
                return look_at_scene(
                    self._rasterizer, drawn, facts, frame.camera, spread=self._spreads
                )

        def keep_painted(painted: FloatArray, confidence: Confidence) -> None:
            path = self._folder / frame.path.name.replace("frame", "painted")
            _write_frame(path, over_background(painted, confidence, self._background))
            is_newest = frame is self.frames[-1]
            self.painted.append(
                replace(frame, path=path, time_s=self._clock(), is_painted=True, is_shown=is_newest)
            )

        worker.submit(look, keep_painted)


def _write_frame(path: Path, image: FloatArray) -> None:
    with atomic_write(path) as file:
        file.write(encode_png(to_pixels(image)))
