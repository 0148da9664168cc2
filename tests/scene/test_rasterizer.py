"""The CPU rasterizer keeps what `exgs.scene.rasterizer` promises, measured against a plain twin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.gaussians import Gaussians
from tests.scene import twin

TOLERANCE = 2e-5


def astuple(value: Any) -> tuple[Any, ...]:
    """The fields of a dataclass, not copied."""
    return tuple(getattr(value, field.name) for field in fields(value))


def cloud(n: int, seed: int, sh_degree: int, spread: float = 1.0, size: float = 0.07) -> Gaussians:
    """Random Gaussians about the origin, some of them too faint to be seen."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(n, 4))
    k = (sh_degree + 1) ** 2 - 1
    arrays = (
        rng.normal(0, spread, (n, 3)),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        size * np.exp(rng.normal(0, 0.8, (n, 3))),
        np.clip(rng.beta(2, 1, n), 0.002, 1),
        rng.normal(0, 1, (n, 3)),
        rng.normal(0, 0.15, (n, k, 3)),
    )
    return Gaussians(*(a.astype(np.float32) for a in arrays))


def camera(
    width: int, height: int, eye: tuple[float, float, float] = (1.5, 0.8, -3.0), fov: float = 60.0
) -> Camera:
    return look_at(eye, (0, 0, 0), (0, -1, 0), pinhole(width, height, fov), width, height)


VIEWS = {
    "SH degree 0": (cloud(400, 0, 0), camera(97, 61)),
    "SH degree 1": (cloud(400, 1, 1), camera(64, 48)),
    "SH degree 2": (cloud(400, 2, 2), camera(50, 33)),
    "SH degree 3": (cloud(400, 3, 3), camera(61, 97)),
    "inside the cloud": (cloud(400, 4, 1), camera(71, 43, (0.1, 0.05, -0.2), 90)),
    "one pixel": (cloud(300, 5, 2), camera(1, 1)),
    "one row": (cloud(300, 6, 0), camera(77, 1)),
    "one column": (cloud(300, 7, 0), camera(1, 77)),
    "specks": (cloud(600, 8, 0, size=0.003), camera(90, 70)),
    "giants": (cloud(150, 9, 0, size=3.0), camera(60, 40)),
    "opaque": (cloud(500, 10, 0, spread=0.3, size=0.2), camera(60, 40)),
}
"""Name -> scene and camera; small enough for the twin to look at every pixel."""


@pytest.fixture(scope="module")
def rasterizer() -> CpuRasterizer:
    return CpuRasterizer()


@pytest.fixture(params=VIEWS, scope="module")
def view(request: pytest.FixtureRequest) -> tuple[Gaussians, Camera, twin.Drawn]:
    scene, cam = VIEWS[request.param]
    return scene, cam, twin.draw(scene, cam, (0.2, 0.4, 0.6))


def test_picture_is_the_twins(view, rasterizer):
    scene, cam, expected = view
    seen = rasterizer.render(scene, cam, background=(0.2, 0.4, 0.6))
    assert expected.decided.mean() > 0.99
    sure = expected.decided
    assert abs(seen.rgb - expected.rgb)[sure].max() <= TOLERANCE
    assert abs(seen.alpha - expected.alpha)[sure].max() <= TOLERANCE
    covered = sure & (expected.alpha > 0.01)
    assert (abs(seen.depth - expected.depth) / (1 + expected.depth))[covered].max(
        initial=0
    ) <= 2 * TOLERANCE


@pytest.mark.parametrize("name", VIEWS)
def test_antialiased_pictures_and_weights_are_the_twins(name):
    scene, cam = VIEWS[name]
    expected = twin.draw(scene, cam, antialiased=True)
    rasterizer = CpuRasterizer(antialiased=True)
    seen = rasterizer.render(scene, cam)
    sure = expected.decided
    assert abs(seen.rgb - expected.rgb)[sure].max() <= TOLERANCE
    sums = expected.weights.sum((1, 2))
    found = rasterizer.contributions(scene, cam).sum
    assert np.all(abs(found - sums) <= TOLERANCE * (1 + sums) + doubt(expected))


def test_antialiasing_dims_what_is_thinner_than_a_pixel(rasterizer):
    cam, speck = camera(32, 32), single((0, 0, 0), scale=1e-3)
    plain = rasterizer.render(speck, cam).alpha.sum()
    dimmed = CpuRasterizer(antialiased=True).render(speck, cam).alpha.sum()
    assert dimmed < 0.1 * plain
    wide = single((0, 0, 0), scale=2.0)
    plain = rasterizer.render(wide, cam).alpha.sum()
    assert CpuRasterizer(antialiased=True).render(wide, cam).alpha.sum() > 0.99 * plain


def test_given_colors_are_drawn_as_they_are(rasterizer):
    scene, cam = VIEWS["SH degree 2"]
    colors = np.random.default_rng(0).normal(size=(len(scene), 3)).astype(np.float32)
    expected = twin.draw(scene, cam, colors=colors)
    seen = rasterizer.render(scene, cam, colors=colors)
    assert colors.min() < 0
    assert abs(seen.rgb - expected.rgb)[expected.decided].max() <= TOLERANCE


def doubt(expected: twin.Drawn) -> float:
    """How far a sum over the picture may be off: an undecided pixel can shift every weight there
    by the one that was or was not drawn, or end one Gaussian sooner."""
    return float((~expected.decided).sum())


def test_contributions_are_the_twins(view, rasterizer):
    scene, cam, expected = view
    seen = rasterizer.contributions(scene, cam)
    sums = expected.weights.sum((1, 2))
    assert np.all(abs(seen.sum - sums) <= TOLERANCE * (1 + sums) + doubt(expected))
    reached = expected.before.sum((1, 2))
    assert np.all(abs(seen.transmittance - reached) <= TOLERANCE * (1 + reached) + doubt(expected))
    assert np.all(abs(seen.hits - (expected.weights > 0).sum((1, 2))) <= doubt(expected))
    if expected.decided.all():
        assert abs(seen.max - expected.weights.max((1, 2))).max() <= TOLERANCE


def test_backprojection_is_the_transpose_of_the_twins_weights(view, rasterizer):
    scene, cam, expected = view
    image = np.random.default_rng(1).uniform(size=(cam.height, cam.width, 3)).astype(np.float32)
    image[~expected.decided] = 0
    seen = rasterizer.backproject(scene, cam, image)
    sums = np.einsum("nhw,hwc->nc", expected.weights, image)
    assert np.all(abs(seen.sums - sums) <= TOLERANCE * (1 + sums))
    weights, squares = expected.weights.sum((1, 2)), (expected.weights**2).sum((1, 2))
    assert np.all(abs(seen.weights - weights) <= TOLERANCE * (1 + weights) + doubt(expected))
    assert np.all(abs(seen.squares - squares) <= TOLERANCE * (1 + squares) + doubt(expected))


def test_impact_is_the_squared_change_of_the_twins_picture_without_a_gaussian(view, rasterizer):
    crowded, cam, _ = view
    # So thin that no pixel is ever closed: otherwise others are drawn once a Gaussian is gone.
    scene = replace(crowded, opacities=crowded.opacities * np.float32(5 / max(len(crowded), 10)))
    expected = twin.draw(scene, cam)
    seen = rasterizer.impact(scene, cam)
    gathered = rasterizer.backproject(scene, cam, np.zeros((cam.height, cam.width, 1), np.float32))
    assert np.allclose(seen.weights, gathered.weights, rtol=1e-5)
    assert np.allclose(seen.squares, gathered.squares, rtol=1e-5)
    for i in range(0, len(scene), max(1, len(scene) // 8)):
        others = np.delete(np.arange(len(scene)), i)
        without = twin.draw(scene.select(others), cam)
        if without.decided.all() and expected.decided.all():
            change = float(((without.rgb - expected.rgb) ** 2).sum())
            assert seen.removals[i] == pytest.approx(change, rel=1e-3, abs=1e-4)


def test_what_hides_its_like_costs_nothing_to_remove(rasterizer):
    far = single((0, 0, 1), scale=500.0, opacity=0.999)
    near = single((0, 0, 0), scale=500.0, opacity=0.5)
    both, cam = Gaussians.concatenate([near, far]), camera(9, 9)
    alike = rasterizer.impact(both, cam)
    assert alike.removals[0] < 1e-4 * alike.squares[0]
    other = replace(both, sh0=both.sh0 + np.float32([[1, 1, 1], [0, 0, 0]]))
    assert rasterizer.impact(other, cam).removals[0] > 0.1 * alike.squares[0]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 300),
    width=st.integers(1, 80),
    height=st.integers(1, 80),
    size=st.sampled_from([0.01, 0.1, 1.0]),
)
def test_backprojection_is_adjoint_to_drawing(seed, n, width, height, size):
    rng = np.random.default_rng(seed)
    rasterizer, scene = CpuRasterizer(), cloud(n, seed, 0, size=size)
    cam = camera(width, height, tuple(rng.normal(0, 1.5, 3)))
    colors = rng.normal(size=(n, 3)).astype(np.float32)
    image = rng.normal(size=(height, width, 3)).astype(np.float32)
    drawn = rasterizer.render(scene, cam, colors=colors)
    gathered = rasterizer.backproject(scene, cam, image)
    one = np.vdot(drawn.rgb.astype(np.float64), image)
    other = np.vdot(colors, gathered.sums)
    scale = np.vdot(abs(colors).sum(1), gathered.weights) + 1e-9
    assert abs(one - other) <= 1e-5 * scale
    assert gathered.weights.sum() == pytest.approx(drawn.alpha.sum(dtype=np.float64), rel=1e-5)


def test_scores_and_backprojection_count_the_same_weights(view, rasterizer):
    scene, cam, _ = view
    scores = rasterizer.contributions(scene, cam)
    gathered = rasterizer.backproject(scene, cam, np.ones((cam.height, cam.width, 1), np.float32))
    assert np.allclose(scores.sum, gathered.weights, rtol=1e-6)
    assert np.allclose(gathered.sums[:, 0], gathered.weights, rtol=1e-6)
    assert gathered.sums.shape == (len(scene), 1)


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_many_channels_are_gathered_as_each_alone(channels, rasterizer):
    scene, cam = cloud(300, 5, 0), camera(70, 50)
    image = np.random.default_rng(3).uniform(size=(50, 70, channels)).astype(np.float32)
    together = rasterizer.backproject(scene, cam, image)
    for channel in range(channels):
        alone = rasterizer.backproject(scene, cam, image[:, :, [channel]])
        assert np.array_equal(together.sums[:, channel], alone.sums[:, 0])
        assert np.array_equal(together.weights, alone.weights)
        assert np.array_equal(together.squares, alone.squares)


def test_everything_is_the_same_on_any_number_of_threads(rasterizer):
    scene, cam = cloud(5000, 11, 2), camera(300, 200)
    image = np.random.default_rng(2).uniform(size=(200, 300, 3)).astype(np.float32)
    outcomes = []
    before = numba.get_num_threads()
    try:
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(threads)
            render, scores = rasterizer.render(scene, cam), rasterizer.contributions(scene, cam)
            gathered = rasterizer.backproject(scene, cam, image)
            arrays = (*astuple(render), *astuple(scores), *gathered)
            outcomes.append([array.tobytes() for array in arrays])
    finally:
        numba.set_num_threads(before)
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_equal_depths_are_drawn_in_the_order_of_the_scene(rasterizer):
    n = 200
    scene = Gaussians(
        np.zeros((n, 3), np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (n, 1)),
        np.full((n, 3), 0.3, np.float32),
        np.full(n, 0.05, np.float32),
        np.random.default_rng(3).normal(size=(n, 3)).astype(np.float32),
        np.zeros((n, 0, 3), np.float32),
    )
    cam = camera(40, 30)
    expected = twin.draw(scene, cam)
    seen = rasterizer.render(scene, cam)
    assert abs(seen.rgb - expected.rgb)[expected.decided].max() <= TOLERANCE


def test_a_crowded_picture_is_the_same_in_bands(rasterizer, monkeypatch):
    scene, cam = VIEWS["giants"]
    image = np.random.default_rng(4).uniform(size=(cam.height, cam.width, 3)).astype(np.float32)

    def outcome() -> list[np.ndarray]:
        render, scores = rasterizer.render(scene, cam), rasterizer.contributions(scene, cam)
        return [*astuple(render), *astuple(scores), *rasterizer.backproject(scene, cam, image)]

    whole = outcome()
    for entries_max in (1, 500):
        monkeypatch.setattr("exgs.scene.cpu.rasterizer.ENTRIES_MAX", entries_max)
        assert all(np.array_equal(a, b) for a, b in zip(whole, outcome(), strict=True))


def test_an_empty_scene_is_background(rasterizer):
    seen = rasterizer.render(Gaussians.empty(2), camera(33, 17), background=(0.1, 0.2, 0.3))
    assert np.array_equal(seen.rgb, np.broadcast_to(np.float32([0.1, 0.2, 0.3]), (17, 33, 3)))
    assert not seen.alpha.any()
    assert not seen.depth.any()
    assert rasterizer.contributions(Gaussians.empty(), camera(33, 17)).sum.shape == (0,)


def single(mean: tuple[float, float, float], scale: float = 0.1, opacity: float = 0.9) -> Gaussians:
    return Gaussians(
        np.float32([mean]),
        np.float32([[1, 0, 0, 0]]),
        np.full((1, 3), scale, np.float32),
        np.float32([opacity]),
        np.float32([[1, 1, 1]]),
        np.zeros((1, 0, 3), np.float32),
    )


FORWARD = Camera(np.eye(4), pinhole(32, 24, 60), 32, 24)  # at the origin, looking along +z


@pytest.mark.parametrize(
    "scene",
    [
        single((0, 0, 0)),
        single((0, 0, -1)),
        single((0, 0, 0.0099)),
        single((0, 0, 2e10)),
        single((100, 0, 1)),
        single((0, 0, 1), opacity=1 / 256),
    ],
    ids=["at the camera", "behind", "before the near plane", "too far", "aside", "too faint"],
)
def test_what_cannot_be_seen_leaves_no_trace(scene, rasterizer):
    assert not rasterizer.render(scene, FORWARD).alpha.any()
    assert not rasterizer.contributions(scene, FORWARD).hits.any()


@pytest.mark.parametrize(
    "scene",
    [
        single((0, 0, 0.011), scale=1e-3),
        single((1e-3, 0, 0.02), scale=1e6),
        single((0, 0, 1), scale=1e-12),
        single((0, 0, 1), scale=1e18),
        single((0, 0, 9e9), scale=1e9),
        single((3e38, -3e38, 1), scale=3e38),
        single((0, 0, 1), scale=np.inf),
        single((np.nan, 0, 1)),
        single((0, 0, 1), opacity=np.nan),
    ],
    ids=["near", "huge", "tiny", "enormous", "far", "overflowing", "infinite", "NaN", "NaN alpha"],
)
def test_extreme_gaussians_never_give_nan(scene, rasterizer):
    seen = rasterizer.render(scene, FORWARD, background=(1, 1, 1))
    assert all(np.isfinite(array).all() for array in astuple(seen))
    assert 0 <= seen.alpha.min() <= seen.alpha.max() <= 1


def test_pictures_up_to_4096_pixels_are_whole(rasterizer):
    """A Gaussian as large as the picture is centred and symmetric in it, on tiles near and far."""
    cam = Camera(np.eye(4), pinhole(4096, 4096, 60), 4096, 4096)
    seen = rasterizer.render(single((0, 0, 1), scale=0.3), cam)
    corner = seen.alpha[:2048, :2048]
    assert np.allclose(corner, seen.alpha[2048:, 2048:][::-1, ::-1], atol=1e-5)
    sigma = 0.3 * cam.K[0, 0]
    offsets = np.arange(0, 2048, 97) - 2047.5
    expected = 0.9 * np.exp(-(offsets**2 + 0.25) / (2 * sigma**2))
    assert np.allclose(corner[::97, 2047], np.where(expected < 1 / 255, 0, expected), atol=1e-4)


def test_wrong_shapes_are_refused(rasterizer):
    scene, cam = VIEWS["one pixel"]
    with pytest.raises(ValueError, match="colors have shape"):
        rasterizer.render(scene, cam, colors=np.zeros((3, 3), np.float32))
    for shape in ((2, 1, 3), (1, 1, 0), (1, 1)):
        with pytest.raises(ValueError, match="image has shape"):
            rasterizer.backproject(scene, cam, np.zeros(shape, np.float32))


@pytest.mark.parametrize("shared", [True, False])
def test_threads_may_draw_at_once(shared, rasterizer):
    scene, cam = cloud(2000, 12, 1), camera(160, 120)
    expected = rasterizer.render(scene, cam).rgb

    def draw(_: int) -> bool:
        mine = rasterizer if shared else CpuRasterizer()
        return all(np.array_equal(mine.render(scene, cam).rgb, expected) for _ in range(5))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(draw, range(8)))
