"""Clusters partition the scene, and merging conserves what it says it does."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.merging.clusters import cluster
from exgs.codec.merging.proxies import mean_area, merge
from exgs.scene.gaussians import Gaussians
from exgs.scene.rotations import rotation_matrices
from tests.strategies import gaussians

few = settings(deadline=None, max_examples=40)


@few
@given(gaussians(min_size=2), st.integers(1, 50), st.integers(1, 4), st.integers(0, 1000))
def test_clusters_partition_and_never_cross_tiles(
    scene: Gaussians, count: int, tiles: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tile = rng.integers(0, tiles, len(scene))
    weights = rng.uniform(0.1, 1, len(scene))
    distance = rng.uniform(1, 3, len(scene))
    labels = cluster(scene.means, scene.sh0, weights, distance, tile, [count])[0]
    used = labels.max() + 1
    assert len(np.unique(labels)) == used
    assert max(min(count, len(scene)), len(np.unique(tile))) >= used >= len(np.unique(tile))
    owners = [np.unique(tile[labels == label]) for label in range(used)]
    assert all(len(owner) == 1 for owner in owners)
    assert (np.diff([owner[0] for owner in owners]) >= 0).all()
    more = cluster(scene.means, scene.sh0, weights, distance, tile, [2 * count, count])
    np.testing.assert_array_equal(more[1], labels)
    assert len(np.unique(more[0])) >= used


def test_points_of_one_place_are_not_divided_for_ever() -> None:
    same = np.zeros((50, 3), np.float32)
    ones = np.ones(50)
    labels = cluster(same, same, ones, ones, np.zeros(50, np.int64), [10])[0]
    assert len(np.unique(labels)) <= 10


def test_clusters_divide_where_the_spread_is() -> None:
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0, 0], [10, 2, 0], [100, 0, 3], [130, 0, 0]])
    group = np.repeat(np.arange(4), 25)
    means = (centers[group] + rng.normal(0, 0.1, (100, 3))).astype(np.float32)
    ones = np.ones(100)
    labels = cluster(means, np.zeros_like(means), ones, ones, np.zeros(100, np.int64), [4])[0]
    assert all(len(np.unique(labels[group == g])) == 1 for g in range(4))
    assert len(np.unique(labels)) == 4


def covariances(scene: Gaussians) -> np.ndarray:
    axes = rotation_matrices(scene.quats) * scene.scales[:, None, :].astype(np.float64)
    return axes @ axes.transpose(0, 2, 1)


@few
@given(gaussians(min_size=4, sh_degrees=(0,)), st.integers(1, 4), st.integers(0, 1000))
def test_merging_conserves_moments_colour_and_area(scene: Gaussians, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.arange(len(scene)) % count
    weights = rng.uniform(0.1, 1, len(scene))
    merged = merge(scene, scene.sh0, weights, np.full(len(scene), 0.3), labels, count)
    own = covariances(scene)
    got = covariances(merged)
    for label in range(count):
        members = labels == label
        w = weights[members] / weights[members].sum()
        mean = w @ scene.means[members].astype(np.float64)
        size = np.abs(scene.means).max() + scene.scales.max()
        np.testing.assert_allclose(merged.means[label], mean, atol=2e-6 * size)
        offsets = scene.means[members] - mean
        expected = np.einsum("n,nij->ij", w, own[members]) + np.einsum(
            "n,ni,nj->ij", w, offsets, offsets
        )
        np.testing.assert_allclose(got[label], expected, atol=1e-5 * np.trace(expected))
        np.testing.assert_allclose(merged.sh0[label], w @ scene.sh0[members], atol=1e-5)
        covered = (scene.opacities * mean_area(scene.scales))[members].sum()
        wanted = covered / mean_area(merged.scales[label : label + 1])[0]
        np.testing.assert_allclose(
            merged.opacities[label], np.clip(wanted, 0.005, 0.995), rtol=1e-4
        )


@few
@given(gaussians(min_size=1, max_size=6, sh_degrees=(0,)))
def test_a_cluster_of_one_keeps_its_shape(scene: Gaussians) -> None:
    labels = np.arange(len(scene))
    ones = np.ones(len(scene))
    merged = merge(scene, scene.sh0, ones, ones, labels, len(scene))
    for got, wanted in zip(covariances(merged), covariances(scene), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5 * np.trace(wanted))
    np.testing.assert_allclose(merged.means, scene.means, rtol=1e-6)
