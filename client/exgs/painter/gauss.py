"""GaussPainter: a network restores gaps and uncertain pixels. Other pixels stay as rendered.

A picture without gaps is returned bit for bit. Other pictures are painted at the largest resolution
that the time budget allows. The time of the previous picture is the estimate.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from exgs.painter.confidence import Confidence
from exgs.painter.inputs import PLANES, SPREAD, gate, planes
from exgs.painter.interface import PainterError
from exgs.painter.models import GPU_PRECISION, SHIPPED, Network, load_network
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

_SCALES = (1.0, 0.5, 0.25)
_RETRY = 40  # pictures after which scales that were too slow are tried again


class GaussPainter:
    """Paints with the network of a model folder; see Painter.

    If a picture of full size would take longer than `budget_s`, it is painted at half or a quarter
    of its size. Only the difference from the picture of the spread leaves is then enlarged.
    """

    slow = True
    spreads = True

    def __init__(self, folder: Path | None = None, budget_s: float | None = None) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._precision = GPU_PRECISION if self._device == "cuda" else torch.float32
        self._network: Network = load_network(folder or SHIPPED, self._precision)
        self._budget_s = budget_s
        self._pixel_s: dict[float, float] = {}  # seconds per pixel of the last picture, by scale
        self._pictures = 0
        if self._device == "cuda":
            self._network.to(self._device)
            side = self._network.multiple
            self._run(torch.zeros(1, PLANES, side, side))  # the first picture takes seconds

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """See Painter. Raises PainterError if the network's output is not finite."""
        gaps, opened = confidence.gaps, gate(confidence)
        if gaps is None or not opened.any():
            return render.rgb
        stack = planes(render, confidence, gaps)
        restored = self._restore(stack, self._scale(opened.size))
        if not np.isfinite(restored).all():
            raise PainterError("the output of the painter's network is not finite")
        painted = render.rgb + opened[..., None] * (restored - render.rgb)
        return np.where(opened[..., None] > 0, painted, render.rgb).astype(np.float32)

    def _scale(self, pixels: int) -> float:
        """The largest scale that fits the budget according to earlier pictures."""
        if self._budget_s is None:
            return _SCALES[0]
        self._pictures += 1
        if self._pictures % _RETRY == 0:
            self._pixel_s.clear()
        pixel_s = None
        for scale in _SCALES:
            pixel_s = self._pixel_s.get(scale, pixel_s)
            if pixel_s is None or pixel_s * pixels * scale**2 <= self._budget_s:
                return scale
        return _SCALES[-1]

    def _restore(self, stack: FloatArray, scale: float) -> FloatArray:
        """The network's picture [H, W, 3] of a stack of planes [PLANES, H, W]."""
        height, width = stack.shape[1:]
        start_s = time.perf_counter()
        whole = torch.from_numpy(stack)[None]
        small = whole
        if scale < 1:
            size = (max(round(height * scale), 1), max(round(width * scale), 1))
            small = functional.interpolate(whole, size, mode="area")
        added = self._run(small) - small[:, SPREAD]
        self._pixel_s[scale] = (time.perf_counter() - start_s) / (small.shape[2] * small.shape[3])
        if scale < 1:
            added = functional.interpolate(
                added, (height, width), mode="bilinear", align_corners=False
            )
        picture = (whole[:, SPREAD] + added).clamp(0, 1)[0].permute(1, 2, 0)
        return np.ascontiguousarray(picture.numpy(), np.float32)

    def _run(self, stack: Tensor) -> Tensor:
        """Run the network on a stack of any size. Its edges are repeated to a valid size."""
        height, width = stack.shape[2:]
        step = self._network.multiple
        padding = (0, -width % step, 0, -height % step)
        padded = functional.pad(stack, padding, mode="replicate")
        if self._device == "cuda":
            padded = padded.to(self._device, self._precision, memory_format=torch.channels_last)
        return self._network(padded)[:, :, :height, :width].float().cpu()
