"""Distillation: fits proxies to pictures of the whole scene by gradient descent.

Positions, shapes, opacities and colours of the proxies follow the gradient of the squared error of
pictures. Proxies are drawn together with leaves that stay unchanged. The optimiser is Adam (Kingma
and Ba 2015) with one training view per step. The state with the smallest error on validation views
is returned, which may be the start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from exgs.codec.merging.descent import Descent, descend
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_LAST_RATE = 0.05  # of the first; rates follow a cosine schedule
_EPSILON = 1e-12

_VALIDATION = 12  # one view in 12 is a validation view
_CHECKS = (0.75, 1.0)  # shares of the steps after which the validation error is measured


def distill(
    fixed: Gaussians,
    proxies: Gaussians,
    cameras: Sequence[Camera],
    references: Sequence[FloatArray],
    rasterizer: Rasterizer,
    *,
    steps: int,
    seed: int = 0,
) -> Gaussians:
    """`proxies` fitted to pictures of the scene, in the same number and order.

    Proxies are returned unchanged if there are no steps or fewer than two views.

    Args:
        fixed: leaves that are drawn together with the proxies.
        proxies: the start; their SH above degree 0 stay unchanged.
        cameras: training views; one in 12 of them is a validation view.
        references: the pictures [H, W, 3] to match, one for each camera.
        rasterizer: draws and differentiates.
        steps: of gradient descent.
        seed: of the order of the views.
    """
    if not len(proxies) or not steps or len(cameras) < 2:
        return proxies
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cameras))
    validation, training = np.split(order, [math.ceil(len(cameras) / _VALIDATION)])

    def error(candidate: Gaussians) -> float:
        """Mean over the validation views of the log of the mean squared error."""
        scene = Gaussians.concatenate([fixed, candidate])
        logs = []
        for view in validation:
            residual = _residual(rasterizer, scene, cameras[view], references[view])
            logs.append(math.log(float(np.mean(np.square(residual))) + _EPSILON))
        return float(np.mean(logs))

    descent = Descent(fixed, proxies, cameras)
    best, least = proxies, error(proxies)
    checks = {round(share * steps) for share in _CHECKS}
    views = (training, cameras, references)
    for step in descend(descent, *views, rasterizer, rng, steps=steps, rates=(1.0, _LAST_RATE)):
        if step in checks:
            candidate = descent.current()
            candidate_error = error(candidate)
            if candidate_error < least:
                best, least = candidate, candidate_error
    return best


def _residual(
    rasterizer: Rasterizer, scene: Gaussians, camera: Camera, reference: FloatArray
) -> FloatArray:
    residual: FloatArray = np.clip(rasterizer.render(scene, camera).rgb, 0, 1) - reference
    return residual
