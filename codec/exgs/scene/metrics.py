"""PSNR and SSIM of two pictures.

Pictures are float arrays [H, W] or [H, W, C] in which 1.0 is white. Values are clamped to [0, 1]
first, as a screen does.
"""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import numpy.typing as npt

from exgs.scene.cpu.similarity import mean_ssim
from exgs.scene.gaussians import FloatArray

Picture = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

SSIM_WINDOW = 11  # pixels
SSIM_SIGMA = 1.5  # pixels
SSIM_K1, SSIM_K2 = 0.01, 0.03


def psnr(a: Picture, b: Picture, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB, infinite for equal pictures: -10 log10(MSE).

    The mean is over all channels of all pixels, or of the pixels in `mask` [H, W]. Raises
    ValueError if shapes differ, a picture is not float, or the mask is empty.
    """
    a, b = _comparable(a, b)
    if mask is not None:
        if mask.shape != a.shape[:2]:
            raise ValueError(f"mask has shape {mask.shape}, the pictures {a.shape}")
        a, b = a[mask], b[mask]
    if a.size == 0:
        raise ValueError("no pixel to compare")
    difference = np.subtract(a, b, dtype=np.float64)
    mse = float(np.vdot(difference, difference)) / difference.size
    return -10 * math.log10(mse) if mse > 0 else math.inf


def ssim(a: Picture, b: Picture) -> float:
    """Mean structural similarity, 1 for equal pictures.

    Wang, Bovik, Sheikh, Simoncelli 2004, as in their `ssim_index.m`: a Gaussian window of 11 x 11
    pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, range 1, population moments, only windows inside
    the picture; the mean over the channels. Raises ValueError if shapes differ, a picture is not
    float, or it is smaller than the window.
    """
    a, b = _comparable(a, b)
    height, width = a.shape[:2]
    if min(height, width) < SSIM_WINDOW:
        raise ValueError(
            f"a picture of {width} x {height} is smaller than SSIM's window of 11 x 11"
        )
    channels = a.shape[2] if a.ndim == 3 else 1
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    return float(
        mean_ssim(
            a.reshape(height, -1),
            b.reshape(height, -1),
            window / window.sum(),
            channels,
            SSIM_K1**2,
            SSIM_K2**2,
        )
    )


def can_flip() -> bool:
    """Whether the package flip-evaluator is installed."""
    return importlib.util.find_spec("flip_evaluator") is not None


def flip(picture: Picture, target: Picture) -> float:
    """Mean LDR-FLIP at 67 pixels per degree, 0 for equal pictures (Andersson et al. 2020).

    Needs the package flip-evaluator.
    """
    import flip_evaluator

    a, b = _comparable(picture, target)
    _, mean, _ = flip_evaluator.evaluate(b, a, "LDR", applyMagma=False)
    return float(mean)


def _comparable(a: Picture, b: Picture) -> tuple[FloatArray, FloatArray]:
    """Clamp both pictures and convert them to contiguous float32."""
    if a.shape != b.shape or a.ndim not in (2, 3):
        raise ValueError(f"pictures of shapes {a.shape} and {b.shape} cannot be compared")
    for picture in (a, b):
        if not np.issubdtype(picture.dtype, np.floating):
            raise ValueError(f"a picture is {picture.dtype}, expected float with 1.0 as white")
    return _clamped(a), _clamped(b)


def _clamped(picture: Picture) -> FloatArray:
    return np.clip(np.ascontiguousarray(picture, np.float32), 0, 1)
