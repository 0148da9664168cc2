"""The screen: draws each update of a scene, and keeps the frames.

A slow painter gets a thread of its own: the raw frame is written first and the painted one replaces
it; a frame that a newer one overtakes stays raw. One of the two threads draws at a time, since
rasterizers are not made for two.
With a bound on how much a frame may change, frames between two states fade from one to the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exgs.client.update import Update
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


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What an update gives to draw."""

    facts: SceneFacts
    drawn: DrawnScene
    received_bytes: int
    layer: int
    complete: bool


class Screen:
    """Draws updates into frame_0000.png, frame_0001.png, … as `show` is called.

    `clock` gives the seconds since connecting began. `on_first` is called before the first frame
    is written and `on_frame` behind each.
    `most_change` bounds what arriving chunks change from frame to frame, see `crossfade`.
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
        self._before: _State | None = None  # only where frames fade
        self._drawing = threading.Lock()

    def show(self, update: Update) -> None:
        """Draw what there is now; an update without changes gives no frame."""
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
        """Wait for the last painted frame; raises what went wrong while painting."""
        if self._worker is not None:
            self._worker.close()

    def stop(self) -> None:
        """Leave what has not been painted yet as it is."""
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
        """Write a frame on the way to `state`; `shown` is what it shows all of."""
        time_s = self._clock()
        if not self.frames:
            self._on_first()
        path = self._folder / f"frame_{len(self.frames):04d}.png"
        _write_frame(path, image)
        if self._worker is not None and shown is state:
            self._paint_later(self._worker, state, camera, path)
        frame = Frame(path, camera, time_s, state.received_bytes, shown.layer, shown.complete)
        self.frames.append(frame)
        self._on_frame(frame)

    def _paint_later(self, worker: PaintWorker, state: _State, camera: Camera, path: Path) -> None:
        """Have the frame at `path` replaced by its painted picture."""
        if is_complete(state.drawn, state.facts):
            worker.drop()
            return

        def look() -> tuple[Render, Confidence]:
            drawn, facts = state.drawn, state.facts
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
