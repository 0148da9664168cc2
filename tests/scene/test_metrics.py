"""PSNR and SSIM are the published ones, measured against plain twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.scene.metrics import psnr, ssim


def pictures(seed: int, height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random picture, and the same with noise; some values lie outside [0, 1]."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(-0.2, 1.2, (height, width, channels))
    for axis in (0, 1):
        a = (a + np.roll(a, 1, axis) + np.roll(a, -1, axis)) / 3
    b = a + rng.normal(0, rng.uniform(0, 0.3), a.shape)
    return a.astype(np.float32), b.astype(np.float32)


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, equations 12 to 16, one window after another."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    a, b = np.clip(a, 0, 1).astype(np.float64), np.clip(b, 0, 1).astype(np.float64)
    values = []
    for channel in range(a.shape[2]):
        for y in range(a.shape[0] - 10):
            for x in range(a.shape[1] - 10):
                p, q = a[y : y + 11, x : x + 11, channel], b[y : y + 11, x : x + 11, channel]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                values.append(
                    (2 * mp * mq + 1e-4)
                    * (2 * cov + 9e-4)
                    / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
                )
    return float(np.mean(values))


sizes = st.integers(11, 20)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=sizes, width=sizes, channels=st.integers(1, 4))
def test_ssim_is_that_of_wang_et_al(seed, height, width, channels):
    a, b = pictures(seed, height, width, channels)
    assert ssim(a, b) == pytest.approx(plain_ssim(a, b), abs=1e-6)
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12)
    assert ssim(a, a) == pytest.approx(1, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), height=sizes, width=sizes, channels=st.integers(1, 4))
def test_psnr_is_minus_ten_log_mse_of_the_clamped_pictures(seed, height, width, channels):
    a, b = pictures(seed, height, width, channels)
    mse = np.mean((np.clip(a, 0, 1).astype(np.float64) - np.clip(b, 0, 1)) ** 2)
    expected = math.inf if mse == 0 else -10 * math.log10(mse)
    assert psnr(a, b) == pytest.approx(expected, abs=1e-5)
    assert psnr(a, a) == math.inf


def test_psnr_looks_only_inside_the_mask():
    a = np.zeros((4, 6, 3), np.float32)
    b = a.copy()
    b[0, 0] = 0.1
    mask = np.zeros((4, 6), bool)
    mask[0, 0] = True
    assert psnr(a, b, mask) == pytest.approx(20, abs=1e-5)
    assert psnr(a, b, ~mask) == math.inf
    assert psnr(a, b) == pytest.approx(20 + 10 * math.log10(24), abs=1e-5)


def test_a_picture_without_channels_is_one_channel():
    a, b = pictures(1, 30, 20, 1)
    assert ssim(a[..., 0], b[..., 0]) == ssim(a, b)
    assert psnr(a[..., 0], b[..., 0]) == psnr(a, b)


def test_what_cannot_be_compared_is_refused():
    a, b = pictures(2, 12, 12, 3)
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(a, b[:-1])
    with pytest.raises(ValueError, match="uint8"):
        ssim((a * 255).astype(np.uint8), b)
    with pytest.raises(ValueError, match="smaller than"):
        ssim(a[:10], b[:10])
    with pytest.raises(ValueError, match="mask"):
        psnr(a, b, np.ones((3, 3), bool))
    with pytest.raises(ValueError, match="no pixel"):
        psnr(a, b, np.zeros((12, 12), bool))
