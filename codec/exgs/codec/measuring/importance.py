"""The importance of each Gaussian for pictures of the scene, measured by rendering.

Let w = alpha * T be the blending weight of a Gaussian at a pixel. The `contribution` is the sum of
w over the pixels, the Gaussian's share of the pictures. The `energy` is the sum of w^2, the
increase of the squared error per squared error of the Gaussian's colour. The `removal` is the
squared error of the pictures without the Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.measuring.directions import ViewingDirections
from exgs.scene.camera import Camera
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_ENERGY_WEIGHT = 0.6  # in the combined score; the weight of the removal is 1


@dataclass(frozen=True, slots=True, eq=False)
class Importance:
    """Measurements of N Gaussians over a set of views; "per pixel" is the mean over all pixels."""

    contribution: FloatArray  # [N] w per pixel
    energy: FloatArray  # [N] w^2 per pixel
    removal: FloatArray  # [N] squared error without the Gaussian, three channels, per pixel
    base_color: FloatArray  # [N, 3] degree-0 coefficients of the mean colour in the views
    distance: FloatArray  # [N] mean viewing distance, world units
    pixel_size: FloatArray  # [N] world size of a pixel at that distance
    regions: npt.NDArray[np.int64]  # [N] region of each Gaussian, in [0, R)
    sh_moments: FloatArray  # [R, 1 + K, 1 + K] mean of Y Y^T weighted by w^2; Y: SH of directions

    @property
    def combined(self) -> FloatArray:
        """The score [N] that orders the Gaussians: removal plus 0.6 times energy.

        Both are divided by their sums. `removal` assumes that all other Gaussians are present.
        In a prefix the Gaussians behind may be missing too, which the energy accounts for.
        """
        return self.removal / max(float(self.removal.sum()), 1e-30) + _ENERGY_WEIGHT * (
            self.energy / max(float(self.energy.sum()), 1e-30)
        )

    @property
    def contrast(self) -> FloatArray:
        """The removal [N], scaled to the sum of `energy`.

        It is an energy weighted by the colour difference between each Gaussian and its background:
        the increase of the squared error per squared error of the Gaussian's shape.
        """
        ratio = float(self.energy.sum()) / max(float(self.removal.sum()), 1e-30)
        return self.removal * np.float32(ratio)


def measure_importance(
    scene: Gaussians,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    regions: npt.NDArray[np.int64] | None = None,
    region_count: int = 1,
    progress: Callable[[float], None] = lambda _: None,
) -> Importance:
    """Measure the importance of the N Gaussians of `scene` in the views of `cameras`.

    The base colour is the mean of the view-dependent colour over the directions from which the
    Gaussian is seen, weighted by contribution, so that it looks right before its SH arrive.

    Args:
        scene: N Gaussians with K SH coefficients above degree 0.
        cameras: one or more.
        rasterizer: draws the views.
        regions: [N] the region of each Gaussian, in [0, region_count); all 0 by default.
        region_count: number of rows R of `Importance.sh_moments`.
        progress: called with the share of the views that are done.
    """
    n = len(scene)
    contribution, energy, removal = np.zeros(n), np.zeros(n), np.zeros(n)
    regions = np.zeros(n, np.int64) if regions is None else regions
    directions = ViewingDirections(regions, region_count, scene.shN.shape[1])
    pixels = 0
    focal = float(np.median([camera.K[0, 0] for camera in cameras]))
    for number, camera in enumerate(cameras):
        impact = rasterizer.impact(scene, camera)
        contribution += impact.weights
        energy += impact.squares
        removal += impact.removals
        directions.add(scene.means, camera.position, impact.weights, impact.squares)
        pixels += camera.width * camera.height
        progress((number + 1) / len(cameras))
    seen = contribution > 0
    safe = np.where(seen, contribution, 1.0)[:, None]
    shift = np.einsum("nk,nkc->nc", directions.basis / safe, scene.shN) / SH_C0
    typical = np.median(directions.distances[seen] / contribution[seen]) if seen.any() else 1.0
    distance = np.where(seen, directions.distances / safe[:, 0], typical)
    region_energy = np.bincount(regions, energy, region_count).astype(np.float64)
    return Importance(
        (contribution / max(pixels, 1)).astype(np.float32),
        (energy / max(pixels, 1)).astype(np.float32),
        (removal / max(pixels, 1)).astype(np.float32),
        (scene.sh0 + shift).astype(np.float32),
        distance.astype(np.float32),
        (distance / focal).astype(np.float32),
        regions,
        _mean_moments(directions.moments, region_energy),
    )


def _mean_moments(sums: npt.NDArray[np.float64], energy: npt.NDArray[np.float64]) -> FloatArray:
    """`sums` [R, T, T] divided by `energy` [R]; the mean over the sphere for unseen regions."""
    isotropic = np.eye(sums.shape[1]) / (4 * math.pi)
    seen = (energy > 0)[:, None, None]
    return np.where(seen, sums / np.maximum(energy, 1e-30)[:, None, None], isotropic).astype(
        np.float32
    )


def ugc_scores(
    scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer
) -> npt.NDArray[np.float64]:
    """The scores [N] of ExGS (arXiv 2509.24758).

    GS_j = 1 / (M H W) * sum over the pixels of M views of 1[ray hits j] * opacity_j * T_j.
    """
    transmittance = np.zeros(len(scene))
    pixels = 0
    for camera in cameras:
        transmittance += rasterizer.contributions(scene, camera).transmittance
        pixels += camera.width * camera.height
    return transmittance * scene.opacities / max(pixels, 1)
