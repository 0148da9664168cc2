"""The screen draws a growing scene, and its frames can be measured afterwards."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from exgs.client.growing import GrowingScene
from exgs.codec.errors import DamagedError
from exgs.codec.format.container import FilePusher
from exgs.present.quality import layer_steps, measure_frames, plot, write_csv
from exgs.present.screen import Screen
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.pictures import read_png
from tests.client.scenes import LEVELS, write_box

CAMERA = look_at((0, 0, -3), (0, 0, 0), (0, -1, 0), pinhole(96, 64, 70), 96, 64)


def _push(scene: GrowingScene, data: bytes, step: int) -> None:
    """Hand a file over piece by piece, as a network would."""
    pusher = FilePusher()
    pages = 0
    for start in range(0, len(data), step):
        arrived = pusher.receive_data(data[start : start + step])
        scene.count(min(step, len(data) - start))
        if pusher.head is None or pusher.table is None:
            continue
        scene.open(pusher.head)
        all_pages = pusher.head.root.pages
        known = len(all_pages) - len(pusher.table.missing_pages)
        for page in all_pages[pages:known]:
            ids = range(page.first_chunk, page.first_chunk + page.chunk_count)
            scene.add_page(page, [pusher.table[i] for i in ids])
        pages = known
        for chunk, packed in arrived:
            scene.add_chunk(chunk, packed)


class _Raising:
    slow = True
    spreads = False

    def paint(self, render: object, confidence: object) -> np.ndarray:
        raise AssertionError("not reached")


def test_a_fault_while_drawing_ends_the_paint_worker_too(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs")
    growing = GrowingScene()

    def no_camera(*_: object) -> Camera:
        raise DamagedError("no camera", section="test")

    screen = Screen(
        growing, default_rasterizer(), no_camera, tmp_path, lambda: 0.0, painter=_Raising()
    )
    assert any(thread.name == "painter" for thread in threading.enumerate())
    screen.start()
    with pytest.raises(DamagedError, match="no camera"):  # also while more is handed over
        _push(growing, (tmp_path / "box.exgs").read_bytes(), 4096)
        growing.close()
        screen.finish()
    screen.join()
    assert not any(thread.name == "painter" for thread in threading.enumerate())


def test_a_full_disk_leaves_no_half_frame_and_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_box(tmp_path / "box.exgs")
    frames = tmp_path / "frames"
    frames.mkdir()
    growing = GrowingScene()
    screen = Screen(growing, default_rasterizer(), lambda *_: CAMERA, frames, lambda: 0.0)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    screen.start()
    with pytest.raises(OSError, match="No space left") as caught:
        _push(growing, (tmp_path / "box.exgs").read_bytes(), 4096)
        growing.close()
        screen.finish()
    screen.join()
    assert caught.value.filename == str(frames / "frame_0000.png")
    assert not list(frames.iterdir())


def test_frames_get_better_until_they_equal_the_whole_scene(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs")
    growing = GrowingScene()
    ticks = itertools.count()
    screen = Screen(
        growing, default_rasterizer(), lambda *_: CAMERA, tmp_path, lambda: float(next(ticks))
    )
    screen.start()
    _push(growing, (tmp_path / "box.exgs").read_bytes(), 4096)
    growing.close()
    screen.finish()
    assert screen.last is not None
    assert screen.frames[-1].complete
    assert screen.frames[-1].layer == len(LEVELS) - 1
    rows = measure_frames(screen.frames, screen.last.drawn.gaussians, default_rasterizer())
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


def test_a_damaged_chunk_ends_the_stream_with_its_error(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs")
    data = bytearray((tmp_path / "box.exgs").read_bytes())
    data[-10] ^= 1
    growing = GrowingScene()
    screen = Screen(growing, default_rasterizer(), lambda *_: CAMERA, tmp_path, lambda: 0.0)
    screen.start()
    _push(growing, bytes(data), len(data))
    growing.close()
    with pytest.raises(DamagedError, match="hash"):
        screen.finish()


def test_fading_keeps_its_bound_and_ends_where_it_would_without(tmp_path: Path) -> None:
    bound = 0.01
    write_box(tmp_path / "box.exgs")
    data = (tmp_path / "box.exgs").read_bytes()

    def run(most_change: float | None) -> list[npt.NDArray[np.float64]]:
        growing = GrowingScene()
        shown = threading.Event()
        screen = Screen(
            growing,
            default_rasterizer(),
            lambda *_: CAMERA,
            tmp_path,
            lambda: 0.0,
            most_change=most_change,
            on_frame=lambda _: shown.set(),
        )
        screen.start()
        head = len(data) // 4
        _push(growing, data[:head], head)  # a first picture, then all the rest at once
        assert shown.wait(60)
        _push(growing, data, len(data))
        growing.close()
        screen.finish()
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
