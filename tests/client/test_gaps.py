"""Gaps: space between leaves is a gap, space around an object is empty background."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exgs.codec.decoding.build import DrawnScene
from exgs.painter.gaps import Gaps, find_gaps
from exgs.painter.stretch import stretched
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import look_at, pinhole
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import psnr

CAMERA = look_at((0, 0, -3), (0, 0, 0), (0, -1, 0), pinhole(72, 72, 60), 72, 72)
RASTERIZER = default_rasterizer()


def _sheet(count: int, seed: int = 0, *, radius: float = 1.0, size: float = 0.05) -> Gaussians:
    """Flat Gaussians on a disc that faces the camera; red on the left, green on the right."""
    rng = np.random.default_rng(seed)
    turn, far = rng.uniform(0, 2 * np.pi, count), radius * np.sqrt(rng.uniform(0, 1, count))
    means = np.stack([far * np.cos(turn), far * np.sin(turn), np.zeros(count)], 1)
    colors = np.where(means[:, :1] < 0, [[1.5, -1.5, -1.5]], [[-1.5, 1.5, -1.5]])
    return Gaussians(
        means.astype(np.float32),
        np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        np.tile(np.array([size, size, 0.002], np.float32), (count, 1)),
        np.full(count, 0.95, np.float32),
        colors.astype(np.float32),
        np.zeros((count, 0, 3), np.float32),
    )


def _look(leaves: Gaussians, missing: float = 0.9) -> tuple[FloatArray, FloatArray, Gaps]:
    """The picture, coverage and gaps of `leaves` while a share of the leaves is missing."""
    flags = np.zeros(len(leaves), bool)
    render = RASTERIZER.render(leaves, CAMERA)
    nothing = np.clip(1 - render.alpha, 0, 1)
    scene = DrawnScene(leaves, flags, flags)
    gaps = find_gaps(RASTERIZER, scene, missing, nothing, CAMERA, spread=missing == 0.9)
    return render.rgb, render.alpha, gaps


def test_gaps_between_leaves_are_filled_with_their_colours() -> None:
    whole = _sheet(6000)
    few = whole.select(np.arange(120))
    rgb, cover, gaps = _look(few)
    target = RASTERIZER.render(whole, CAMERA)
    assert cover[target.alpha > 0.9].mean() < 0.7
    filled = rgb + gaps.weight[..., None] * gaps.colors
    assert psnr(filled, target.rgb) > psnr(rgb, target.rgb) + 3
    assert gaps.weight[target.alpha < 0.001].mean() < 0.03


def test_background_around_a_complete_object_is_not_filled() -> None:
    _, cover, gaps = _look(_sheet(3000))
    assert cover[30:42, 30:42].min() > 0.9
    assert gaps.weight.max() < 0.02
    assert gaps.reach[cover < 0.01].mean() < 0.05


def test_inside_a_closed_scene_all_background_is_a_gap() -> None:
    leaves = _sheet(400, radius=4.0)
    _, cover, gaps = _look(leaves)
    assert cover.mean() < 0.5
    np.testing.assert_allclose(gaps.weight, 1 - cover, atol=0.05)


def test_nothing_is_a_gap_when_most_leaves_have_arrived() -> None:
    leaves = _sheet(400, radius=4.0)
    weights = [_look(leaves, missing)[2].weight.mean() for missing in (0.35, 0.32, 0.3, 0.1)]
    assert weights[0] > weights[1] > 0
    assert weights[2] == weights[3] == 0


def test_spread_and_stretched_leaves_cover_more_than_the_leaves() -> None:
    _, cover, gaps = _look(_sheet(120))
    assert gaps.spread is not None
    for layer in (gaps.spread, gaps.stretched):
        assert cover.mean() + 0.02 < layer[..., 3].mean()
        assert (layer[..., :3] <= layer[..., 3:] * 1.01).all()  # premultiplied


def test_leaves_are_spread_on_request_only() -> None:
    assert _look(_sheet(120), 0.8)[2].spread is None


def test_an_empty_scene_has_no_gaps() -> None:
    _, _, gaps = _look(Gaussians.empty())
    assert not gaps.weight.any()
    assert not gaps.colors.any()


def test_leaves_stretch_to_their_neighbours_along_their_surface_only() -> None:
    leaves = _sheet(900)
    stretched_leaves = stretched(leaves)
    assert (stretched_leaves.scales >= leaves.scales).all()
    np.testing.assert_array_equal(stretched_leaves.scales[:, 2], leaves.scales[:, 2])
    distance = np.linalg.norm(leaves.means[:, None] - leaves.means, axis=2)  # brute force
    nearest = np.argsort(distance, axis=1)[:, 1:7]
    offsets = leaves.means[nearest] - leaves.means[:, None]
    exact = np.sqrt(np.square(offsets).mean(axis=1))[:, :2]
    ratio = stretched_leaves.scales[:, :2] / np.maximum(exact, leaves.scales[:, :2])
    assert abs(np.median(ratio) - 1) < 0.02
    assert np.quantile(np.abs(ratio - 1), 0.9) < 0.25
    again = stretched(replace(leaves, scales=np.full_like(leaves.scales, 9)))
    assert (again.scales == 9).all()
    few = leaves.select(np.arange(3))
    assert stretched(few) is few
