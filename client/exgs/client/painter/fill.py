"""Push-pull: what nothing covers is filled from the colours around it, smoothly and honestly.

For files without proxies; where there are some, nothing is open that is not open in the scene.
A picture much of which shows no trace of anything is one of a thing before nothing: there only
gaps amid what is covered are filled.
The pyramid of Gortler et al. 1996 (The Lumigraph, section 3.4.2) with the render's alpha as
weight: averages are pulled up until every hole has some colour, then pushed down into the holes.
"""

from __future__ import annotations

import numpy as np

from exgs.client.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterize import Render

_TINY = np.float32(1e-12)
_NO_TRACE = 0.985  # of a pixel's weight is nothing: not even the outskirts of a Gaussian reach it
_OPEN_SHARE = 0.3  # of the pixels without a trace: the scene is surely open
_AROUND = 4  # times halved, the size over which coverage is looked at: 16 pixels
_LEAST_COVER, _FULL_COVER = 0.5, 0.9  # of these pixels: no gap below, all gap above


class FillPainter:
    """Fills what nothing covers; proxies and leaves stay as rendered."""

    slow = False

    def paint(self, render: Render, confidence: Confidence) -> FloatArray:
        """See Painter."""
        return fill(render.rgb, confidence)


def fill(rgb: FloatArray, confidence: Confidence) -> FloatArray:
    """A render [H, W, 3] over black, its gaps filled."""
    gaps, reach = confidence.gaps, confidence.reach
    cover = 1.0 - confidence.nothing
    if not gaps.any():
        return rgb
    filled = push_pull(rgb, cover)
    open_share = float((confidence.nothing > _NO_TRACE)[reach].mean())
    closed = max(1.0 - open_share / _OPEN_SHARE, 0.0)
    amid = (mean_around(cover) - _LEAST_COVER) / (_FULL_COVER - _LEAST_COVER)
    trust = closed + (1.0 - closed) * np.clip(amid, 0.0, 1.0)
    filled = rgb + trust[..., None] * (filled - rgb)
    return np.where(gaps[..., None], filled, rgb).astype(np.float32)


def mean_around(values: FloatArray) -> FloatArray:
    """Means of [H, W] over some pixels around each, smoothly."""
    sums = values.astype(np.float32)[..., None]
    counts = np.ones_like(sums)
    sizes = []
    for _ in range(_AROUND):
        sizes.append(sums.shape[:2])
        sums, counts = _sum_quads(sums), _sum_quads(counts)
    means: FloatArray = sums / counts
    for height, width in reversed(sizes):
        means = _double(means, height, width)
    return means[..., 0]


def push_pull(premultiplied: FloatArray, weight: FloatArray) -> FloatArray:
    """Colours [H, W, 3] everywhere, from colours times weight [H, W, 3] and weight [H, W].

    A pixel of weight 1 keeps its colour, one of weight 0 takes that of its surroundings, others
    mix. Where every weight is 0 the result is black.
    """
    height, width = weight.shape
    if max(height, width) == 1:
        return np.divide(premultiplied, np.maximum(weight, _TINY)[..., None], dtype=np.float32)
    coarse_weight = _sum_quads(weight[..., None])
    coarse = _sum_quads(premultiplied)
    # Weight saturates: a coarse pixel that is full as a whole needs no help from coarser ones.
    saturated = np.minimum(coarse_weight, 1.0)
    coarse *= saturated / np.maximum(coarse_weight, _TINY)
    around = _double(push_pull(coarse, saturated[..., 0]), height, width)
    filled: FloatArray = premultiplied + (1.0 - weight)[..., None] * around
    return filled


def _sum_quads(image: FloatArray) -> FloatArray:
    """Sums over blocks of 2 x 2 pixels; a missing last row or column counts as zero."""
    height, width, channels = image.shape
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)))
    quads: FloatArray = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, channels).sum(
        axis=(1, 3)
    )
    return quads


def _double(image: FloatArray, height: int, width: int) -> FloatArray:
    """Twice the size by linear interpolation between pixel centres, cut to [height, width]."""
    tall = _double_rows(image)[:height]
    return _double_rows(tall.swapaxes(0, 1))[:width].swapaxes(0, 1)


def _double_rows(image: FloatArray) -> FloatArray:
    near = np.float32(0.75) * image
    far = np.float32(0.25) * image
    doubled = np.empty((2 * image.shape[0], *image.shape[1:]), np.float32)
    doubled[0] = image[0]
    np.add(near[1:], far[:-1], out=doubled[2::2])
    np.add(near[:-1], far[1:], out=doubled[1:-1:2])
    doubled[-1] = image[-1]
    return doubled
