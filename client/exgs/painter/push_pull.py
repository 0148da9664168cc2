"""Push-pull interpolation (Gortler et al. 1996, The Lumigraph, section 3.4.2).

The pull step averages colours into ever coarser pictures until every hole has a colour. The push
step interpolates these colours back into the holes.
"""

from __future__ import annotations

import numpy as np

from exgs.scene.gaussians import FloatArray

_TINY = np.float32(1e-12)


def push_pull(premultiplied: FloatArray, weight: FloatArray) -> FloatArray:
    """Fill a picture: colours [H, W, 3] from premultiplied colours [H, W, 3] and weights [H, W].

    A pixel of weight 1 keeps its colour, a pixel of weight 0 takes the colour of its surroundings,
    other pixels mix both. The result is black if all weights are 0.
    """
    height, width = weight.shape
    if max(height, width) == 1:
        return np.divide(premultiplied, np.maximum(weight, _TINY)[..., None], dtype=np.float32)
    coarse_weight = _sum_quads(weight[..., None])
    coarse = _sum_quads(premultiplied)
    # Weights saturate at 1: a full coarse pixel needs no colour from coarser levels.
    saturated = np.minimum(coarse_weight, 1.0)
    coarse *= saturated / np.maximum(coarse_weight, _TINY)
    around = _double(push_pull(coarse, saturated[..., 0]), height, width)
    filled: FloatArray = premultiplied + (1.0 - weight)[..., None] * around
    return filled


def _sum_quads(image: FloatArray) -> FloatArray:
    """Sums over blocks of 2 x 2 pixels. A missing last row or column counts as zero."""
    height, width, channels = image.shape
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)))
    quads: FloatArray = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, channels).sum(
        axis=(1, 3)
    )
    return quads


def _double(image: FloatArray, height: int, width: int) -> FloatArray:
    """Double the size by linear interpolation between pixel centres; crop to [height, width]."""
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
