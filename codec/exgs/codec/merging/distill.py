"""Distillation: fits proxies to pictures of the whole scene by gradient descent.

Positions, shapes, opacities and colours of the proxies follow the gradient of the squared error of
pictures. Proxies are drawn together with leaves that stay unchanged. The optimiser is Adam (Kingma
and Ba 2015) with one training view per step. The state with the smallest error on validation views
is returned, which may be the start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Gradients, Rasterizer

# Learning rates at the first step. Units: the Gaussian's size (see `_Descent`), the unit
# quaternion, log scale, logit of the opacity, SH coefficient.
_RATES = {"means": 0.03, "quats": 0.02, "scales": 0.03, "opacities": 0.08, "sh0": 0.03}
_LAST_RATE = 0.05  # of the first; rates follow a cosine schedule
_DECAY, _SQUARE_DECAY = 0.9, 0.99
_EPSILON = 1e-12

_OPACITIES = (0.01, 0.995)
_SCALE_MIN_PIXELS = 0.05  # thinner proxies look equally flat even from nearer views
_SCALE_MAX_DISTANCES = 0.5  # relative to the median viewing distance
_NEAR = 8  # the pixel size is that of the nearest 1/8 of the views

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

    descent = _Descent(fixed, proxies, cameras)
    best, least = proxies, error(proxies)
    checks = {round(share * steps) for share in _CHECKS}
    views: list[int] = []
    for step in range(steps):
        if not views:
            views = rng.permutation(training).tolist()
        view = views.pop()

        gradient = partial(gradient_of_squares, reference=references[view])
        gradients = rasterizer.render_gradients(
            descent.scene, cameras[view], gradient, first=len(fixed)
        )
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        descent.step(gradients, _LAST_RATE + (1 - _LAST_RATE) * cosine)
        if step + 1 in checks:
            candidate = descent.proxies()
            candidate_error = error(candidate)
            if candidate_error < least:
                best, least = candidate, candidate_error
    return best


def gradient_of_squares(picture: FloatArray, reference: FloatArray) -> FloatArray:
    """Gradient [H, W, 3] of the mean squared error of `picture` [H, W, 3], clamped to [0, 1].

    Clamped pixels get the gradient of their clamped values, so that they can return.
    """
    residual: FloatArray = np.clip(picture, 0, 1) - reference
    return residual * np.float32(2 / residual.size)


def _residual(
    rasterizer: Rasterizer, scene: Gaussians, camera: Camera, reference: FloatArray
) -> FloatArray:
    residual: FloatArray = np.clip(rasterizer.render(scene, camera).rgb, 0, 1) - reference
    return residual


class _Descent:
    """Adam on the parameters of the proxies, in unconstrained form (log, logit).

    `scene` contains the fixed Gaussians and the current proxies. Each step changes its arrays in
    place: a copy of the fixed Gaussians at each step would cost as much time as drawing them.
    """

    def __init__(self, fixed: Gaussians, proxies: Gaussians, cameras: Sequence[Camera]) -> None:
        eyes = np.stack([camera.position for camera in cameras])
        offsets = proxies.means[:, None, :] - eyes.astype(np.float32)
        distances = np.sort(np.linalg.norm(offsets, axis=2), axis=1)
        focal = np.float32(np.median([camera.K[0, 0] for camera in cameras]))
        pixel = distances[:, len(cameras) // _NEAR] / focal
        middle = distances[:, len(cameras) // 2]
        widest = np.sort(proxies.scales, axis=1)
        # The unit of changes of a mean: the root of the area of the largest face plus half a pixel.
        self._sizes = (np.sqrt(widest[:, 2] * widest[:, 1]) + np.float32(0.5) * pixel)[:, None]
        opacities = np.clip(proxies.opacities, *_OPACITIES)
        self._values: dict[str, FloatArray] = {
            "means": proxies.means.copy(),
            "quats": proxies.quats.copy(),
            "scales": np.log(proxies.scales),
            "opacities": np.log(opacities / (1 - opacities)),
            "sh0": proxies.sh0.copy(),
        }
        start = self._values["scales"]
        low = np.log(np.float32(_SCALE_MIN_PIXELS) * pixel + np.float32(1e-30))[:, None]
        high = np.log(np.float32(_SCALE_MAX_DISTANCES) * middle + np.float32(1e-30))[:, None]
        self._scale_bounds = np.minimum(low, start), np.maximum(high, start)
        self._shN = proxies.shN
        joint = Gaussians.concatenate([fixed, proxies])
        buffers = {name: getattr(joint, name).copy() for name in self._values}
        self.scene = Gaussians(**buffers, shN=joint.shN)
        self._tails = {name: buffer[len(fixed) :] for name, buffer in buffers.items()}
        self._momentum = {name: np.zeros_like(value) for name, value in self._values.items()}
        self._square = {name: np.zeros_like(value) for name, value in self._values.items()}
        self._steps = 0

    def proxies(self) -> Gaussians:
        """A copy of the current proxies."""
        return Gaussians(**{name: tail.copy() for name, tail in self._tails.items()}, shN=self._shN)

    def step(self, given: Gradients, rate: float) -> None:
        """One step of Adam with the gradients `given`; `rate` is relative to the first step's."""
        self._steps += 1
        opacities = self._tails["opacities"]
        gradients: dict[str, npt.NDArray[np.floating]] = {
            "means": given.means * self._sizes,
            "quats": given.quats,
            "scales": given.scales * self._tails["scales"],
            "opacities": given.opacities * opacities * (1 - opacities),
            "sh0": given.sh0,
        }
        bias = np.float32(1 / (1 - _DECAY**self._steps))
        square_bias = np.float32(1 / (1 - _SQUARE_DECAY**self._steps))
        for name, wide in gradients.items():
            gradient = wide.astype(np.float32)
            momentum, square = self._momentum[name], self._square[name]
            momentum += np.float32(1 - _DECAY) * (gradient - momentum)
            square += np.float32(1 - _SQUARE_DECAY) * (gradient * gradient - square)
            change = momentum * bias / (np.sqrt(square * square_bias) + np.float32(_EPSILON))
            change *= np.float32(rate * _RATES[name])
            self._values[name] -= change * self._sizes if name == "means" else change
        quats = self._values["quats"]
        quats /= np.linalg.norm(quats, axis=1, keepdims=True)
        np.clip(self._values["scales"], *self._scale_bounds, out=self._values["scales"])
        low, high = (math.log(opacity / (1 - opacity)) for opacity in _OPACITIES)
        np.clip(self._values["opacities"], low, high, out=self._values["opacities"])
        for name, value in self._values.items():
            self._tails[name][...] = value
        np.exp(self._values["scales"], out=self._tails["scales"])
        self._tails["opacities"][...] = 1 / (1 + np.exp(-self._values["opacities"]))
