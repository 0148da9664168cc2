"""Importance and the colour fit against plain linear algebra on a tiny scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exgs.codec.measuring.directions import sh_basis
from exgs.codec.measuring.importance import measure_importance
from exgs.codec.measuring.pictures import FitViews, evenly_spaced, scaled
from exgs.codec.measuring.tile_errors import TileErrors
from exgs.codec.merging.colorfit import fit_colors
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.gaussians import SH_C0, Gaussians
from tests.codec.encoding import ball, ring

CAMERAS = ring(3, size=(24, 18)).cameras


def weights_of(scene: Gaussians, camera: Camera) -> np.ndarray:
    """Blending weights [pixels, N], one white Gaussian at a time."""
    rasterizer = default_rasterizer()
    columns = []
    for index in range(len(scene)):
        colors = np.zeros((len(scene), 3), np.float32)
        colors[index] = 1
        columns.append(rasterizer.render(scene, camera, colors=colors).rgb[:, :, 0].ravel())
    return np.stack(columns, axis=1).astype(np.float64)


def test_scores_are_sums_of_blending_weights() -> None:
    scene = ball(12, 0)
    got = measure_importance(scene, CAMERAS, default_rasterizer())
    w = np.concatenate([weights_of(scene, camera) for camera in CAMERAS])
    np.testing.assert_allclose(got.contribution, w.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(got.energy, (w * w).mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(got.base_color, scene.sh0)
    assert (got.distance > 1).all()
    assert (got.pixel_size > 0).all()


def test_base_colours_are_the_mean_of_what_is_seen() -> None:
    scene = ball(8, 2)
    got = measure_importance(scene, CAMERAS, default_rasterizer())
    seen = np.zeros(len(scene))
    shift = np.zeros((len(scene), 3))
    for camera in CAMERAS:
        w = weights_of(scene, camera).sum(axis=0)
        directions = scene.means - camera.position
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        light = np.einsum("nk,nkc->nc", sh_basis(directions, 2), scene.shN)
        shift += w[:, None] * light
        seen += w
    np.testing.assert_allclose(got.base_color, scene.sh0 + shift / seen[:, None] / SH_C0, atol=1e-4)


def test_directions_seen_are_averaged_in_each_region_by_energy() -> None:
    scene = ball(9, 2)
    regions = np.arange(len(scene)) % 2
    got = measure_importance(scene, CAMERAS, default_rasterizer(), regions, 3)
    sums, energy = np.zeros((3, 9, 9)), np.zeros(3)
    for camera in CAMERAS:
        squares = np.square(weights_of(scene, camera)).sum(axis=0)
        directions = scene.means - camera.position
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        ones = np.full((len(scene), 1), SH_C0)
        basis = np.concatenate([ones, sh_basis(directions, 2)], axis=1)
        for i, region in enumerate(regions):
            sums[region] += squares[i] * np.outer(basis[i], basis[i])
            energy[region] += squares[i]
    np.testing.assert_allclose(got.sh_moments[:2], sums[:2] / energy[:2, None, None], rtol=1e-3)
    np.testing.assert_allclose(
        got.sh_moments[2], np.eye(9) / (4 * np.pi), rtol=1e-6
    )  # an empty region


def test_unseen_gaussians_have_no_score_and_finite_values() -> None:
    scene = ball(10, 1)
    far = scene.means.copy()
    far[3] = [0, -500, 0]
    got = measure_importance(replace(scene, means=far), CAMERAS, default_rasterizer())
    assert got.contribution[3] == got.energy[3] == 0
    np.testing.assert_array_equal(got.base_color[3], scene.sh0[3])
    assert np.isfinite(got.distance).all()


@pytest.mark.parametrize("channel", range(3))
def test_the_colour_fit_is_the_least_squares_solution(channel: int) -> None:
    rasterizer = default_rasterizer()
    truth = ball(10, 0)
    start = replace(truth, sh0=np.full_like(truth.sh0, 0.2))
    references = [rasterizer.render(truth, camera).rgb for camera in CAMERAS]
    free = np.arange(10) % 3 > 0
    got = fit_colors(start, free, FitViews(CAMERAS, references), rasterizer, iterations=12)
    np.testing.assert_array_equal(got[~free], start.sh0[~free])
    a = np.concatenate([weights_of(start, camera) for camera in CAMERAS])[:, free]
    pictures = [rasterizer.render(start, camera).rgb for camera in CAMERAS]
    residual = (np.array(references) - np.array(pictures)).reshape(-1, 3)
    normal = a.T @ a + 2.0 * np.eye(int(free.sum()))  # regularisation
    change = np.linalg.solve(normal, a.T @ residual.astype(np.float64))[:, channel] / SH_C0
    np.testing.assert_allclose((got - start.sh0)[free, channel], change, atol=2e-3)


def test_errors_are_attributed_to_the_tiles_that_cause_them() -> None:
    scene = ball(20, 0)
    tile = (scene.means[:, 0] > 0).astype(np.int64)
    errors = TileErrors(scene, tile, 2, CAMERAS, default_rasterizer())
    errors.add_state(scene)
    wrong = scene.sh0.copy()
    wrong[tile == 1] += 1
    errors.add_state(replace(scene, sh0=wrong))
    whole, spoilt = errors.by_tile()
    np.testing.assert_allclose(whole, 0, atol=1e-9)
    assert spoilt[1] > 3 * spoilt[0] > 0


def test_cameras_are_picked_evenly_and_never_enlarged() -> None:
    assert evenly_spaced(CAMERAS, 10) == list(CAMERAS)
    assert len(evenly_spaced(ring(40).cameras, 7)) == 7
    assert scaled(CAMERAS[0], 100) is CAMERAS[0]
    small = scaled(CAMERAS[0], 12)
    assert (small.width, small.height) == (12, 9)
