"""GaussPainter paints gaps and weak pixels, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.client.painter import painter_named
from exgs.client.painter.confidence import Confidence
from exgs.client.painter.fill import fill
from exgs.client.painter.gauss import GaussPainter
from exgs.client.painter.inputs import PLANES, gate, planes
from exgs.scene.rasterize import Render
from tests.painter.frames import frame, small_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small_pipeline().save_pretrained(folder)
    return folder


def test_a_frame_without_gaps_comes_back_bit_for_bit(model: Path) -> None:
    render, confidence = frame()
    full = replace(
        confidence,
        leaves=np.ones_like(confidence.leaves),
        proxies=np.zeros_like(confidence.leaves),
        nothing=np.zeros_like(confidence.leaves),
    )
    painted = GaussPainter(model).paint(render, full)
    assert painted.tobytes() == render.rgb.tobytes()


def test_leaves_stand_and_everything_else_is_painted(model: Path) -> None:
    render, confidence = frame()
    painted = GaussPainter(model).paint(render, confidence)
    leaves = confidence.leaves == 1
    assert painted[leaves].tobytes() == render.rgb[leaves].tobytes()
    assert (np.abs(painted - render.rgb).max(axis=2)[~leaves] > 0).mean() > 0.9


def test_out_of_the_scenes_reach_nothing_is_painted(model: Path) -> None:
    render, confidence = frame()
    nowhere = replace(confidence, reach=np.zeros_like(confidence.reach))
    painted = GaussPainter(model).paint(render, nowhere)
    open_ = confidence.nothing == 1
    assert painted[open_].tobytes() == render.rgb[open_].tobytes()


def test_proxies_are_painted_though_nothing_is_a_gap(model: Path) -> None:
    render, confidence = frame()
    closed = replace(confidence, reach=np.zeros_like(confidence.reach))
    painted = GaussPainter(model).paint(render, closed)
    proxies = confidence.proxies == 1
    assert not closed.gaps.any()
    assert (np.abs(painted - render.rgb).max(axis=2)[proxies] > 0).mean() > 0.9


def test_the_gate_closes_smoothly_as_leaves_cover() -> None:
    _, confidence = frame(4, 100)
    leaves = np.broadcast_to(np.linspace(0, 1, 100, dtype=np.float32), (4, 100))
    none = np.zeros_like(leaves)
    opened = gate(replace(confidence, leaves=leaves, proxies=1 - leaves, nothing=none))[0]
    assert opened[0] == 1
    assert opened[-1] == 0
    assert (np.diff(opened) <= 0).all()
    assert np.abs(np.diff(opened)).max() < 0.15
    covered = replace(confidence, leaves=none + 1, proxies=none, nothing=none)
    pending = gate(replace(covered, sh_pending=leaves))[0]
    assert pending[0] == 0
    assert pending[-1] == 1


def test_planes_hold_the_filled_render_and_what_filling_added() -> None:
    render, confidence = frame()
    hole = np.zeros_like(confidence.nothing)
    hole[:, -6:] = 1
    confidence = replace(confidence, nothing=hole, proxies=1 - confidence.leaves - hole)
    rgb = np.maximum(render.rgb, 0.1) * (1 - hole)[..., None]
    render = Render(rgb, 1 - hole, render.depth)
    stack = planes(render, confidence)
    assert stack.shape == (PLANES, *render.alpha.shape)
    assert stack.min() >= 0
    assert stack.max() <= 1
    np.testing.assert_allclose(stack[:3] - stack[3:6], np.moveaxis(render.rgb, 2, 0), atol=1e-6)
    assert stack[:3, :, -1].min() > 0.05
    assert not stack[3:6, :, 0].any()


def test_the_open_around_a_thing_is_not_filled() -> None:
    y, x = np.mgrid[:64, :64] - 31.5
    thing = (np.hypot(x, y) < 16).astype(np.float32)
    thing[30:34, 30:34] = 0  # a gap amid it
    none = np.zeros_like(thing)
    confidence = Confidence(none, thing, 1 - thing, none, none == 0)
    filled = fill(thing[..., None] * np.ones(3, np.float32), confidence)
    assert filled[31, 31].min() > 0.5
    assert filled[np.hypot(x, y) > 24].max() == 0


@pytest.mark.parametrize("size", [(17, 33), (64, 64), (16, 200)])
def test_pictures_of_any_size_are_painted(model: Path, size: tuple[int, int]) -> None:
    painted = GaussPainter(model).paint(*frame(*size))
    assert painted.shape == (*size, 3)
    assert np.isfinite(painted).all()


def test_it_steps_down_in_resolution_to_hold_the_frame_budget(model: Path) -> None:
    render, confidence = frame(64, 96)
    painter = GaussPainter(model, budget_s=1e-9)
    first = painter.paint(render, confidence)
    second = painter.paint(render, confidence)
    assert first.tobytes() == GaussPainter(model).paint(render, confidence).tobytes()
    assert not np.array_equal(first, second)
    leaves = confidence.leaves == 1
    assert second[leaves].tobytes() == render.rgb[leaves].tobytes()


def test_it_is_had_by_name() -> None:
    painter = painter_named("gauss")
    assert painter is not None
    render, confidence = frame(32, 48)
    assert painter.slow
    assert painter.paint(render, confidence).shape == (32, 48, 3)
