"""The screen draws a growing scene, and its frames can be measured afterwards."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from exgs.client.update import Update
from exgs.present.quality import layer_steps, measure_frames, plot, write_csv
from exgs.present.screen import Screen
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import look_at, pinhole
from exgs.scene.pictures import read_png
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
    assert lines[0] == "time_s,bytes,layer,psnr_db,ssim,frame"
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
