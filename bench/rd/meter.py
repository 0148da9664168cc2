"""Measures the quality of a scene on the held-out views, compared with the source scene.

PSNR and SSIM are means over the views, on colours clamped to [0, 1]. FLIP is NVIDIA's LDR-FLIP at
67 pixels per degree (flip-evaluator), the mean over pixels and views.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flip_evaluator
import numpy as np

from bench.common.scenes import BenchScene
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import psnr, ssim
from exgs.scene.rasterizer import Rasterizer


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one scene. `photo_psnr_db` is against photographs; NaN without them."""

    psnr_db: float
    ssim: float
    flip: float
    photo_psnr_db: float


class Meter:
    """Draws the pictures of the source once and compares other scenes with them."""

    def __init__(self, scene: BenchScene, rasterizer: Rasterizer) -> None:
        self._scene = scene
        self._rasterizer = rasterizer
        self._references = self._pictures(scene.gaussians)

    def measure(self, candidate: Gaussians) -> Quality:
        """Measure the quality of `candidate`."""
        pictures = self._pictures(candidate)
        return Quality(
            _mean(psnr, pictures, self._references),
            _mean(ssim, pictures, self._references),
            _mean(_flip, pictures, self._references),
            _mean(psnr, pictures, self._scene.photographs),
        )

    def _pictures(self, gaussians: Gaussians) -> list[FloatArray]:
        return [
            np.clip(self._rasterizer.render(gaussians, camera).rgb, 0, 1)
            for camera in self._scene.held_out
        ]


def _flip(picture: FloatArray, reference: FloatArray) -> float:
    _, mean, _ = flip_evaluator.evaluate(
        np.ascontiguousarray(reference), np.ascontiguousarray(picture), "LDR", applyMagma=False
    )
    return float(mean)


def _mean(
    measure: Callable[[FloatArray, FloatArray], float],
    pictures: Sequence[FloatArray],
    references: Sequence[FloatArray],
) -> float:
    if not references:
        return math.nan
    return float(np.mean([measure(p, r) for p, r in zip(pictures, references, strict=True)]))
