"""Drawing Gaussians: what every rasterizer backend offers, and the choice between them.

All backends follow gsplat 1.5.3's 'classic' rasterization (Kerbl et al. 2023 with the EWA
filter of 0.3 pixels), so that a picture or a score means the same wherever it was computed; made
with `antialiased=True` they follow its 'antialiased' one, which scales opacities by the square root
of the footprint's determinant without the filter over that with it (Yu et al. 2024).
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
    alpha: FloatArray  # [H, W] 1 - transmittance left at the back
    depth: FloatArray  # [H, W] expected depth, sum(w * z) / max(alpha, 1e-10), world units


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """What each Gaussian adds to one picture; w = alpha * T is its blending weight at a pixel."""

    sum: DoubleArray  # [N] sum of w over the pixels
    max: FloatArray  # [N] largest w of any pixel
    hits: npt.NDArray[np.int64]  # [N] pixels where it is drawn (alpha >= 1/255 while T lives)
    transmittance: DoubleArray  # [N] sum of T, what shines through to it, over those pixels


class Backprojection(NamedTuple):
    """A picture pushed back through the blending weights w onto the Gaussians, float64."""

    sums: DoubleArray  # [N, C] sum of w * image over the pixels
    weights: DoubleArray  # [N] sum of w
    squares: DoubleArray  # [N] sum of w^2


class Impact(NamedTuple):
    """What each Gaussian does to one picture on black, float64; w = alpha * T."""

    weights: DoubleArray  # [N] sum of w over the pixels
    squares: DoubleArray  # [N] sum of w^2
    removals: DoubleArray  # [N] squared error of the picture without it, summed, 3 channels


class Gradients(NamedTuple):
    """How a loss moves with the parameters of M Gaussians, float64."""

    means: DoubleArray  # [M, 3] per world unit; colours are held while a mean moves
    quats: DoubleArray  # [M, 4] along the unit sphere
    scales: DoubleArray  # [M, 3] per world unit, not per log
    opacities: DoubleArray  # [M] not per logit
    sh0: DoubleArray  # [M, 3] per degree-0 coefficient


class Rasterizer(Protocol):
    """A backend. Pixel centres lie at +0.5; Gaussians are blended front to back."""

    def render(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        colors: FloatArray | None = None,
    ) -> Render:
        """The picture of `scene` from `camera`.

        `colors` [N, 3] are drawn instead of the SH colours, as they are (no 0.5 added, no clamp
        at 0): for coverage and confidence maps. Raises ValueError where its shape is another.
        """
        ...

    def contributions(self, scene: Gaussians, camera: Camera) -> Contributions:
        """How much each Gaussian adds to the picture from `camera`."""
        ...

    def backproject(self, scene: Gaussians, camera: Camera, image: FloatArray) -> Backprojection:
        """The transpose of blending: `image` [H, W, C] gathered onto the Gaussians.

        Rendering is linear in colour; with `render` as A this is A^T, what a closed-form colour
        fit needs. Any number of channels from one on will do. Raises ValueError where `image`
        has another size than the camera's picture.
        """
        ...

    def impact(self, scene: Gaussians, camera: Camera) -> Impact:
        """What the picture from `camera` owes to each Gaussian.

        The change that its removal makes is exact, as POTR (arXiv 2601.14821) has it: its own
        light goes, and what lies behind it shines through brighter.
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
        """Gradients of a loss with respect to the Gaussians from `first` on.

        The picture [H, W, 3] is that of `render` on black; `image_gradient` gives the loss's
        gradient with respect to it, in the same shape, and must not draw. Fixed Gaussians come
        before `first`: they are drawn, but cost less. Raises ValueError where shapes differ.
        """
        ...
