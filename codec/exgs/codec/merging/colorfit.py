"""Linear least-squares fit of colours: rendering is linear in the colours of the Gaussians.

It uses conjugate gradients on the normal equations (CGLS, Hestenes and Stiefel 1952), where A is
`render` and A^T is `backproject`. The preconditioner is the diagonal with the sums of squared
weights, which is the diagonal of A^T A.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.codec.measuring.pictures import FitViews
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

# Tikhonov regularisation toward the start colours, in units of the sum of w^2 over the pixels. A
# Gaussian that the views hardly show keeps its colour.
_REGULARIZATION = 2.0


def fit_colors(
    scene: Gaussians,
    free: npt.NDArray[np.bool_],
    views: FitViews,
    rasterizer: Rasterizer,
    *,
    iterations: int = 5,
) -> FloatArray:
    """Degree-0 coefficients [N, 3] of `scene`, of which those at `free` are fitted.

    Minimises the squared error of the pictures plus 2 * |change of the colours|^2.

    Args:
        scene: N Gaussians with their start colours.
        free: [N] mask of the Gaussians to fit.
        views: training views, one or more, and the pictures to match.
        rasterizer: draws and backprojects.
        iterations: of conjugate gradients.
    """
    target = np.flatnonzero(free)
    no_sh = scene.without_sh()
    direction_colors = np.zeros((len(scene), 3), np.float32)
    gradient = np.zeros((len(target), 3))
    squares = np.zeros(len(target))
    residuals = []
    for camera, reference in zip(views.cameras, views.references, strict=True):
        residual = reference - rasterizer.render(scene, camera).rgb
        back = rasterizer.backproject(no_sh, camera, residual)
        gradient += back.sums[target]
        squares += back.squares[target]
        residuals.append(residual)
    diagonal = (squares + _REGULARIZATION)[:, None]
    change = np.zeros_like(gradient)
    preconditioned = gradient / diagonal
    direction = preconditioned
    gamma = np.sum(gradient * preconditioned, axis=0)  # [3]: one linear system per channel
    for iteration in range(iterations):
        direction_colors[target] = direction
        images = [
            rasterizer.render(no_sh, camera, colors=direction_colors).rgb
            for camera in views.cameras
        ]
        energy = sum(np.einsum("hwc,hwc->c", m, m, dtype=np.float64) for m in images)
        energy = energy + _REGULARIZATION * np.sum(direction * direction, axis=0)
        alpha = gamma / np.maximum(energy, 1e-30)
        change = change + alpha * direction
        if iteration + 1 == iterations:
            break
        gradient = -_REGULARIZATION * change
        for residual, image, camera in zip(residuals, images, views.cameras, strict=True):
            residual -= (alpha * image).astype(np.float32)
            gradient += rasterizer.backproject(no_sh, camera, residual).sums[target]
        preconditioned = gradient / diagonal
        previous, gamma = gamma, np.sum(gradient * preconditioned, axis=0)
        direction = preconditioned + gamma / np.maximum(previous, 1e-30) * direction
    fitted = scene.sh0.copy()
    fitted[target] += (change / SH_C0).astype(np.float32)
    return fitted
