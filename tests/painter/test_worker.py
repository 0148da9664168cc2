"""Painting runs on its own thread: drawing never waits, and the newest picture is painted."""

from __future__ import annotations

import itertools
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from exgs.painter.confidence import Confidence
from exgs.painter.worker import PaintWorker
from exgs.present.screen import Frame, Screen
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import look_at, pinhole
from exgs.scene.gaussians import FloatArray
from exgs.scene.pictures import read_png
from exgs.scene.rasterizer import Render
from tests.client.scenes import write_box
from tests.client.updates import updates_of
from tests.painter.frames import frame

CAMERA = look_at((0, 0, -3), (0, 0, 0), (0, -1, 0), pinhole(48, 32, 70), 48, 32)
DEADLINE_S = 20.0


class _Slow:
    """Paints red after `let` is set."""

    slow = True
    spreads = False

    def __init__(self) -> None:
        self.started = threading.Event()
        self.let = threading.Event()
        self.count = 0

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        self.started.set()
        assert self.let.wait(DEADLINE_S)
        self.count += 1
        return np.broadcast_to(np.array([1, 0, 0], np.float32), render.rgb.shape)


def _note(shown: list[int], number: int, *_: object) -> None:
    shown.append(number)


def test_only_the_newest_picture_waits_while_the_thread_is_busy() -> None:
    painter = _Slow()
    worker = PaintWorker(painter)
    shown: list[int] = []
    for number in range(5):
        worker.submit(frame, partial(_note, shown, number))
        assert painter.started.wait(DEADLINE_S)
    painter.let.set()
    worker.close()
    assert shown == [0, 4]


def test_drop_removes_the_waiting_picture() -> None:
    painter = _Slow()
    worker = PaintWorker(painter)
    shown: list[int] = []
    worker.submit(frame, partial(_note, shown, 0))
    assert painter.started.wait(DEADLINE_S)
    worker.submit(frame, partial(_note, shown, 1))
    worker.drop()
    painter.let.set()
    worker.close()
    assert shown == [0]


class _Broken(_Slow):
    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        self.started.set()
        raise RuntimeError("no colours left")


def test_an_exception_while_painting_is_raised_by_the_next_call() -> None:
    worker = PaintWorker(_Broken())
    worker.submit(frame, partial(_note, [], 0))
    with pytest.raises(RuntimeError, match="no colours"):
        worker.close()
    with pytest.raises(RuntimeError, match="no colours"):
        worker.submit(frame, partial(_note, [], 1))
    worker.stop()


def test_confidence_is_measured_only_for_painted_pictures() -> None:
    painter = _Slow()
    worker = PaintWorker(painter)
    looked: list[int] = []

    def look(number: int) -> tuple[Render, Confidence]:
        looked.append(number)
        return frame()

    for number in range(5):
        worker.submit(partial(look, number), partial(_note, [], number))
        assert painter.started.wait(DEADLINE_S)
    painter.let.set()
    worker.close()
    assert looked == [0, 4]


def test_the_screen_raises_the_exception_of_its_painter(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs")
    data = (tmp_path / "box.exgs").read_bytes()
    screen = Screen(
        default_rasterizer(), lambda *_: CAMERA, tmp_path, lambda: 0.0, painter=_Broken()
    )
    assert any(thread.name == "painter" for thread in threading.enumerate())
    with pytest.raises(RuntimeError, match="no colours left"):
        for update in updates_of(data[: len(data) // 3], 1 << 20):
            screen.show(update)
        screen.finish()
    screen.stop()
    assert not any(thread.name == "painter" for thread in threading.enumerate())


def test_the_raw_picture_is_shown_first_and_then_replaced(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs")
    data = (tmp_path / "box.exgs").read_bytes()
    painter = _Slow()
    ticks = itertools.count()
    raw: list[FloatArray] = []
    first = threading.Event()

    def keep(frame: Frame) -> None:
        raw.append(read_png(frame.path))
        first.set()

    screen = Screen(
        default_rasterizer(),
        lambda *_: CAMERA,
        tmp_path,
        lambda: float(next(ticks)),
        painter=painter,
        on_frame=keep,
    )
    for update in updates_of(data[: len(data) // 3], 1 << 20):
        screen.show(update)
    assert painter.started.wait(DEADLINE_S)
    assert first.wait(DEADLINE_S)
    assert raw[0].any()
    assert not (raw[0][..., 0] == 255).all()  # written while the painter was still at work
    painter.let.set()
    screen.finish()
    painted = read_png(screen.painted[-1].path)
    assert (painted == [255, 0, 0]).all()
    assert (read_png(screen.frames[-1].path) == raw[-1]).all()  # kept beside it
