"""The CPU rasterizer keeps what `exgs.scene.rasterize` promises, measured against a plain twin."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cpu import CpuRasterizer
from exgs.scene.gaussians import Gaussians
from tests.scene import twin

TOLERANCE = 1e-4


def cloud(n: int, seed: int, sh_degree: int, spread: float = 1.0, size: float = 0.07) -> Gaussians:
    """Random Gaussians about the origin, some of them too faint to be seen."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(n, 4))
    k = (sh_degree + 1) ** 2 - 1
    arrays = (
        rng.normal(0, spread, (n, 3)),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        size * np.exp(rng.normal(0, 0.8, (n, 3))),
        np.clip(rng.beta(2, 1, n), 0.002, 1),
        rng.normal(0, 1, (n, 3)),
        rng.normal(0, 0.15, (n, k, 3)),
    )
    return Gaussians(*(a.astype(np.float32) for a in arrays))


def camera(
    width: int, height: int, eye: tuple[float, float, float] = (1.5, 0.8, -3.0), fov: float = 60.0
) -> Camera:
    return look_at(eye, (0, 0, 0), (0, -1, 0), pinhole(width, height, fov), width, height)


VIEWS = {
    "SH degree 0": (cloud(400, 0, 0), camera(97, 61)),
    "SH degree 1": (cloud(400, 1, 1), camera(64, 48)),
    "SH degree 2": (cloud(400, 2, 2), camera(50, 33)),
    "SH degree 3": (cloud(400, 3, 3), camera(61, 97)),
    "inside the cloud": (cloud(400, 4, 1), camera(71, 43, (0.1, 0.05, -0.2), 90)),
    "one pixel": (cloud(300, 5, 2), camera(1, 1)),
    "one row": (cloud(300, 6, 0), camera(77, 1)),
    "one column": (cloud(300, 7, 0), camera(1, 77)),
    "specks": (cloud(600, 8, 0, size=0.003), camera(90, 70)),
    "giants": (cloud(150, 9, 0, size=3.0), camera(60, 40)),
    "opaque": (cloud(500, 10, 0, spread=0.3, size=0.2), camera(60, 40)),
}
"""Name -> scene and camera; small enough for the twin to look at every pixel."""


@pytest.fixture(scope="module")
def rasterizer() -> CpuRasterizer:
    return CpuRasterizer()


@pytest.fixture(params=VIEWS, scope="module")
def view(request: pytest.FixtureRequest) -> tuple[Gaussians, Camera, twin.Drawn]:
    scene, cam = VIEWS[request.param]
    return scene, cam, twin.draw(scene, cam, (0.2, 0.4, 0.6))


def test_picture_is_the_twins(view, rasterizer):
    scene, cam, expected = view
    seen = rasterizer.render(scene, cam, background=(0.2, 0.4, 0.6))
    assert expected.decided.mean() > 0.95
    sure = expected.decided
    assert abs(seen.rgb - expected.rgb)[sure].max() <= TOLERANCE
    assert abs(seen.alpha - expected.alpha)[sure].max() <= TOLERANCE
    covered = sure & (expected.alpha > 0.01)
    assert (abs(seen.depth - expected.depth) / (1 + expected.depth))[covered].max(
        initial=0
    ) <= 2 * TOLERANCE
