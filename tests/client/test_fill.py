"""The honest fill: holes take the colour around them, covered pixels are not touched."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exgs.painter.choice import painter_named
from exgs.painter.confidence import Confidence
from exgs.painter.fill import FillPainter
from exgs.painter.gaps import Gaps
from exgs.painter.push_pull import push_pull
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

_unit = st.floats(0, 1, width=32)
_shapes = st.tuples(st.integers(1, 23), st.integers(1, 17))
_weights = _shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=_unit))


def _paint(rgb: FloatArray, leaves: FloatArray, gaps: Gaps | None) -> FloatArray:
    none = np.zeros_like(leaves)
    confidence = Confidence(leaves, none, 1 - leaves, none, gaps)
    return FillPainter().paint(Render(rgb, leaves, none), confidence)


@given(weight=_weights, color=st.tuples(_unit, _unit, _unit))
@settings(deadline=None)
def test_a_constant_picture_stays_constant(
    weight: FloatArray, color: tuple[float, float, float]
) -> None:
    weight[0, 0] = 1.0  # some colour must be known
    premultiplied = weight[..., None] * np.array(color, np.float32)
    filled = push_pull(premultiplied, weight)
    np.testing.assert_allclose(filled, np.broadcast_to(color, filled.shape), atol=1e-5)


@given(weight=_weights, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_what_leaves_cover_is_as_rendered_bit_for_bit(weight: FloatArray, seed: int) -> None:
    weight[weight > 0.5] = 1.0
    colors = np.random.default_rng(seed).random((*weight.shape, 3), np.float32)
    rgb = weight[..., None] * colors
    layer = np.zeros((*weight.shape, 4), np.float32)  # not for filling
    gaps = Gaps(1 - weight, 1 - weight, colors, layer, layer)
    painted = _paint(rgb, weight, gaps)
    np.testing.assert_allclose(painted, colors, atol=1e-6)
    covered = weight == 1.0
    assert painted[covered].tobytes() == rgb[covered].tobytes()


@given(weight=_weights, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_filled_colours_lie_within_those_that_are_known(weight: FloatArray, seed: int) -> None:
    weight[0, 0] = 1.0
    weight[weight < 0.01] = 0.0
    colors = np.random.default_rng(seed).random((*weight.shape, 3), np.float32)
    known = colors[weight > 0]
    filled = push_pull(weight[..., None] * colors, weight)
    assert filled.min() >= known.min() - 1e-4
    assert filled.max() <= known.max() + 1e-4


def test_a_hole_takes_the_colour_beside_it_and_not_that_far_away() -> None:
    weight = np.ones((32, 64), np.float32)
    colors = np.zeros((32, 64, 3), np.float32)
    colors[:, :32, 0] = 1.0  # red on the left, blue on the right
    colors[:, 32:, 2] = 1.0
    weight[12:16, 4:8] = 0.0
    filled = push_pull(weight[..., None] * colors, weight)
    np.testing.assert_allclose(filled[12:16, 4:8], [[[1, 0, 0]] * 4] * 4, atol=1e-5)


def test_without_gaps_the_picture_is_returned_as_it_is() -> None:
    rgb = np.random.default_rng(0).random((8, 9, 3), np.float32)
    half = np.full((8, 9), 0.5, np.float32)
    assert _paint(rgb, half, None) is rgb
    assert painter_named("none") is None


def test_where_nothing_is_known_colours_are_black() -> None:
    assert not push_pull(np.zeros((8, 9, 3), np.float32), np.zeros((8, 9), np.float32)).any()
