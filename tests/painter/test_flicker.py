"""Flicker measures changes that camera motion does not explain, and only those."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exgs.painter.flicker import flicker, warp
from exgs.scene.camera import Matrix, look_at, pinhole

CAMERA = look_at((0, 0, -4), (0, 0, 0), (0, -1, 0), pinhole(64, 48, 50), 64, 48)
DEPTH = np.full((48, 64), 4, np.float32)


def _moved(pixels: float) -> Matrix:
    viewmat = CAMERA.viewmat.copy()
    viewmat[0, 3] -= pixels * 4 / CAMERA.K[0, 0]
    return viewmat


def test_the_same_view_warps_onto_itself() -> None:
    picture = np.random.default_rng(0).uniform(0, 1, (48, 64, 3)).astype(np.float32)
    warped, seen = warp(picture, DEPTH, CAMERA, DEPTH, CAMERA)
    assert seen[1:-1, 1:-1].all()
    np.testing.assert_allclose(warped[seen], picture[seen], atol=1e-4)


def test_noise_is_flicker_and_motion_of_a_plane_is_not() -> None:
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 1, (48, 70, 3)).astype(np.float32)
    cameras = [CAMERA, replace(CAMERA, viewmat=_moved(3.0))]
    frames = [picture[:, :64], picture[:, 3:67]]
    assert flicker(frames, [DEPTH, DEPTH], cameras) < 1e-3
    noisy = [frames[0], frames[1] + np.float32(0.1)]
    assert flicker(noisy, [DEPTH, DEPTH], cameras) == pytest.approx(0.1, abs=1e-3)


def test_surfaces_that_were_hidden_before_do_not_count() -> None:
    nearer = DEPTH.copy()
    nearer[:, :32] = 2
    picture = np.zeros((48, 64, 3), np.float32)
    _, seen = warp(picture, nearer, CAMERA, DEPTH, CAMERA)
    assert not seen[:, :31].any()
    assert seen[1:-1, 34:-1].all()
    assert np.isnan(flicker([picture], [DEPTH], [CAMERA]))
