"""The screen draws a growing scene, and its frames can be measured afterwards."""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from exgs.client.update import Update
from exgs.painter.confidence import Confidence
from exgs.present.quality import layer_steps, measure_frames, plot, write_csv
from exgs.present.screen import Screen
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import look_at, pinhole
from exgs.scene.gaussians import FloatArray
from exgs.scene.pictures import read_png
from exgs.scene.rasterizer import Render
from tests.client.scenes import LEVELS, write_box
from tests.client.updates import updates_of

CAMERA = look_at((0, 0, -3), (0, 0, 0), (0, -1, 0), pinhole(96, 64, 70), 96, 64)


def _show(screen: Screen, data: bytes, step_bytes: int) -> Update:
    """Show a file as it comes piece by piece; returns the last update."""
    for update in updates_of(data, step_bytes):
        screen.show(update)
    screen.finish()
    return update


def test_a_full_disk_leaves_no_half_frame_and_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_box(tmp_path / "box.exgs")
    frames = tmp_path / "frames"
    frames.mkdir()
    screen = Screen(default_rasterizer(), lambda *_: CAMERA, frames, lambda: 0.0)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        _show(screen, (tmp_path / "box.exgs").read_bytes(), 4096)
    assert caught.value.filename == str(frames / "frame_0000.png")
    assert not list(frames.iterdir())


def test_frames_get_better_until_they_equal_the_whole_scene(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs")
    ticks = itertools.count()
    screen = Screen(default_rasterizer(), lambda *_: CAMERA, tmp_path, lambda: float(next(ticks)))
    last = _show(screen, (tmp_path / "box.exgs").read_bytes(), 4096)
    assert screen.frames[-1].complete
    assert screen.frames[-1].layer == len(LEVELS) - 1
    rows = measure_frames(screen.frames, last.gaussians, default_rasterizer())
    assert rows[-1].psnr_db == np.inf
    assert rows[-1].ssim == pytest.approx(1.0)
    assert [row.time_s for row in rows] == sorted(row.time_s for row in rows)
    assert layer_steps(rows)[-1] == rows[-1]
    write_csv(tmp_path / "quality.csv", rows)
    lines = (tmp_path / "quality.csv").read_text().splitlines()
    assert lines[0] == "time_s,bytes,layer,psnr_db,ssim,frame,shown_bytes,kind,shown"
    assert len(lines) == len(rows) + 1
    plot(tmp_path / "quality.png", rows, "box")
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")


def test_fading_keeps_its_bound_and_ends_where_it_would_without(tmp_path: Path) -> None:
    bound = 0.01
    write_box(tmp_path / "box.exgs")
    data = (tmp_path / "box.exgs").read_bytes()

    def run(most_change: float | None) -> list[npt.NDArray[np.float64]]:
        screen = Screen(
            default_rasterizer(),
            lambda *_: CAMERA,
            tmp_path,
            lambda: 0.0,
            most_change=most_change,
        )
        _show(screen, data, len(data))  # a first picture, then all the rest at once
        assert screen.frames[-1].complete
        assert not any(frame.complete for frame in screen.frames[:-1])
        return [read_png(frame.path) / 255 for frame in screen.frames]

    def largest_change(frames: list[npt.NDArray[np.float64]]) -> float:
        return max(np.sqrt(np.mean(np.square(b - a))) for a, b in itertools.pairwise(frames))

    sudden, faded = run(None), run(bound)
    rounding = 0.6 / 255
    assert largest_change(sudden) > bound + rounding
    assert largest_change(faded) <= bound + rounding
    np.testing.assert_array_equal(faded[-1], sudden[-1])


def test_frames_of_a_fade_say_what_has_been_received_and_what_is_shown(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs")
    screen = Screen(
        default_rasterizer(), lambda *_: CAMERA, tmp_path, lambda: 0.0, most_change=0.02
    )
    data = (tmp_path / "box.exgs").read_bytes()
    _show(screen, data, 20_000)
    for before, after in itertools.pairwise(screen.frames):
        assert before.shown_bytes <= after.shown_bytes <= after.received_bytes
    assert any(frame.shown_bytes < frame.received_bytes for frame in screen.frames)
    assert screen.frames[-1].shown_bytes == len(data)


class _Slow:
    """Paints white after the test has let it, one picture at a time."""

    slow = True
    spreads = False

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        self.begun.release()
        assert self.allowed.acquire(timeout=20)
        return np.ones_like(render.rgb)


def _wait_for(screen: Screen, count: int) -> None:
    for _ in range(2000):
        if len(screen.painted) == count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{len(screen.painted)} of {count} frames were painted")


def test_each_frame_is_kept_raw_and_painted_and_a_stale_painting_is_not_shown(
    tmp_path: Path,
) -> None:
    write_box(tmp_path / "box.exgs", proxies=False)
    data = (tmp_path / "box.exgs").read_bytes()
    updates = iter(updates_of(data, 2048))
    ticks = itertools.count()
    painter = _Slow()
    screen = Screen(
        default_rasterizer(),
        lambda *_: CAMERA,
        tmp_path,
        lambda: float(next(ticks)),
        painter=painter,
    )

    def show_frames(count: int) -> None:
        wanted = len(screen.frames) + count
        while len(screen.frames) < wanted:
            screen.show(next(updates))

    show_frames(1)
    painter.allowed.release()
    _wait_for(screen, 1)  # in time: it takes the place of its raw frame
    show_frames(1)
    for _ in range(2):
        assert painter.begun.acquire(timeout=20)
    show_frames(3)
    painter.allowed.release()
    _wait_for(screen, 2)  # late: of an old frame
    painter.allowed.release()
    screen.finish()  # the newest is painted next, and last
    assert [frame.path.name for frame in screen.painted] == [
        "painted_0000.png",
        "painted_0001.png",
        "painted_0004.png",
    ]
    assert [frame.is_shown for frame in screen.painted] == [True, False, True]
    assert [frame.is_painted for frame in screen.painted] == [True] * 3
    for frame in screen.painted:
        raw = screen.frames[int(frame.path.stem[-4:])]
        assert frame.time_s > raw.time_s
        assert frame.received_bytes == raw.received_bytes
        assert read_png(frame.path).min() == 255
        assert read_png(raw.path).min() < 255
