"""Distillation: gradient steps that make proxies show what the whole scene shows.

Merging leaves proxies where their clusters were; here their shapes, opacities and colours follow
the gradient of the squared error of pictures, drawn together with leaves that stay as they are
(Adam, Kingma and Ba 2015, one view a step). Views that take no part in that say which state is
kept, so that the result is never worse than the start on them.
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

# Length of a first step: in own sizes, of the unit quaternion, in log, in logit, in SH units.
_RATES = {"means": 0.03, "quats": 0.02, "scales": 0.03, "opacities": 0.08, "sh0": 0.03}
_LAST_RATE = 0.05  # of the first; between them a cosine
_DECAY, _SQUARE_DECAY = 0.9, 0.99
_EPSILON = 1e-12

_OPACITIES = (0.01, 0.995)
_SCALE_MIN_PIXELS = 0.05  # a nearer view would see thinner proxies as flat as these
_SCALE_MAX_DISTANCES = 0.5
_NEAR = 8  # one view in so many is nearer than the pixel size is meant for

_HELD = 12  # one view in 12 is held out
_CHECKS = (0.75, 1.0)  # shares of the steps after which they do


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
    """`proxies` (SH degree 0) moved to match `references` [H, W, 3], drawn beside `fixed`.

    They keep their number and order; one view alone leaves them as they are.
    """
    if not len(proxies) or not steps or len(cameras) < 2:
        return proxies
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cameras))
    held, taught = np.split(order, [math.ceil(len(cameras) / _HELD)])

    def error(candidate: Gaussians) -> float:
        """Mean over the held views of the log of the squared error: PSNR."""
        scene = Gaussians.concatenate([fixed, candidate])
        logs = []
        for view in held:
            residual = _residual(rasterizer, scene, cameras[view], references[view])
            logs.append(math.log(float(np.mean(np.square(residual))) + _EPSILON))
        return float(np.mean(logs))

    descent = _Descent(fixed, proxies, cameras)
    best, least = proxies, error(proxies)
    checks = {round(share * steps) for share in _CHECKS}
    views: list[int] = []
    for step in range(steps):
        if not views:
            views = rng.permutation(taught).tolist()
        view = views.pop()

        gradient = partial(gradient_of_squares, reference=references[view])
        gradients = rasterizer.render_gradients(
            descent.scene, cameras[view], gradient, first=len(fixed)
        )
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        descent.step(gradients, _LAST_RATE + (1 - _LAST_RATE) * cosine)
        if step + 1 in checks:
            reached = descent.proxies()
            now = error(reached)
            if now < least:
                best, least = reached, now
    return best


def gradient_of_squares(picture: FloatArray, reference: FloatArray) -> FloatArray:
    """How the squared error of a clamped `picture` [H, W, 3] moves with it, clamped or not."""
    residual: FloatArray = np.clip(picture, 0, 1) - reference
    return residual * np.float32(2 / residual.size)


def _residual(
    rasterizer: Rasterizer, scene: Gaussians, camera: Camera, reference: FloatArray
) -> FloatArray:
    residual: FloatArray = np.clip(rasterizer.render(scene, camera).rgb, 0, 1) - reference
    return residual


class _Descent:
    """The free parameters, unconstrained, with Adam's moments.

    `scene` are the fixed Gaussians with the proxies as they are now; it changes with each step, in
    its place: copying the fixed ones every time costs as much as drawing them.
    """

    def __init__(self, fixed: Gaussians, proxies: Gaussians, cameras: Sequence[Camera]) -> None:
        eyes = np.stack([camera.position for camera in cameras])
        offsets = proxies.means[:, None, :] - eyes.astype(np.float32)
        distances = np.sort(np.linalg.norm(offsets, axis=2), axis=1)
        focal = np.float32(np.median([camera.K[0, 0] for camera in cameras]))
        pixel = distances[:, len(cameras) // _NEAR] / focal
        middle = distances[:, len(cameras) // 2]
        widest = np.sort(proxies.scales, axis=1)
        # In these units a mean moves: the side of the Gaussian's largest face, or half a pixel.
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
        """The proxies as they are now."""
        return Gaussians(**{name: tail.copy() for name, tail in self._tails.items()}, shN=self._shN)

    def step(self, given: Gradients, rate: float) -> None:
        """One step against the gradients `given`. `rate` is its length, relative to the first."""
        self._steps += 1
        opacities = self._tails["opacities"]
        gradients: dict[str, npt.NDArray[np.floating]] = {
            "means": given.means * self._sizes,
            "quats": given.quats,
            "scales": given.scales * self._tails["scales"],
            "opacities": given.opacities * opacities * (1 - opacities),
            "sh0": given.sh0,
        }
        warm = np.float32(1 / (1 - _DECAY**self._steps))
        warm_square = np.float32(1 / (1 - _SQUARE_DECAY**self._steps))
        for name, wide in gradients.items():
            gradient = wide.astype(np.float32)
            momentum, square = self._momentum[name], self._square[name]
            momentum += np.float32(1 - _DECAY) * (gradient - momentum)
            square += np.float32(1 - _SQUARE_DECAY) * (gradient * gradient - square)
            change = momentum * warm / (np.sqrt(square * warm_square) + np.float32(_EPSILON))
            change *= np.float32(rate * _RATES[name])
            self._values[name] -= change * self._sizes if name == "means" else change
        quats = self._values["quats"]
        quats /= np.linalg.norm(quats, axis=1, keepdims=True)
        np.clip(self._values["scales"], *self._scale_bounds, out=self._values["scales"])
        least, most = (math.log(opacity / (1 - opacity)) for opacity in _OPACITIES)
        np.clip(self._values["opacities"], least, most, out=self._values["opacities"])
        for name, value in self._values.items():
            self._tails[name][...] = value
        np.exp(self._values["scales"], out=self._tails["scales"])
        self._tails["opacities"][...] = 1 / (1 + np.exp(-self._values["opacities"]))
