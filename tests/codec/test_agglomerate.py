"""Pairwise agglomeration partitions the scene within tiles, and merges similar Gaussians first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.merging.agglomerate import Mixture, agglomerate, as_mixture, merge_components
from exgs.scene.gaussians import Gaussians
from exgs.scene.rotations import rotation_matrices
from tests.strategies import gaussians

few = settings(deadline=None, max_examples=30)


def mixture_of(scene: Gaussians, seed: int = 0) -> Mixture:
    rng = np.random.default_rng(seed)
    weights, distances = rng.uniform(0.1, 1, len(scene)), rng.uniform(1, 3, len(scene))
    return as_mixture(scene, scene.sh0, weights, distances, np.full(len(scene), 0.01))


@few
@given(gaussians(min_size=2), st.integers(1, 40), st.integers(1, 4), st.integers(0, 1000))
def test_clusters_partition_and_never_cross_tiles(
    scene: Gaussians, count: int, tiles: int, seed: int
) -> None:
    tile = np.random.default_rng(seed).integers(0, tiles, len(scene))
    labels = agglomerate(mixture_of(scene, seed), tile, count)
    used = labels.max() + 1
    assert len(np.unique(labels)) == used
    assert used >= min(count, len(scene))
    assert all(len(np.unique(tile[labels == label])) == 1 for label in range(used))
    np.testing.assert_array_equal(agglomerate(mixture_of(scene, seed), tile, count), labels)


def test_merging_conserves_weight_and_moments() -> None:
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(9, 3, 3))
    matrices = axes @ axes.transpose(0, 2, 1)
    rows, columns = np.triu_indices(3)
    mixture = Mixture(
        rng.normal(size=(9, 3)),
        matrices[:, rows, columns],
        rng.uniform(0.1, 1, 9),
        rng.random((9, 3)),
        rng.uniform(1, 2, 9),
    )
    whole = merge_components(mixture, np.zeros(9, np.int64), 1)
    w = mixture.weights / mixture.weights.sum()
    offsets = mixture.means - w @ mixture.means
    expected = np.einsum("n,nij->ij", w, matrices) + np.einsum("n,ni,nj", w, offsets, offsets)
    assert whole.weights[0] == pytest.approx(mixture.weights.sum())
    np.testing.assert_allclose(whole.covariances[0], expected[rows, columns])
    np.testing.assert_allclose(whole.colors[0], w @ mixture.colors)


def test_components_are_gaussians_blurred_by_half_a_pixel() -> None:
    rng = np.random.default_rng(1)
    quats = rng.normal(size=(5, 4))
    scene = Gaussians(
        rng.normal(size=(5, 3)).astype(np.float32),
        (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32),
        rng.uniform(0.1, 1, (5, 3)).astype(np.float32),
        np.ones(5, np.float32),
        np.zeros((5, 3), np.float32),
        np.zeros((5, 0, 3), np.float32),
    )
    got = as_mixture(scene, scene.sh0, np.ones(5), np.ones(5), np.full(5, 0.2))
    axes = rotation_matrices(scene.quats) * scene.scales[:, None, :]
    expected = axes @ axes.transpose(0, 2, 1) + 0.01 * np.eye(3)
    np.testing.assert_allclose(got.covariances, expected[:, *np.triu_indices(3)], 1e-6, 1e-7)
    np.testing.assert_allclose(got.colors, 0.5)


def test_similar_neighbours_are_merged_before_others() -> None:
    """Three pairs of neighbours: similar, of two colours, and far apart."""
    means = np.zeros((6, 3))
    means[:, 0] = [0, 0.3, 10, 10.3, 20, 22]
    colors = np.full((6, 3), 0.5)
    colors[3] = [1, 0, 0]
    covariances = np.tile([0.25, 0, 0, 0.25, 0, 0.25], (6, 1))
    mixture = Mixture(means, covariances, np.ones(6), colors, np.ones(6))
    labels = agglomerate(mixture, np.zeros(6, np.int64), 5)
    assert labels[0] == labels[1]
    assert len(np.unique(labels)) == 5
    dim = Mixture(means, covariances, np.array([1, 1, 1e-6, 1e-6, 1, 1]), colors, np.ones(6))
    labels = agglomerate(dim, np.zeros(6, np.int64), 5)
    assert labels[2] == labels[3]  # components of small weight are merged first
