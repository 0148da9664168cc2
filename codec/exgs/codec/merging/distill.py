"""Distillation: fits proxies to pictures of the whole scene by gradient descent.

Positions, shapes, opacities and colours of the proxies follow the gradient of the squared error of
pictures. Proxies are drawn together with leaves that stay unchanged. The optimiser is Adam (Kingma
and Ba 2015) with one training view per step. The state with the smallest error on validation views
is returned, which may be the start.
"""

from __future__ import annotations

import math

import numpy as np

from exgs.codec.measuring.pictures import FitViews, clipped_pictures
from exgs.codec.merging.descent import Descent, descend
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Rasterizer

_LAST_RATE = 0.05  # of the first; rates follow a cosine schedule
_EPSILON = 1e-12

_VALIDATION = 12  # one view in 12 is a validation view
_CHECKS = (0.75, 1.0)  # shares of the steps after which the validation error is measured


def distill(
    fixed: Gaussians,
    proxies: Gaussians,
    views: FitViews,
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
        views: training views; one in 12 of them is a validation view.
        rasterizer: draws and differentiates.
        steps: of gradient descent.
        seed: of the order of the views.
    """
    if not len(proxies) or not steps or len(views.cameras) < 2:
        return proxies
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(views.cameras))
    held_back, training = np.split(order, [math.ceil(len(order) / _VALIDATION)])

    validation = views.select(held_back.tolist())

    def error(candidate: Gaussians) -> float:
        """Mean over the validation views of the log of the mean squared error."""
        scene = Gaussians.concatenate([fixed, candidate])
        pictures = clipped_pictures(scene, validation.cameras, rasterizer)
        pairs = zip(pictures, validation.references, strict=True)
        errors = [float(np.mean(np.square(picture - reference))) for picture, reference in pairs]
        return float(np.mean([math.log(error + _EPSILON) for error in errors]))

    descent = Descent(fixed, proxies, views.cameras)
    best, least = proxies, error(proxies)
    checks = {round(share * steps) for share in _CHECKS}
    rates = 1.0, _LAST_RATE
    for step in descend(descent, training, views, rasterizer, rng, steps=steps, rates=rates):
        if step in checks:
            candidate = descent.current()
            candidate_error = error(candidate)
            if candidate_error < least:
                best, least = candidate, candidate_error
    return best
