"""Distilled proxies show the scene better, stand where they were, and never get worse."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from exgs.codec.measuring.pictures import FitViews
from exgs.codec.merging.distill import distill
from exgs.scene.camera import Camera
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.gaussians import FloatArray, Gaussians
from tests.codec.encoding import ball, ring

RASTERIZER = CpuRasterizer()
CAMERAS = ring(12, size=(48, 36)).cameras


def pictures(scene: Gaussians) -> list[FloatArray]:
    return [np.clip(RASTERIZER.render(scene, camera).rgb, 0, 1) for camera in CAMERAS]


def error(scene: Gaussians, references: list[FloatArray]) -> float:
    return float(np.mean(np.square(np.stack(pictures(scene)) - np.stack(references))))


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    whole = ball(80, 3)
    return replace(whole, shN=np.zeros((len(whole), 0, 3), np.float32))


@pytest.fixture(scope="module")
def blurred(scene: Gaussians) -> Gaussians:
    """The second half, moved and with other shapes and colours."""
    rng = np.random.default_rng(0)
    half = scene.select(slice(40, None))

    def noise(array: FloatArray, size: float) -> FloatArray:
        return (array + rng.normal(0, size, array.shape)).astype(np.float32)

    return replace(
        half,
        means=noise(half.means, 0.03),
        scales=(half.scales * 1.3).astype(np.float32),
        opacities=(half.opacities * 0.7).astype(np.float32),
        sh0=noise(half.sh0, 0.2),
    )


def test_pictures_come_nearer_to_the_scene(scene: Gaussians, blurred: Gaussians) -> None:
    references = pictures(scene)
    fixed = scene.select(slice(0, 40))

    def drawn(proxies: Gaussians) -> Gaussians:
        return Gaussians.concatenate([fixed, proxies])

    got = distill(fixed, blurred, FitViews(CAMERAS, references), RASTERIZER, steps=60, seed=1)
    assert error(drawn(got), references) < 0.25 * error(drawn(blurred), references)
    assert len(got) == len(blurred)
    assert got.opacities.min() >= 0.0099
    assert got.opacities.max() <= 0.9951
    np.testing.assert_allclose(np.linalg.norm(got.quats, axis=1), 1, rtol=1e-5)
    again = distill(fixed, blurred, FitViews(CAMERAS, references), RASTERIZER, steps=60, seed=1)
    for field in fields(Gaussians):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(got, field.name))


def test_proxies_without_error_stay_unchanged(scene: Gaussians) -> None:
    got = distill(Gaussians.empty(), scene, FitViews(CAMERAS, pictures(scene)), RASTERIZER, steps=8)
    assert got is scene


def test_without_proxies_steps_or_validation_view_nothing_changes(
    scene: Gaussians, blurred: Gaussians
) -> None:
    references = pictures(scene)
    nothing, one = Gaussians.empty(), list[Camera](CAMERAS[:1])
    assert distill(scene, nothing, FitViews(CAMERAS, references), RASTERIZER, steps=9) is nothing
    assert distill(scene, blurred, FitViews(CAMERAS, references), RASTERIZER, steps=0) is blurred
    assert distill(scene, blurred, FitViews(one, references[:1]), RASTERIZER, steps=9) is blurred
