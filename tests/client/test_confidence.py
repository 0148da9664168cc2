"""The confidence map: what the rasterizer says about where a picture can be trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.codec.decoding.build import DrawnScene, SceneBuilder, is_complete
from exgs.codec.format.container import FileHead, FilePusher
from exgs.painter.choice import painter_named
from exgs.painter.confidence import measure_confidence
from exgs.painter.interface import PainterError
from exgs.present.picture import draw_picture
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import look_at, pinhole
from exgs.scene.metrics import psnr
from tests.client.scenes import write_box

INSIDE = look_at((0, 0, -1.5), (0, 0, 0), (0, -1, 0), pinhole(96, 64, 70), 96, 64)
OUTSIDE = look_at((0, 0, -12), (0, 0, 0), (0, -1, 0), pinhole(96, 64, 70), 96, 64)
RASTERIZER = default_rasterizer()


def _prefix(folder: Path, share: float, *, proxies: bool = True) -> tuple[FileHead, DrawnScene]:
    write_box(folder / "box.exgs", 6000, proxies=proxies)
    data = (folder / "box.exgs").read_bytes()
    pusher = FilePusher()
    arrived = pusher.receive_data(data[: int(share * len(data))])
    assert pusher.head is not None
    assert pusher.table is not None
    builder = SceneBuilder(pusher.head.root.facts, pusher.table)
    for chunk, packed in arrived:
        builder.add(chunk, packed)
    return pusher.head, builder.drawn()


def test_the_weights_of_each_pixel_add_up_to_one(tmp_path: Path) -> None:
    head, drawn = _prefix(tmp_path, 0.4)
    confidence = measure_confidence(RASTERIZER, drawn, head.root.facts, INSIDE)
    total = confidence.leaves + confidence.proxies + confidence.nothing
    np.testing.assert_allclose(total, 1.0, atol=1e-5)
    alpha = RASTERIZER.render(drawn.gaussians, INSIDE).alpha
    np.testing.assert_allclose(confidence.nothing, 1 - alpha, atol=1e-5)
    assert confidence.proxies.max() > 0.1
    assert (confidence.sh_pending <= confidence.leaves + 1e-6).all()


def test_a_complete_scene_is_shown_as_rendered_whatever_the_painter(tmp_path: Path) -> None:
    head, drawn = _prefix(tmp_path, 1.0)
    facts = head.root.facts
    assert is_complete(drawn, facts)
    painted = draw_picture(RASTERIZER, drawn, facts, INSIDE, painter=painter_named("fill"))
    assert painted.tobytes() == RASTERIZER.render(drawn.gaussians, INSIDE).rgb.tobytes()


def test_filling_helps_where_pruning_left_gaps(tmp_path: Path) -> None:
    head, drawn = _prefix(tmp_path, 0.15, proxies=False)
    _, whole = _prefix(tmp_path, 1.0, proxies=False)
    facts = head.root.facts
    reference = draw_picture(RASTERIZER, whole, facts, INSIDE)
    raw = draw_picture(RASTERIZER, drawn, facts, INSIDE)
    filled = draw_picture(RASTERIZER, drawn, facts, INSIDE, painter=painter_named("fill"))
    assert psnr(filled, reference) > psnr(raw, reference) + 1


def test_where_proxies_stand_for_the_rest_nothing_is_a_gap(tmp_path: Path) -> None:
    head, drawn = _prefix(tmp_path, 0.4)
    confidence = measure_confidence(RASTERIZER, drawn, head.root.facts, INSIDE)
    assert confidence.nothing.max() > 0.01
    assert confidence.gaps is None
    raw = draw_picture(RASTERIZER, drawn, head.root.facts, INSIDE, background=(0.2, 0.4, 0.6))
    filled = draw_picture(
        RASTERIZER,
        drawn,
        head.root.facts,
        INSIDE,
        painter=painter_named("fill"),
        background=(0.2, 0.4, 0.6),
    )
    np.testing.assert_allclose(filled, raw, atol=1e-5)


def test_the_empty_background_is_not_a_gap(tmp_path: Path) -> None:
    head, drawn = _prefix(tmp_path, 0.15, proxies=False)
    confidence = measure_confidence(RASTERIZER, drawn, head.root.facts, OUTSIDE)
    assert confidence.gaps is not None
    assert confidence.gaps.reach[32, 48] > 0
    assert confidence.gaps.weight.mean() < 0.05
    assert (confidence.gaps.weight <= confidence.gaps.reach).all()
    white = draw_picture(
        RASTERIZER,
        drawn,
        head.root.facts,
        OUTSIDE,
        painter=painter_named("fill"),
        background=(1, 1, 1),
    )
    np.testing.assert_array_equal(white[:8], 1.0)


def test_once_all_leaves_are_here_nothing_is_a_gap(tmp_path: Path) -> None:
    head, drawn = _prefix(tmp_path, 1.0, proxies=False)
    pending = replace(drawn, sh_pending=np.ones(len(drawn.gaussians), bool))
    assert not is_complete(pending, head.root.facts)
    confidence = measure_confidence(RASTERIZER, pending, head.root.facts, INSIDE)
    assert confidence.nothing.max() > 0.01
    assert confidence.gaps is None


def test_a_painter_that_is_not_there_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PainterError, match="none, fill, gauss"):
        painter_named("oil")
    with pytest.raises(PainterError, match="takes no model"):
        painter_named("fill", tmp_path)
    with pytest.raises(PainterError, match="is this a model folder"):
        painter_named("gauss", tmp_path)


def test_leaves_that_stand_for_others_are_trusted_less_the_more_is_missing(tmp_path: Path) -> None:
    head, drawn = _prefix(tmp_path, 0.4)
    facts = head.root.facts
    stretched = replace(
        facts, layers=(replace(facts.layers[0], amplification=1.5), *facts.layers[1:])
    )
    plain = measure_confidence(RASTERIZER, drawn, facts, INSIDE)
    doubted = measure_confidence(RASTERIZER, drawn, stretched, INSIDE)
    share = np.count_nonzero(~drawn.is_proxy) / facts.leaf_count
    assert 0 < share < 1
    assert plain.leaves.max() > 0.5
    np.testing.assert_allclose(doubted.leaves, share * plain.leaves, atol=1e-5)
    np.testing.assert_allclose(doubted.nothing, plain.nothing, atol=1e-5)
