"""Layers grow, keep every region occupied, and take the best Gaussians first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.constants import (
    MAX_BASES,
    MAX_CHUNK_COUNT,
    MAX_CHUNKS,
    MAX_LAYERS,
    MAX_SCENE_COUNT,
    MAX_TILE_LEVEL,
)
from exgs.codec.encoding import layer_plan as layers
from exgs.codec.encoding.layer_plan import (
    LayerPlan,
    assign_layers,
    check_plan,
    plan_layers,
    region_level,
)
from exgs.codec.encoding.tiles import TileBoxes, build_tiles
from exgs.codec.errors import SceneError
from exgs.codec.format.rows import EMPTY_BOX

few = settings(deadline=None, max_examples=60)


@few
@given(st.integers(1, MAX_SCENE_COUNT), st.booleans())
def test_plans_add_up_and_grow(count: int, proxies: bool) -> None:
    plan = plan_layers(count, proxies=proxies)
    assert 1 <= len(plan) <= MAX_LAYERS
    assert sum(layer.leaves for layer in plan) == count
    levels = [layer.tile_level for layer in plan]
    assert levels == sorted(levels)
    assert levels[-1] <= MAX_TILE_LEVEL
    assert plan[-1].proxies == 0
    assert plan[-1].amplification == 1
    if not proxies:
        assert all(layer.proxies == 0 for layer in plan)
        factors = [layer.amplification for layer in plan]
        assert factors == sorted(factors, reverse=True)
    for layer in plan[:-1]:
        assert layer.leaves + layer.proxies > 0
    check_plan(plan)
    cells = sum(1 << layer.tile_level for layer in plan)
    refined = sum(3 << layer.tile_level for layer in plan if layer.leaves)
    both = sum(1 << layer.tile_level for layer in plan if layer.leaves and layer.proxies)
    assert 1 + cells + both + refined <= MAX_CHUNKS
    assert max(layer.leaves >> layer.tile_level for layer in plan) < MAX_CHUNK_COUNT // 8


def test_a_plan_of_too_many_chunks_is_refused() -> None:
    check_plan([LayerPlan(1, 0, 16)])
    with pytest.raises(SceneError, match="524,289 chunks"):
        check_plan([LayerPlan(1, 0, 16), LayerPlan(1, 0, 16)])


@few
@given(st.integers(1, MAX_SCENE_COUNT), st.booleans())
def test_the_leaves_of_a_tile_share_a_region(count: int, proxies: bool) -> None:
    plan = plan_layers(count, proxies=proxies)
    level = region_level(plan)
    assert 0 <= level <= min(layer.tile_level for layer in plan if layer.leaves)
    assert 1 << level <= MAX_BASES


def _cloud(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    means = rng.random((count, 3)).astype(np.float32)
    dim = means[:, 0] > 0.5  # half of the space holds hardly anything that counts
    return means, np.where(dim, 1e-6, 1.0) * rng.random(count)


def test_no_occupied_region_is_empty_after_the_first_layer() -> None:
    means, score = _cloud(4000, 0)
    octant = (means > 0.5) @ np.array([1, 2, 4])
    unguarded = np.argsort(-score)[:1600]
    assert len(np.unique(octant[unguarded])) == 4
    layer = assign_layers(score, means, [1600, 1000, 1400])
    assert np.bincount(layer).tolist() == [1600, 1000, 1400]
    assert len(np.unique(octant[layer == 0])) == 8


@few
@given(st.integers(1, 500), st.integers(1, 400), st.integers(0, 1000))
def test_every_voxel_of_the_floor_gives_its_best(count: int, most: int, seed: int) -> None:
    means = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    voxels = layers._voxels(means, most)
    occupied = np.unique(voxels)
    assert len(occupied) <= most or len(occupied) == 1
    score = np.random.default_rng(seed + 1).random(count)
    size = min(count, most * layers._VOXEL_SHARE)
    layer = assign_layers(score, means, [size, count - size])
    ranked = layers._voxels(means[np.argsort(-score, kind="stable")], size // layers._VOXEL_SHARE)
    if len(np.unique(ranked)) <= size:
        own = layers._voxels(means, size // layers._VOXEL_SHARE)
        for voxel in np.unique(own):
            members = np.flatnonzero(own == voxel)
            assert layer[members[score[members].argmax()]] == 0


def test_within_a_layer_the_best_come_first() -> None:
    means, score = _cloud(2000, 1)
    layer = assign_layers(score, means, [400, 1600])
    best = np.argsort(-score)[:350]  # 50 places are the floor's at most
    assert (layer[best] == 0).all()


def test_equal_scores_keep_the_order() -> None:
    layer = assign_layers(np.ones(10), np.zeros((10, 3), np.float32), [3, 7])
    assert layer.tolist() == [0] * 3 + [1] * 7


@few
@given(st.integers(0, 5), st.integers(1, 300), st.integers(0, 1000))
def test_tiles_cover_every_point_and_halve_evenly(level: int, count: int, seed: int) -> None:
    means = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    tree = build_tiles(means, level)
    assert tree.count == 1 << level
    tile = tree.locate(means)
    assert ((tile >= 0) & (tile < tree.count)).all()
    counts = np.bincount(tile, minlength=tree.count)
    assert counts.max() <= -(-count // tree.count) + level
    boxes = TileBoxes(means, tile, level)
    for coarser in range(level + 1):
        for number in range(1 << coarser):
            box = boxes.box(coarser, number)
            inside = means[tile >> (level - coarser) == number]
            assert (box == EMPTY_BOX) == (not len(inside))
            assert (inside >= np.array(box.low, np.float32)).all()
            assert (inside <= np.array(box.high, np.float32)).all()
            if len(inside):
                np.testing.assert_allclose(box.low, inside.min(axis=0), rtol=2**-11, atol=1e-9)
                np.testing.assert_allclose(box.high, inside.max(axis=0), rtol=2**-11, atol=1e-9)


def test_a_tile_of_a_coarser_level_is_a_range_of_finer_ones() -> None:
    means = np.random.default_rng(3).normal(size=(500, 3)).astype(np.float32)
    fine = build_tiles(means, 4).locate(means)
    for level in range(4):
        np.testing.assert_array_equal(build_tiles(means, level).locate(means), fine >> (4 - level))


@pytest.mark.parametrize("axis", range(3))
def test_floaters_do_not_choose_the_cut(axis: int) -> None:
    rng = np.random.default_rng(0)
    means = rng.random((1000, 3)).astype(np.float32)
    means[:, axis] *= 3
    means[:5, (axis + 1) % 3] = 1e6
    assert build_tiles(means, 1).axes[0] == axis
