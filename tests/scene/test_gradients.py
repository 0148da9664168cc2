"""The backward pass of the CPU rasterizer is the gradient of the picture that the twin draws."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest

from exgs.scene.camera import Camera
from exgs.scene.cpu import rasterizer as module
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Gradients
from tests.scene import twin
from tests.scene.test_rasterizer import camera, cloud, single

STEP = 1e-6  # of the central differences, in float64
FIELDS = Gradients._fields


class Doubles(SimpleNamespace):
    """A scene in float64 for the twin."""

    def __len__(self) -> int:
        return len(self.means)


def gradient_of_twin(
    scene: Gaussians,
    view: Camera,
    image: np.ndarray,
    field: str,
    place: tuple[int, ...],
    antialiased: bool = False,
) -> float:
    """dL / d(scene.field[place]) by central differences, with L the sum of `image` * picture."""

    def loss(step: float) -> float:
        names = (*FIELDS, "shN")
        arrays = {name: getattr(scene, name).astype(np.float64) for name in names}
        arrays[field][place] += step
        moved: Any = Doubles(**arrays)
        return float((twin.draw(moved, view, antialiased=antialiased).rgb * image).sum())

    return (loss(STEP) - loss(-STEP)) / (2 * STEP)


def gradients_of(
    rasterizer: CpuRasterizer, scene: Gaussians, view: Camera, first: int = 0
) -> Gradients:
    return rasterizer.render_gradients(scene, view, lambda _: noise(view), first=first)


def noise(view: Camera, seed: int = 0) -> np.ndarray:
    shape = (view.height, view.width, 3)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def rasterizer() -> CpuRasterizer:
    return CpuRasterizer()


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("scene", "view"),
    [
        (cloud(30, 3, 0, size=0.2), camera(37, 41)),
        (cloud(30, 4, 0, size=0.3), camera(20, 18, (0.1, 0.05, -0.9), 90)),
        (cloud(40, 5, 0, size=0.01), camera(33, 17)),
    ],
    ids=["many tiles", "from within", "specks"],
)
def test_gradients_are_those_of_the_twin(scene, view, field, antialiased):
    image = noise(view)
    rasterizer = CpuRasterizer(antialiased=antialiased)
    seen = getattr(rasterizer.render_gradients(scene, view, lambda _: image), field)
    assert seen.dtype == np.float64
    expected = np.zeros_like(seen)
    visible = np.flatnonzero(np.abs(seen).reshape(len(scene), -1).sum(axis=1))
    assert len(visible) > 5
    for i in visible[:: max(1, len(visible) // 6)]:
        for tail in np.ndindex(seen.shape[1:]):
            place = (int(i), *tail)
            expected[place] = gradient_of_twin(scene, view, image, field, place, antialiased)
            size = np.abs(expected[i]).max() + 0.01
            assert seen[place] == pytest.approx(expected[place], rel=1e-3, abs=1e-3 * size)


def test_colors_with_harmonics_are_fixed_while_a_mean_moves(rasterizer):
    view = camera(37, 41)
    scene = cloud(20, 6, 2, size=0.2)
    seen = gradients_of(rasterizer, scene, view)
    i = int(np.argmax(np.abs(seen.sh0).sum(axis=1)))
    for channel in range(3):
        expected = gradient_of_twin(scene, view, noise(view), "sh0", (i, channel))
        assert seen.sh0[i, channel] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    frozen = (twin.sh_colors(scene, view) - 0.5) / 0.28209479177387814
    plain = replace(
        scene, sh0=frozen.astype(np.float32), shN=np.zeros((len(scene), 0, 3), np.float32)
    )
    assert np.allclose(
        seen.means, gradients_of(rasterizer, plain, view).means, rtol=1e-3, atol=1e-3
    )


def test_a_gaussian_held_at_full_opacity_does_not_move(rasterizer):
    view = camera(9, 9)
    scene = single((0, 0, 0), scale=500.0, opacity=1.0)  # alpha is at its maximum everywhere
    seen = gradients_of(rasterizer, scene, view)
    assert not seen.opacities.any()
    assert not seen.means.any()
    assert seen.sh0.any()


def test_fixed_gaussians_are_drawn_and_left_out(rasterizer):
    view = camera(61, 40)
    scene = cloud(200, 7, 1)
    whole = gradients_of(rasterizer, scene, view)
    for first in (0, 77, 200):
        seen = gradients_of(rasterizer, scene, view, first)
        for mine, its in zip(seen, whole, strict=True):
            size = np.abs(its).max()
            assert np.allclose(mine, its[first:], rtol=1e-4, atol=1e-6 * size)


def test_gradients_are_the_same_on_any_number_of_threads(rasterizer):
    view = camera(90, 70)
    scene = cloud(2000, 8, 0)
    seen = []
    before = numba.get_num_threads()
    try:
        for threads in range(1, before + 1):
            numba.set_num_threads(threads)
            seen.append(gradients_of(rasterizer, scene, view, 500))
    finally:
        numba.set_num_threads(before)
    seen.append(gradients_of(CpuRasterizer(), scene, view, 500))
    for other in seen[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(seen[0], other, strict=True))


def test_gradients_are_the_same_in_bands(rasterizer, monkeypatch):
    view = camera(70, 50)
    scene = cloud(300, 9, 0)
    expected = gradients_of(rasterizer, scene, view)
    monkeypatch.setattr(module, "ENTRIES_MAX", 200)
    for mine, its in zip(gradients_of(rasterizer, scene, view), expected, strict=True):
        assert np.array_equal(mine, its)


@pytest.mark.parametrize("entries_max", [200, 1 << 25])
def test_the_loss_is_given_the_picture(entries_max, rasterizer, monkeypatch):
    view = camera(70, 50)
    scene = cloud(300, 9, 1)
    expected = rasterizer.render(scene, view).rgb
    monkeypatch.setattr(module, "ENTRIES_MAX", entries_max)
    given: list[np.ndarray] = []
    rasterizer.render_gradients(scene, view, lambda rgb: given.append(rgb.copy()) or rgb)
    assert np.array_equal(given[0], expected)


def test_a_small_step_along_the_gradient_lowers_the_error(rasterizer):
    view = camera(64, 48)
    target = rasterizer.render(cloud(60, 10, 0, size=0.2), view).rgb
    scene = cloud(60, 11, 0, size=0.2)
    residual = rasterizer.render(scene, view).rgb - target
    seen = rasterizer.render_gradients(scene, view, lambda picture: picture - target)
    for field in FIELDS:
        gradient = getattr(seen, field)
        moved = getattr(scene, field) - (1e-3 / np.abs(gradient).max() * gradient).astype(
            np.float32
        )
        after = rasterizer.render(replace(scene, **{field: moved}), view).rgb - target
        assert np.sum(after**2) < np.sum(residual**2)


def test_an_empty_scene_has_no_gradients(rasterizer):
    seen = gradients_of(rasterizer, Gaussians.empty(1), camera(5, 4))
    assert [array.shape for array in seen] == [(0, 3), (0, 4), (0, 3), (0,), (0, 3)]


def test_a_gradient_of_another_size_is_refused(rasterizer):
    scene, view = cloud(3, 0, 0), camera(5, 4)
    with pytest.raises(ValueError, match=r"the gradient has shape \(5, 4, 3\)"):
        rasterizer.render_gradients(scene, view, lambda _: np.zeros((5, 4, 3), np.float32))
