"""The plain unsharp mask, a peer to compare painters with.

It adds a share of the difference between the picture and its blurred copy, everywhere alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.metrics import psnr
from exgs.scene.rasterizer import Render

RADII = 1.0, 2.0  # pixels, standard deviation of the blur
AMOUNTS = 0.3, 0.6, 1.2
_MOST_LOSS_DB = 0.3  # of PSNR, that the best mask may cost


@dataclass(frozen=True, slots=True)
class UnsharpMask:
    """Sharpens every pixel alike; see Painter."""

    radius: float
    amount: float
    slow = False
    spreads = False

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """See Painter."""
        return self.sharpened(render.rgb)

    def sharpened(self, picture: FloatArray) -> FloatArray:
        """The sharpened picture [H, W, 3]."""
        return (picture + self.amount * (picture - blurred(picture, self.radius))).astype(
            np.float32
        )


def blurred(picture: FloatArray, radius: float) -> FloatArray:
    """The picture [H, W, C] after a Gaussian blur of standard deviation `radius` in pixels."""
    reach = math.ceil(3 * radius)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if axis == number else (0, 0) for number in range(3)]
        padded = np.pad(picture, padding, mode="edge")
        length = picture.shape[axis]
        picture = sum(
            weight * np.take(padded, range(start, start + length), axis)
            for start, weight in enumerate(kernel)
        )
    return picture


def best_unsharp(
    pictures: Sequence[FloatArray],
    targets: Sequence[FloatArray],
    distances: Sequence[Callable[[FloatArray], float]],
) -> UnsharpMask:
    """The mask with the least mean distance that loses at most 0.3 dB of PSNR.

    It knows the targets, so it is an upper bound of what an unsharp mask can do.
    """
    raw_db = _mean_psnr(pictures, targets)
    best, least = UnsharpMask(RADII[0], 0.0), math.inf
    for radius in RADII:
        for amount in AMOUNTS:
            mask = UnsharpMask(radius, amount)
            shown = [np.clip(mask.sharpened(picture), 0, 1) for picture in pictures]
            if _mean_psnr(shown, targets) < raw_db - _MOST_LOSS_DB:
                continue
            far = float(np.mean([of(a) for of, a in zip(distances, shown, strict=True)]))
            if far < least:
                best, least = mask, far
    return best


def _mean_psnr(pictures: Sequence[FloatArray], targets: Sequence[FloatArray]) -> float:
    return float(np.mean([psnr(a, b) for a, b in zip(pictures, targets, strict=True)]))
