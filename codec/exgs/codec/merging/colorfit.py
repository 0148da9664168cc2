"""Colour fit in closed form: rendering is linear in colour, so least squares finds the best ones.

Conjugate gradients on the normal equations (CGLS, Hestenes and Stiefel 1952) with the diagonal
of A^T A as preconditioner. A is `render`, A^T is `backproject`: no gradients, no tuning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

# A proxy that the views hardly see keeps its colour: this many pixels' worth of its start value.
_PRIOR_PIXELS = 2.0


def fit_colors(
    scene: Gaussians,
    free: npt.NDArray[np.bool_],
    cameras: Sequence[Camera],
    references: Sequence[FloatArray],
    rasterizer: Rasterizer,
    *,
    iterations: int = 5,
) -> FloatArray:
    """Degree-0 coefficients [N, 3] of `scene`, those of `free` [N] fitted to `references`.

    `references` are pictures [H, W, 3] of the scene to match from `cameras`. Minimises the summed
    squared error plus a small pull to the start values.
    """
    target = np.flatnonzero(free)
    no_sh = scene.without_sh()
    step_colors = np.zeros((len(scene), 3), np.float32)
    gradient = np.zeros((len(target), 3))
    squares = np.zeros(len(target))
    residuals = []
    for camera, reference in zip(cameras, references, strict=True):
        residual = reference - rasterizer.render(scene, camera).rgb
        back = rasterizer.backproject(no_sh, camera, residual)
        gradient += back.sums[target]
        squares += back.squares[target]
        residuals.append(residual)
    diagonal = (squares + _PRIOR_PIXELS)[:, None]
    change = np.zeros_like(gradient)
    preconditioned = gradient / diagonal
    direction = preconditioned
    slope = np.sum(gradient * preconditioned, axis=0)  # one system per channel
    for iteration in range(iterations):
        step_colors[target] = direction
        moved = [rasterizer.render(no_sh, camera, colors=step_colors).rgb for camera in cameras]
        energy = sum(np.einsum("hwc,hwc->c", m, m, dtype=np.float64) for m in moved)
        energy = energy + _PRIOR_PIXELS * np.sum(direction * direction, axis=0)
        length = slope / np.maximum(energy, 1e-30)
        change = change + length * direction
        if iteration + 1 == iterations:
            break
        gradient = -_PRIOR_PIXELS * change
        for residual, image, camera in zip(residuals, moved, cameras, strict=True):
            residual -= (length * image).astype(np.float32)
            gradient += rasterizer.backproject(no_sh, camera, residual).sums[target]
        preconditioned = gradient / diagonal
        previous, slope = slope, np.sum(gradient * preconditioned, axis=0)
        direction = preconditioned + slope / np.maximum(previous, 1e-30) * direction
    fitted = scene.sh0.copy()
    fitted[target] += (change / SH_C0).astype(np.float32)
    return fitted
