"""The interface of rasterizer backends.

All backends follow the 'classic' rasterization of gsplat 1.5.3 (Kerbl et al. 2023 with the EWA
filter of 0.3 pixels), so pictures and scores do not depend on the backend. With `antialiased=True`
they follow its 'antialiased' mode, which multiplies opacities by the square root of the ratio of
the determinants of the projected covariance without and with the filter (Yu et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Render:
    """One picture, float32."""

    rgb: FloatArray  # [H, W, 3] composited on the background, not clamped
    alpha: FloatArray  # [H, W] 1 - remaining transmittance
    depth: FloatArray  # [H, W] expected depth, sum(w * z) / max(alpha, 1e-10), world units


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """The contribution of each Gaussian to one picture; w = alpha * T is its blending weight."""

    sum: DoubleArray  # [N] sum of w over the pixels
    max: FloatArray  # [N] largest w of any pixel
    hits: npt.NDArray[np.int64]  # [N] pixels where it is drawn: alpha >= 1/255, and T not exhausted
    transmittance: DoubleArray  # [N] sum of T in front of it over those pixels


class Backprojection(NamedTuple):
    """A picture multiplied by the transpose of the blending weights w, float64."""

    sums: DoubleArray  # [N, C] sum of w * image over the pixels
    weights: DoubleArray  # [N] sum of w
    squares: DoubleArray  # [N] sum of w^2


class Impact(NamedTuple):
    """The effect of each Gaussian on one picture over black, float64; w = alpha * T."""

    weights: DoubleArray  # [N] sum of w over the pixels
    squares: DoubleArray  # [N] sum of w^2
    removals: DoubleArray  # [N] squared error of the picture without it, summed


class Gradients(NamedTuple):
    """Gradients of a loss by the parameters of M Gaussians, float64."""

    means: DoubleArray  # [M, 3] per world unit, at constant colour
    quats: DoubleArray  # [M, 4] tangential to the unit sphere
    scales: DoubleArray  # [M, 3] per world unit, not per log
    opacities: DoubleArray  # [M] not per logit
    sh0: DoubleArray  # [M, 3] per degree-0 coefficient


class Rasterizer(Protocol):
    """A backend. Pixel centres are at half integers. Gaussians are blended front to back."""

    def render(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        colors: FloatArray | None = None,
    ) -> Render:
        """Draw `scene` from `camera`.

        `colors` [N, 3] replace the SH colours, unchanged (without adding 0.5 or clamping at 0), for
        coverage and confidence maps. Raises ValueError if their shape is wrong.
        """
        ...

    def contributions(self, scene: Gaussians, camera: Camera) -> Contributions:
        """The contribution of each Gaussian to the picture from `camera`."""
        ...

    def backproject(self, scene: Gaussians, camera: Camera, image: FloatArray) -> Backprojection:
        """Apply the transpose of blending to `image` [H, W, C], with C >= 1.

        Rendering is linear in colour: if `render` is A, this is A^T, which a closed-form colour fit
        needs. Raises ValueError if `image` does not have the size of the camera's picture.
        """
        ...

    def impact(self, scene: Gaussians, camera: Camera) -> Impact:
        """The effect of each Gaussian on the picture from `camera`.

        The change by removal is exact, as in POTR (arXiv 2601.14821): the Gaussian's own colour is
        removed, and Gaussians behind it become more visible.
        """
        ...

    def render_gradients(
        self,
        scene: Gaussians,
        camera: Camera,
        image_gradient: Callable[[FloatArray], FloatArray],
        *,
        first: int = 0,
    ) -> Gradients:
        """Gradients of a loss by the parameters of the Gaussians from index `first`.

        `image_gradient` receives the picture [H, W, 3] of `render` over black and returns the
        gradient of the loss by the picture in the same shape. It must not draw. Gaussians before
        `first` are drawn but have no gradients, which saves time. Raises ValueError if shapes
        differ.
        """
        ...
