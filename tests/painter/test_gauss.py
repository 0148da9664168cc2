"""GaussPainter paints gaps and uncertain pixels, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.painter.choice import painter_named
from exgs.painter.gaps import Gaps
from exgs.painter.gauss import GaussPainter
from exgs.painter.inputs import GAPS, PLANES, RAW, gate, planes
from exgs.scene.gaussians import FloatArray
from tests.painter.frames import frame, small_pipeline


def _none(like: FloatArray) -> Gaps:
    """Gaps of weight 0, as in a file without proxies."""
    colors, layer = (np.zeros((*like.shape, channels), np.float32) for channels in (3, 4))
    return Gaps(0 * like, 0 * like, colors, layer, layer)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small_pipeline().save_pretrained(folder)
    return folder


def test_pictures_of_files_with_proxies_are_returned_bit_for_bit(model: Path) -> None:
    render, confidence = frame()
    painted = GaussPainter(model).paint(render, replace(confidence, gaps=None))
    assert painted.tobytes() == render.rgb.tobytes()


def test_leaves_stay_as_rendered_and_everything_else_is_painted(model: Path) -> None:
    render, confidence = frame()
    painted = GaussPainter(model).paint(render, confidence)
    leaves = confidence.leaves == 1
    assert painted[leaves].tobytes() == render.rgb[leaves].tobytes()
    assert (np.abs(painted - render.rgb).max(axis=2)[~leaves] > 0).mean() > 0.9


def test_the_open_background_is_not_painted(model: Path) -> None:
    render, confidence = frame()
    painted = GaussPainter(model).paint(render, replace(confidence, gaps=_none(confidence.leaves)))
    open_ = confidence.nothing == 1
    assert painted[open_].tobytes() == render.rgb[open_].tobytes()


def test_the_gate_closes_smoothly_as_gaps_and_stand_ins_become_fewer() -> None:
    _, confidence = frame(4, 100)
    falling = np.broadcast_to(np.linspace(1, 0, 100, dtype=np.float32), (4, 100))
    none = _none(falling)
    by_stand_ins = gate(replace(confidence, proxies=falling, gaps=none))[0]
    by_reach = gate(replace(confidence, proxies=0 * falling, gaps=replace(none, reach=falling)))[0]
    for opened in (by_stand_ins, by_reach):
        assert opened[0] == 1
        assert opened[-1] == 0
        assert (np.diff(opened) <= 0).all()
        assert np.abs(np.diff(opened)).max() < 0.15
    few = np.full_like(falling, 0.2)  # of the pixel; leaves cover the rest
    assert not gate(replace(confidence, proxies=few, gaps=none)).any()


def test_leaves_with_pending_sh_stay_as_rendered(model: Path) -> None:
    render, confidence = frame()
    none = np.zeros_like(confidence.leaves)
    pending = replace(
        confidence,
        leaves=none + 1,
        proxies=none,
        nothing=none,
        sh_pending=none + 1,
        gaps=_none(none),
    )
    assert GaussPainter(model).paint(render, pending).tobytes() == render.rgb.tobytes()


def test_planes_hold_the_render_and_the_colours_for_its_gaps() -> None:
    render, confidence = frame()
    assert confidence.gaps is not None
    half = replace(confidence.gaps, weight=0.5 * confidence.nothing)
    stack = planes(render, confidence, half)
    assert stack.shape == (PLANES, *render.alpha.shape)
    assert stack.min() >= 0
    assert stack.max() <= 1
    np.testing.assert_allclose(stack[RAW], np.moveaxis(render.rgb, 2, 0), atol=1e-6)
    assert not stack[GAPS, :, 0].any()  # no colours outside gaps
    shown = stack[RAW] + stack[9] * stack[GAPS]
    np.testing.assert_allclose(shown[:, :, -1], 0.25, atol=1e-6)
    np.testing.assert_allclose(shown[:, :, 0], stack[RAW, :, 0], atol=1e-6)


@pytest.mark.parametrize("size", [(17, 33), (64, 64), (16, 200)])
def test_pictures_of_any_size_are_painted(model: Path, size: tuple[int, int]) -> None:
    painted = GaussPainter(model).paint(*frame(*size))
    assert painted.shape == (*size, 3)
    assert np.isfinite(painted).all()


def test_it_lowers_the_resolution_to_keep_the_time_budget(model: Path) -> None:
    render, confidence = frame(64, 96)
    painter = GaussPainter(model, budget_s=1e-9)
    first = painter.paint(render, confidence)
    second = painter.paint(render, confidence)
    assert first.tobytes() == GaussPainter(model).paint(render, confidence).tobytes()
    assert not np.array_equal(first, second)
    leaves = confidence.leaves == 1
    assert second[leaves].tobytes() == render.rgb[leaves].tobytes()


def test_it_can_be_chosen_by_name() -> None:
    painter = painter_named("gauss")
    assert painter is not None
    render, confidence = frame(32, 48)
    assert painter.slow
    assert painter.paint(render, confidence).shape == (32, 48, 3)
