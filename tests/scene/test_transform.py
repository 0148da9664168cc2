"""Scenes that are turned, scaled, moved, cut and joined look as the old ones do from there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.measuring.directions import sh_basis
from exgs.scene.errors import SceneError
from exgs.scene.frames import FRAMES, to_rdf
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.transform import affine, cropped, joined, rebased, transformed, turned
from tests.scene.format_files import random_scene
from tests.scene.test_spz import covariances


def rotation(seed: int, *, mirrored: bool = False) -> Any:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    q[:, 0] *= np.sign(np.linalg.det(q)) * (-1 if mirrored else 1)
    return q


def assert_mapped(got: Gaussians, before: Gaussians, matrix: Any, move: Any = 0.0) -> None:
    assert np.abs(got.means - (before.means @ matrix.T + move)).max() < 1e-4
    wanted = matrix @ covariances(before) @ matrix.T
    assert np.abs(covariances(got) - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert np.array_equal(got.opacities, before.opacities)
    assert np.array_equal(got.sh0, before.sh0)


@given(st.integers(0, 1000), st.booleans(), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_a_turned_scene_has_the_same_colours_from_turned_sides(
    seed: int, mirrored: bool, degree: int
) -> None:
    before, matrix = random_scene(seed, 8, degree), rotation(seed, mirrored=mirrored)
    got = turned(before, matrix)
    assert_mapped(got, before, matrix)
    assert np.allclose(np.linalg.norm(got.quats, axis=1), 1, atol=1e-6)
    directions = np.random.default_rng(seed).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shown = sh_basis(directions, degree) @ before.shN[0]
    assert np.abs(sh_basis(directions @ matrix.T, degree) @ got.shN[0] - shown).max() < 1e-5


def test_to_turn_and_turn_back_changes_nothing() -> None:
    before, matrix = random_scene(0, 50, 3), rotation(1)
    back = turned(turned(before, matrix), matrix.T)
    assert np.abs(back.shN - before.shN).max() < 1e-5
    assert np.abs(back.means - before.means).max() < 1e-5


def test_any_matrix_maps_ellipsoids() -> None:
    before = random_scene(0, 20, 2)
    for matrix in (np.diag([2.0, 0.5, 3.0]) @ rotation(3), 4 * rotation(5)):
        assert_mapped(affine(before, matrix, np.array([1.0, 2, 3])), before, matrix, (1, 2, 3))


def test_a_scene_is_turned_then_scaled_then_moved() -> None:
    before, matrix = random_scene(0, 20, 1), rotation(2)
    got = transformed(
        Scene(before, antialiased=True), rotation=matrix, scale=3, translation=(5.0, 0.0, -1.0)
    )
    assert got.antialiased
    assert got.origin == (0, 0, 0)
    assert_mapped(got.gaussians, before, 3 * matrix, (5, 0, -1))


def test_far_scenes_move_by_their_origin() -> None:
    before = replace(random_scene(0, 20, 0), scales=np.full((20, 3), 0.01, np.float32))
    far = transformed(Scene(before), translation=(1e6, 0.0, 0.25))
    assert (
        np.abs(far.gaussians.means + np.array(far.origin) - before.means - (1e6, 0, 0.25)).max()
        < 1e-6
    )
    back = transformed(far, translation=(-1e6, 0.0, 0.0))
    assert back.origin == (0, 0, 0)
    assert np.abs(back.gaussians.means - before.means - (0, 0, 0.25)).max() < 1e-6
    assert rebased(far) is far


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_senseless_scales_are_refused(scale: float) -> None:
    with pytest.raises(SceneError, match="positive"):
        transformed(Scene(random_scene(0, 5, 0)), scale=scale)


def test_a_box_is_in_the_frame_of_the_source() -> None:
    scene = Scene(random_scene(0, 200, 0), origin=(100.0, 0.0, 0.0))
    kept = cropped(scene, (100.0, -1.0, -9.0), (120.0, 1.0, 9.0)).gaussians.means
    inside = (scene.gaussians.means[:, 0] >= 0) & (np.abs(scene.gaussians.means[:, 1]) <= 1)
    inside &= np.abs(scene.gaussians.means[:, 2]) <= 9
    assert len(kept) == inside.sum()
    with pytest.raises(SceneError, match=r"no Gaussian lies in the box.*reaches from 9"):
        cropped(scene, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_scenes_are_joined_at_one_origin() -> None:
    first = Scene(random_scene(0, 5, 1), origin=(1000.0, 0.0, 0.0), crs="EPSG:2056")
    second = Scene(random_scene(1, 7, 3), origin=(1010.0, 0.0, 0.0))
    both = joined([first, second])
    assert len(both) == 12
    assert both.origin == first.origin
    assert both.crs == "EPSG:2056"
    assert both.gaussians.sh_degree == 3
    assert np.allclose(both.gaussians.means[5:], second.gaussians.means + np.array([10, 0, 0]))
    with pytest.raises(SceneError, match="different rendering modes"):
        joined([first, replace(second, antialiased=True)])
    with pytest.raises(SceneError, match="EPSG:2056 and EPSG:25832"):
        joined([first, replace(second, crs="EPSG:25832")])


def test_there_are_48_frames_half_of_them_right_handed() -> None:
    assert len(set(FRAMES)) == 48
    determinants = [round(float(np.linalg.det(to_rdf(frame)))) for frame in FRAMES]
    assert determinants.count(1) == determinants.count(-1) == 24
    assert np.array_equal(to_rdf("RDF"), np.eye(3))
