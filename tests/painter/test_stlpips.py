"""ST-LPIPS and the unsharp mask, with which painters are compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exgs.painter.stlpips import StLpips, StLpipsMeter, stlpips_weights
from exgs.painter.unsharp import UnsharpMask, best_unsharp, blurred

needs_weights = pytest.mark.skipif(
    stlpips_weights() is None, reason="stlpips-pytorch is not installed"
)


def _tiles(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.uniform(0.2, 0.8, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.float32)


@needs_weights
def test_a_blurred_picture_is_farther_away_than_a_shifted_one() -> None:
    target = _tiles()
    meter = StLpipsMeter(StLpips(), target)
    assert meter(target) == 0
    assert 0 < meter(np.roll(target, 1, axis=1)) < meter(blurred(target, 3.0))


@needs_weights
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_it_equals_the_published_implementation(net: str) -> None:
    # Computed with stlpips-pytorch 0.0.2 on the same pictures.
    torch.manual_seed(0)
    a = torch.rand(1, 3, 64, 64)
    b = (a + 0.1 * torch.randn_like(a)).clamp(0, 1)
    known = {"alex": 0.0030648, "vgg": 0.0070027}[net]
    assert float(StLpips(net)(a, b)) == pytest.approx(known, rel=1e-4)


@needs_weights
def test_its_gradient_is_finite_for_black_pictures() -> None:
    black = torch.zeros(1, 3, 48, 48, requires_grad=True)
    StLpips("vgg", 3)(black, torch.full((1, 3, 48, 48), 0.1)).sum().backward()
    assert black.grad is not None
    assert bool(black.grad.isfinite().all())


def test_an_unsharp_mask_keeps_flat_areas() -> None:
    flat = np.full((24, 24, 3), 0.3, np.float32)
    np.testing.assert_allclose(UnsharpMask(1.0, 0.6).sharpened(flat), flat, atol=1e-6)


def test_the_best_unsharp_mask_brings_a_soft_picture_nearer() -> None:
    target = _tiles()
    soft = target - 0.5 * (UnsharpMask(1.0, 1.0).sharpened(target) - target)

    def distance(picture: np.ndarray) -> float:
        return float(np.abs(picture - target).mean())

    best = best_unsharp([soft], [target], [distance])
    assert distance(best.sharpened(soft)) < distance(soft)


def test_no_unsharp_mask_is_chosen_that_costs_too_much_psnr() -> None:
    rng = np.random.default_rng(1)
    target = _tiles()
    noisy = target + rng.normal(0, 0.05, target.shape).astype(np.float32)
    assert best_unsharp([noisy], [target], [lambda _: 1.0]).amount == 0
