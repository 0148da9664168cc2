"""Gradient descent on the parameters of Gaussians: Adam (Kingma and Ba 2015).

Parameters are in unconstrained form (log of the scale, logit of the opacity). Gradients are those
of `Rasterizer.render_gradients`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from numba import prange

from exgs.codec.measuring.directions import sh_basis
from exgs.codec.measuring.pictures import FitViews
from exgs.scene.camera import Camera
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.kernel import kernel
from exgs.scene.rasterizer import Gradients, Rasterizer

# Learning rates at the first step. Units: the Gaussian's size (see `Descent`), the unit quaternion,
# log scale, logit of the opacity, SH coefficient.
_RATES = {"means": 0.03, "quats": 0.02, "scales": 0.03, "opacities": 0.08, "sh0": 0.03}
_SH_RATE = 0.006  # of SH coefficients above degree 0
_DECAY, _SQUARE_DECAY = 0.9, 0.99
_EPSILON = 1e-12

PROXY_OPACITIES = (0.01, 0.995)
_SCALE_MIN_PIXELS = 0.05  # thinner Gaussians look equally flat even from nearer views
_SCALE_MAX_DISTANCES = 0.5  # relative to the median viewing distance
_NEAR = 8  # the pixel size is that of the nearest 1/8 of the views


class Descent:
    """Adam on the parameters of Gaussians, drawn together with `fixed` ones that stay unchanged.

    `scene` contains the fixed Gaussians and the current state of the others. Each step changes its
    arrays in place: a copy of the fixed Gaussians at each step would cost as much time as drawing
    them. Opacities stay within `opacities`, scales within bounds that follow from `cameras`. SH
    above degree 0 change only in steps that are given the position of the camera.
    """

    def __init__(
        self,
        fixed: Gaussians,
        start: Gaussians,
        cameras: Sequence[Camera],
        opacities: tuple[float, float] = PROXY_OPACITIES,
    ) -> None:
        eyes = np.stack([camera.position for camera in cameras])
        offsets = start.means[:, None, :] - eyes.astype(np.float32)
        distances = np.sort(np.linalg.norm(offsets, axis=2), axis=1)
        focal = np.float32(np.median([camera.K[0, 0] for camera in cameras]))
        pixel = distances[:, len(cameras) // _NEAR] / focal
        middle = distances[:, len(cameras) // 2]
        widest = np.sort(start.scales, axis=1)
        # The unit of changes of a mean: the root of the area of the largest face plus half a pixel.
        self._sizes = (np.sqrt(widest[:, 2] * widest[:, 1]) + np.float32(0.5) * pixel)[:, None]
        clipped = np.clip(start.opacities, *opacities)
        self._logits = tuple(math.log(opacity / (1 - opacity)) for opacity in opacities)
        self._values: dict[str, FloatArray] = {
            "means": start.means.copy(),
            "quats": start.quats.copy(),
            "scales": np.log(start.scales),
            "opacities": np.log(clipped / (1 - clipped)),
            "sh0": start.sh0.copy(),
        }
        scales = self._values["scales"]
        low = np.log(np.float32(_SCALE_MIN_PIXELS) * pixel + np.float32(1e-30))[:, None]
        high = np.log(np.float32(_SCALE_MAX_DISTANCES) * middle + np.float32(1e-30))[:, None]
        self._scale_bounds = np.minimum(low, scales), np.maximum(high, scales)
        self.first = len(fixed)  # number of the first Gaussian that is fitted
        joint = Gaussians.concatenate([fixed, start])
        buffers = {name: getattr(joint, name).copy() for name in (*self._values, "shN")}
        self.scene = Gaussians(**buffers)
        self._tails = {name: buffer[self.first :] for name, buffer in buffers.items()}
        self._given_shN = start.shN
        self._sh_moments: tuple[FloatArray, FloatArray] | None = None
        self._momentum = {name: np.zeros_like(value) for name, value in self._values.items()}
        self._square = {name: np.zeros_like(value) for name, value in self._values.items()}
        self._steps = 0

    def current(self) -> Gaussians:
        """A copy of the Gaussians that are fitted."""
        tails = {name: tail.copy() for name, tail in self._tails.items() if name != "shN"}
        shN = self._given_shN if self._sh_moments is None else self._tails["shN"].copy()
        return Gaussians(**tails, shN=shN)

    def step(self, given: Gradients, rate: float, eye: npt.ArrayLike | None = None) -> None:
        """One step of Adam with the gradients `given`; `rate` is relative to the first step's.

        With the position [3] of the camera, `eye`, it also changes SH above degree 0.
        """
        self._steps += 1
        opacities = self._tails["opacities"]
        gradients: dict[str, npt.NDArray[np.floating]] = {
            "means": given.means * self._sizes,
            "quats": given.quats,
            "scales": given.scales * self._tails["scales"],
            "opacities": given.opacities * opacities * (1 - opacities),
            "sh0": given.sh0,
        }
        if eye is not None and self._tails["shN"].shape[1]:
            self._step_sh(given.sh0, np.asarray(eye, np.float64), rate)
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
        np.clip(self._values["opacities"], *self._logits, out=self._values["opacities"])
        for name, value in self._values.items():
            self._tails[name][...] = value
        np.exp(self._values["scales"], out=self._tails["scales"])
        self._tails["opacities"][...] = 1 / (1 + np.exp(-self._values["opacities"]))

    def _step_sh(
        self, of_base: npt.NDArray[np.float64], eye: npt.NDArray[np.float64], rate: float
    ) -> None:
        """Change SH above degree 0, from the gradients `of_base` [N, 3] by degree 0."""
        shN = self._tails["shN"]
        if self._sh_moments is None:
            self._sh_moments = np.zeros_like(shN), np.zeros_like(shN)
        offsets = self._tails["means"] - eye
        offsets /= np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-12)
        basis = sh_basis(offsets, self.scene.sh_degree)
        bias, square_bias = 1 / (1 - _DECAY**self._steps), 1 / (1 - _SQUARE_DECAY**self._steps)
        _adam_of_sh(
            of_base,
            basis / SH_C0,
            shN,
            *self._sh_moments,
            np.float32(rate * _SH_RATE * bias),
            np.float32(square_bias),
        )


def descend(
    descent: Descent,
    numbers: npt.NDArray[np.integer],
    views: FitViews,
    rasterizer: Rasterizer,
    rng: np.random.Generator,
    *,
    steps: int,
    rates: tuple[float, float],
    fit_sh: bool = False,
) -> Iterator[int]:
    """Steps on the squared error of pictures; yields the number of steps after each.

    Args:
        descent: the Gaussians and the state of their fit.
        numbers: which of the `views` to fit to; all are used in random order before one is used
            again.
        views: cameras, and the pictures to match.
        rasterizer: draws and differentiates.
        rng: gives the order of the views.
        steps: how many.
        rates: of the first and after the last step; between them they follow a cosine.
        fit_sh: whether SH above degree 0 are fitted as well.
    """
    left: list[int] = []
    first_rate, last_rate = rates
    for step in range(steps):
        if not left:
            left = rng.permutation(numbers).tolist()
        view = left.pop()
        camera = views.cameras[view]
        reference = np.asarray(views.references[view], np.float32)
        gradient = partial(gradient_of_squares, reference=reference)
        gradients = rasterizer.render_gradients(
            descent.scene, camera, gradient, first=descent.first
        )
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        rate = last_rate + (first_rate - last_rate) * cosine
        descent.step(gradients, rate, camera.position if fit_sh else None)
        yield step + 1


def gradient_of_squares(picture: FloatArray, reference: FloatArray) -> FloatArray:
    """Gradient [H, W, 3] of the mean squared error of `picture` [H, W, 3], clamped to [0, 1].

    Clamped pixels get the gradient of their clamped values, so that they can return.
    """
    residual: FloatArray = np.clip(picture, 0, 1) - reference
    return residual * np.float32(2 / residual.size)


@kernel(parallel=True)
def _adam_of_sh(
    of_base: npt.NDArray[np.float64],
    basis: npt.NDArray[np.float64],
    shN: FloatArray,
    momentum: FloatArray,
    square: FloatArray,
    rate: np.float32,
    square_bias: np.float32,
) -> None:
    n, terms, _ = shN.shape
    keep, square_keep = np.float32(1 - _DECAY), np.float32(1 - _SQUARE_DECAY)
    for i in prange(n):
        for k in range(terms):
            for c in range(3):
                gradient = np.float32(of_base[i, c] * basis[i, k])
                momentum[i, k, c] += keep * (gradient - momentum[i, k, c])
                square[i, k, c] += square_keep * (gradient * gradient - square[i, k, c])
                size = np.sqrt(square[i, k, c] * square_bias) + np.float32(_EPSILON)
                shN[i, k, c] -= rate * momentum[i, k, c] / size
