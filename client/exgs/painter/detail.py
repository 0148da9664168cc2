"""A small network that tells how much to amplify each band of detail, for each place of a picture.

It reads, for cells of 4x4 pixels, the detail of the picture and what the rasterizer knows of it:
the shares of leaves and proxies, the sizes of the proxies on the screen, pending SH and depth. It
returns a gain for each of the bands of `bands`. It adds nothing else to a picture, so it can
sharpen and smooth but not invent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.painter.bands import (
    CELL,
    LEVELS,
    bands_of,
    blurred_copies,
    cell_means,
    enlarged,
    padded_to_cells,
)
from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

_SHIPPED = Path(__file__).parent / "weights" / "detail.npz"

FEATURES = CELL * CELL + LEVELS + 1 + 6  # detail, energies, brightness, maps
DILATIONS = 1, 2, 4, 1  # of the blocks
NEGATIVE_SLOPE = 0.1  # of the leaky rectifiers
FIRST_GAINS = 0.5, 0.6, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0  # before training: an unsharp mask
MOST_CHANGE = 1.5  # of a gain

# Scales of the features
LUMINANCE = 0.299, 0.587, 0.114
DETAIL_SCALE, FLAT_BEFORE = 10.0, 2  # detail: the picture without its copy of this number
LEAST_ENERGY, ENERGY_MIDDLE, ENERGY_OCTAVES = 2.0**-9, -6.0, 2.0
_SIZE_MIDDLE, _SIZE_OCTAVES = 2.0, 2.0  # log2 of pixels
_DEPTH_OCTAVES, _MOST_DEPTH = 2.0, 2.0


@cache
def shipped() -> DetailNetwork:
    """The network whose weights are shipped with the package."""
    with np.load(_SHIPPED) as weights:
        return DetailNetwork({name: weights[name].astype(np.float32) for name in weights})


class DetailNetwork:
    """The network, evaluated with numpy."""

    def __init__(self, weights: Mapping[str, FloatArray]) -> None:
        """`weights` has the names and shapes of a torch module: enter, blocks.0.0, ..., leave."""
        self._weights = {
            name: value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
            for name, value in weights.items()
        }

    def added(self, picture: FloatArray, maps: FloatArray) -> FloatArray:
        """What to add to a picture [H, W, 3]. `maps` is the result of `cell_maps`."""
        copies = blurred_copies(picture)
        gains = enlarged(self.gains(features(picture, copies, maps)), *picture.shape[:2])
        added = np.zeros_like(picture)
        for number, band in enumerate(bands_of(picture, copies)):
            added += gains[..., number, None] * band
        return added

    def gains(self, stack: FloatArray) -> FloatArray:
        """The gains [h, w, BANDS] of cells with these features [h, w, FEATURES]."""
        x = self._convolved("enter", stack, 1)
        for number, dilation in enumerate(DILATIONS):
            y = self._convolved(f"blocks.{number}.0", _rectified(x), dilation)
            x = x + self._convolved(f"blocks.{number}.1", _rectified(y), 1)
        out = self._convolved("leave", _rectified(x), 1)
        change = MOST_CHANGE * np.tanh(out / MOST_CHANGE)
        return np.asarray(np.array(FIRST_GAINS, np.float32) + change, np.float32)

    def _convolved(self, name: str, x: FloatArray, dilation: int) -> FloatArray:
        """A convolution with 1 or 3x3 samples that are `dilation` cells apart; zeros outside."""
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        height, width = x.shape[:2]
        reach = dilation * (len(weight) // 2)
        padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
        result = np.tile(bias, (height, width, 1))
        for row, column in np.ndindex(*weight.shape[:2]):
            top, left = row * dilation, column * dilation
            part = padded[top : top + height, left : left + width]
            result += part @ weight[row, column]
        return result


def features(picture: FloatArray, copies: list[FloatArray], maps: FloatArray) -> FloatArray:
    """The input of the network [h, w, FEATURES]."""
    grey = np.array(LUMINANCE, np.float32)
    levels = [(level @ grey)[..., None] for level in (picture, *copies)]
    detail = padded_to_cells(np.float32(DETAIL_SCALE) * (levels[0] - levels[1 + FLAT_BEFORE]))
    height, width = detail.shape[0] // CELL, detail.shape[1] // CELL
    split = detail.reshape(height, CELL, width, CELL).swapaxes(1, 2).reshape(height, width, -1)
    bands = [np.abs(finer - coarser) for finer, coarser in pairwise(levels)]
    energies = np.log2(cell_means(np.concatenate(bands, axis=2)) + LEAST_ENERGY)
    brightness = cell_means(levels[0]) - 0.5
    parts = [split, (energies - ENERGY_MIDDLE) / ENERGY_OCTAVES, brightness, maps]
    return np.asarray(np.concatenate(parts, axis=2), np.float32)


def cell_maps(render: Render, confidence: Confidence) -> FloatArray:
    """What the rasterizer knows of each cell [h, w, 6], scaled for the network.

    The confidence map must have the sizes of proxies.
    """
    sizes, lengths = confidence.proxy_sizes, confidence.proxy_lengths
    assert sizes is not None
    assert lengths is not None
    maps: list[npt.NDArray[np.floating]] = [
        2 * confidence.leaves - 1,
        2 * confidence.proxies - 1,
        2 * confidence.sh_pending - 1,
        (np.log2(sizes) - _SIZE_MIDDLE) / _SIZE_OCTAVES,
        (np.log2(lengths) - _SIZE_MIDDLE) / _SIZE_OCTAVES,
        _coded_depth(render),
    ]
    return cell_means(np.stack(maps, axis=2).astype(np.float32))


def _coded_depth(render: Render) -> FloatArray:
    """Logarithm of depth relative to the median; 0 where little is drawn."""
    drawn = (render.alpha > 0.5) & (render.depth > 0)
    if not drawn.any():
        return np.zeros_like(render.depth)
    relative = np.where(drawn, render.depth, 1.0) / np.median(render.depth[drawn])
    coded = np.clip(np.log2(relative) / _DEPTH_OCTAVES, -_MOST_DEPTH, _MOST_DEPTH)
    return np.asarray(np.where(drawn, coded, 0.0), np.float32)


def _rectified(x: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(x, np.float32(NEGATIVE_SLOPE) * x), np.float32)
