"""The sample scene has the properties that demonstrations and benchmarks rely on."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from exgs.sample import sample_scene
from exgs.sample.lighting import lobe_harmonics
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import synthesise_views

COUNT = 25_000  # enough for a closed room, and fast to generate


@pytest.fixture(scope="module")
def room() -> Gaussians:
    return sample_scene(COUNT)


def all_around() -> list[Camera]:
    """Cameras at the centre of the room that look in all six directions."""
    eye = (0.1, -1.4, -0.9)  # 1.4 m above the floor, away from furniture
    K = pinhole(240, 180, 90.0)
    ways = [(1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0)]
    return [
        look_at(eye, np.add(eye, way), (0, -1, 0) if way[1] == 0 else (0, 0, 1), K, 240, 180)
        for way in ways
    ]


def test_the_same_arguments_give_the_same_scene(room: Gaussians) -> None:
    again = sample_scene(COUNT)
    for field in fields(Gaussians):
        np.testing.assert_array_equal(getattr(room, field.name), getattr(again, field.name))


def test_other_seeds_give_other_rooms(room: Gaussians) -> None:
    other = sample_scene(COUNT, seed=1)
    assert len(other) == len(room)
    one, two = (np.percentile(scene.means, [5, 95], axis=0) for scene in (room, other))
    assert np.abs(one - two).max() > 0.05
    assert np.abs(np.median(other.sh0, axis=0) - np.median(room.sh0, axis=0)).max() > 0.02


@pytest.mark.parametrize("count", [5_000, 30_001])
def test_a_scene_has_as_many_gaussians_as_asked_for(count: int) -> None:
    assert len(sample_scene(count)) == count


def test_an_empty_scene_is_refused() -> None:
    with pytest.raises(ValueError, match="scene of 0 Gaussians"):
        sample_scene(0)


@pytest.mark.parametrize("seed", range(5))
def test_all_values_are_valid(seed: int) -> None:
    scene = sample_scene(12_000, seed)
    for field in fields(Gaussians):
        assert np.isfinite(getattr(scene, field.name)).all(), field.name
    assert scene.sh_degree == 3
    assert scene.scales.min() > 0
    assert scene.scales.max() < 2
    assert 0 < scene.opacities.min() <= scene.opacities.max() <= 1
    np.testing.assert_allclose(np.linalg.norm(scene.quats, axis=1), 1, atol=1e-5)


def test_splats_lie_flat_on_the_surfaces(room: Gaussians) -> None:
    scales = np.sort(room.scales, axis=1)
    assert np.mean(scales[:, 0] < 0.3 * scales[:, 1]) > 0.95
    assert np.mean(scales[:, 2] > 1.5 * scales[:, 1]) > 0.3  # many are elongated along the texture


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_room_has_no_holes_from_inside(seed: int) -> None:
    scene = sample_scene(COUNT, seed)
    rasterizer = CpuRasterizer()
    for camera in all_around():
        alpha = rasterizer.render(scene, camera).alpha
        assert alpha.min() > 0.7
        assert np.mean(alpha > 0.95) > 0.97


def test_pictures_have_contrast_and_few_overexposed_pixels(room: Gaussians) -> None:
    rasterizer = CpuRasterizer()
    views = synthesise_views(room, 4, width=240, height=135)
    pictures = np.stack([rasterizer.render(room, camera).rgb for camera in views])
    assert 0.2 < pictures.mean() < 0.7
    assert pictures.std() > 0.1
    assert np.mean(pictures > 1) < 0.05


def test_glossy_surfaces_depend_on_the_view_and_matt_ones_do_not(room: Gaussians) -> None:
    shine = np.abs(room.shN).max((1, 2))
    assert np.mean(shine > 0.02) > 0.1
    assert np.mean(shine == 0) > 0.1


def test_the_mirror_lobe_is_a_spherical_gaussian() -> None:
    rng = np.random.default_rng(0)
    about = np.array([[0.36, -0.48, 0.8]])
    z = rng.uniform(-1, 1, 200_000)
    turn = rng.uniform(0, 2 * np.pi, len(z))
    flat = np.sqrt(1 - z * z)
    ways = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)
    lobe = np.exp(3 * (ways @ about[0] - 1))
    # Very sharp lobes give the SH basis itself, up to a factor.
    basis = lobe_harmonics(ways, np.full(len(ways), 1e6)) * 1e6 / (2 * np.pi)
    expected = 4 * np.pi * np.mean(lobe[:, None] * basis, axis=0)
    np.testing.assert_allclose(lobe_harmonics(about, np.full(1, 3.0))[0], expected, atol=0.02)
