"""A small network that tells how much to amplify each band of detail, for each place of a picture.

It reads, for cells of 4x4 pixels, the detail of the picture and what the rasterizer knows of it:
the shares of leaves and proxies, the sizes of the proxies on the screen, pending SH and depth. It
returns a gain for each of the bands of `bands`, and a fine pattern of brightness relative to the
contrast of its surroundings. Where a picture is flat nothing is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.painter.bands import (
    BANDS,
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

SHIPPED = Path(__file__).parent / "weights" / "detail.npz"

FEATURES = CELL * CELL + 2 * LEVELS + 1 + 6  # detail, energies twice, brightness, maps
DILATIONS = 1, 2, 4, 1  # of the blocks
NEGATIVE_SLOPE = 0.1  # of the leaky rectifiers
FIRST_GAINS = 0.5, 0.6, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0  # before training: an unsharp mask
OUTPUT_SCALE = 4.0  # of the last layer, which learns faster by that
MOST_CHANGE = 2.0  # of a gain
PATTERN = CELL * CELL  # outputs besides the gains
MOST_PATTERN = 1.0  # relative to the contrast

# Scales of the features
LUMINANCE = 0.299, 0.587, 0.114
DETAIL_SCALE, FLAT_BEFORE = 10.0, 2  # detail: the picture without its copy of this number
LEAST_ENERGY, ENERGY_MIDDLE, ENERGY_OCTAVES = 2.0**-9, -6.0, 2.0
LEAST_FAINT, FAINT_MIDDLE, FAINT_OCTAVES = 2.0**-12, -8.0, 2.0  # for faint detail
_SIZE_MIDDLE, _SIZE_OCTAVES = 2.0, 2.0  # log2 of pixels
_DEPTH_OCTAVES, _MOST_DEPTH = 2.0, 2.0


@cache
def shipped() -> DetailNetwork:
    """The network whose weights are shipped with the package."""
    with np.load(SHIPPED) as weights:
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
        height, width = picture.shape[:2]
        stack = features(picture, copies, maps)
        gains, pattern = self.outputs(stack)
        gains, around = (enlarged(x, height, width) for x in (gains, contrast(stack)))
        added = np.asarray(spread_out(pattern)[:height, :width, None] * around, np.float32)
        added = np.repeat(added, 3, axis=2)
        for number, band in enumerate(bands_of(picture, copies)):
            added += gains[..., number, None] * band
        return added

    def outputs(self, stack: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gains [h, w, BANDS] and pattern [h, w, PATTERN] of cells with these features."""
        x = self._convolved("enter", stack, 1)
        for number, dilation in enumerate(DILATIONS):
            y = self._convolved(f"blocks.{number}.0", _rectified(x), dilation)
            x = x + self._convolved(f"blocks.{number}.1", _rectified(y), 1)
        out = OUTPUT_SCALE * self._convolved("leave", _rectified(x), 1)
        change = MOST_CHANGE * np.tanh(out[..., :BANDS] / MOST_CHANGE)
        gains = np.array(FIRST_GAINS, np.float32) + change
        pattern = MOST_PATTERN * np.tanh(out[..., BANDS:] / MOST_PATTERN)
        return gains.astype(np.float32), pattern.astype(np.float32)

    def _convolved(self, name: str, x: FloatArray, dilation: int) -> FloatArray:
        """A convolution with 1 or 3x3 samples that are `dilation` cells apart; zeros outside."""
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        height, width = x.shape[:2]
        reach = dilation * (len(weight) // 2)
        padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
        columns = range(0, weight.shape[1] * dilation, dilation)
        beside = np.concatenate([padded[:, left : left + width] for left in columns], axis=2)
        result = np.tile(bias, (height * width, 1))
        for row, kernel in enumerate(weight):
            inputs = kernel.shape[0] * kernel.shape[1]
            part = beside[row * dilation : row * dilation + height].reshape(-1, inputs)
            result += part @ kernel.reshape(inputs, -1)
        return result.reshape(height, width, -1)


def features(picture: FloatArray, copies: list[FloatArray], maps: FloatArray) -> FloatArray:
    """The input of the network [h, w, FEATURES]."""
    grey = np.array(LUMINANCE, np.float32)
    levels = [(level @ grey)[..., None] for level in (picture, *copies)]
    detail = padded_to_cells(np.float32(DETAIL_SCALE) * (levels[0] - levels[1 + FLAT_BEFORE]))
    height, width = detail.shape[0] // CELL, detail.shape[1] // CELL
    split = detail.reshape(height, CELL, width, CELL).swapaxes(1, 2).reshape(height, width, -1)
    bands = [np.abs(finer - coarser) for finer, coarser in pairwise(levels)]
    means = cell_means(np.concatenate(bands, axis=2))
    energies = (np.log2(means + LEAST_ENERGY) - ENERGY_MIDDLE) / ENERGY_OCTAVES
    faint = (np.log2(means + LEAST_FAINT) - FAINT_MIDDLE) / FAINT_OCTAVES
    brightness = cell_means(levels[0]) - 0.5
    parts = [split, energies, faint, brightness, maps]
    return np.asarray(np.concatenate(parts, axis=2), np.float32)


def contrast(stack: FloatArray) -> FloatArray:
    """The contrast of the surroundings of each cell [h, w, 1], from the features."""
    energies = stack[..., PATTERN : PATTERN + LEVELS] * ENERGY_OCTAVES + ENERGY_MIDDLE
    return np.asarray(np.exp2(energies).sum(axis=2, keepdims=True) - LEVELS * LEAST_ENERGY)


def spread_out(pattern: FloatArray) -> FloatArray:
    """The pattern of cells [h, w, PATTERN] as pixels."""
    height, width = pattern.shape[:2]
    cells = pattern.reshape(height, width, CELL, CELL).swapaxes(1, 2)
    return cells.reshape(height * CELL, width * CELL)


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
