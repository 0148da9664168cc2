"""Cameras of the sample scene stand in its free space and look at surfaces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from exgs.sample import sample_cameras, sample_path, sample_scene
from exgs.scene.camera import Camera
from exgs.scene.cpu.rasterizer import CpuRasterizer

Views = Callable[..., tuple[Camera, ...]]
KINDS: list[Views] = [sample_cameras, sample_path]


def viewmats(cameras: tuple[Camera, ...]) -> np.ndarray:
    return np.stack([camera.viewmat for camera in cameras])


@pytest.mark.parametrize("views", KINDS)
def test_views_have_the_requested_number_and_size(views: Views) -> None:
    assert views(0) == ()
    cameras = views(7, width=64, height=48)
    assert len(cameras) == len({camera.name for camera in cameras}) == 7
    assert {(camera.width, camera.height) for camera in cameras} == {(64, 48)}


@pytest.mark.parametrize("views", KINDS)
def test_views_depend_on_the_arguments_only(views: Views) -> None:
    views_of_one = viewmats(views(5, scene_seed=3))
    np.testing.assert_array_equal(views_of_one, viewmats(views(5, scene_seed=3)))
    assert np.abs(views_of_one - viewmats(views(5, scene_seed=3, seed=1))).max() > 0.1
    assert np.abs(views_of_one - viewmats(views(5, scene_seed=4))).max() > 0.1


@pytest.mark.parametrize("views", KINDS)
def test_impossible_views_are_refused(views: Views) -> None:
    with pytest.raises(ValueError, match="-1 views of 640x360"):
        views(-1)
    with pytest.raises(ValueError, match="2 views of 0x360"):
        views(2, width=0)


@pytest.mark.parametrize("views", KINDS)
@pytest.mark.parametrize("scene_seed", [0, 3])
def test_views_are_clear_of_surfaces_and_inside_the_room(views: Views, scene_seed: int) -> None:
    scene = sample_scene(12_000, scene_seed)
    rasterizer = CpuRasterizer()
    for camera in views(6, scene_seed=scene_seed, width=160, height=90):
        assert np.linalg.norm(scene.means - camera.position, axis=1).min() > 0.25
        frame = rasterizer.render(scene, camera)
        assert np.mean(frame.alpha > 0.95) > 0.9
        assert frame.rgb.std() > 0.05


@pytest.mark.parametrize("scene_seed", range(8))
def test_a_walk_is_smooth_closed_and_level(scene_seed: int) -> None:
    cameras = sample_path(120, scene_seed=scene_seed)
    places = np.stack([camera.position for camera in cameras])
    ways = viewmats(cameras)[:, 2, :3]
    steps = np.linalg.norm(np.roll(places, -1, axis=0) - places, axis=1)
    turns = np.arccos(np.clip((np.roll(ways, -1, axis=0) * ways).sum(1), -1, 1))
    assert 0 < steps.min() <= steps.max() < 0.15
    assert turns.max() < np.radians(6)
    assert np.abs(viewmats(cameras)[:, 0, 1]).max() < 1e-9
