"""Importance: what each Gaussian adds to pictures of the scene, measured by rendering.

With w = alpha * T, the blending weight at a pixel: `contribution`, the sum of w, is how much of
the pictures a Gaussian makes up; `energy`, the sum of w^2, is by how much the squared error grows
for an error in its colour; `removal` is the squared error of the pictures without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.measuring.directions import SeenDirections
from exgs.codec.measuring.home_view import root_surface
from exgs.scene.camera import Camera
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_ENERGY_PART = 0.6  # against one of removal, in the order


@dataclass(frozen=True, slots=True, eq=False)
class Importance:
    """Scores of N Gaussians over M views, and the light that they show on average."""

    contribution: FloatArray  # [N] sum of w per pixel of the views
    energy: FloatArray  # [N] sum of w^2 per pixel of the views
    removal: FloatArray  # [N] squared error without it, three channels, per pixel of the views
    base_color: FloatArray  # [N, 3] degree-0 coefficients of the mean colour shown
    distance: FloatArray  # [N] mean viewing distance, world units
    pixel_size: FloatArray  # [N] world size of a pixel at that distance
    regions: npt.NDArray[np.int64]  # [N] of `seen`, from 0
    seen: FloatArray  # [R, 1 + K, 1 + K] mean of Y Y^T, by w^2; Y are SH of the directions seen
    view_worth: FloatArray  # [M] root of the surface of all that a view sees, world units

    @property
    def worth(self) -> FloatArray:
        """Scores [N] that order the Gaussians, by the error of the pictures without each of them.

        `removal` is that error while all others are there. Gaussians behind it may be missing as
        well, so a part of the energy, what it shows itself, is added.
        """
        return self.removal / max(float(self.removal.sum()), 1e-30) + _ENERGY_PART * (
            self.energy / max(float(self.energy.sum()), 1e-30)
        )

    @property
    def contrast(self) -> FloatArray:
        """Energy [N] weighted by how much each Gaussian differs from its background.

        An error in its shape raises the squared error by this much. The sum is that of `energy`.
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
    """Render `scene` from `cameras` and gather what each Gaussian adds.

    The base colour is the contribution-weighted mean of the view-dependent colour over the
    directions from which the Gaussian is seen, so that it looks right before its SH arrive.
    `regions` [N] numbers the regions of `seen`, from 0; without it there is one.
    """
    n = len(scene)
    contribution, energy, removal = np.zeros(n), np.zeros(n), np.zeros(n)
    regions = np.zeros(n, np.int64) if regions is None else regions
    seen = SeenDirections(regions, region_count, scene.shN.shape[1])
    surface = root_surface(scene)
    view_worth = np.zeros(len(cameras), np.float32)
    pixels = 0
    focal = float(np.median([camera.K[0, 0] for camera in cameras]))
    for number, camera in enumerate(cameras):
        impact = rasterizer.impact(scene, camera)
        contribution += impact.weights
        energy += impact.squares
        removal += impact.removals
        seen.add(scene.means, camera.position, impact.weights, impact.squares)
        view_worth[number] = surface[impact.weights > 0].sum()
        pixels += camera.width * camera.height
        progress((number + 1) / len(cameras))
    shown = contribution > 0
    safe = np.where(shown, contribution, 1.0)[:, None]
    shift = np.einsum("nk,nkc->nc", seen.basis / safe, scene.shN) / SH_C0
    usual = np.median(seen.distances[shown] / contribution[shown]) if shown.any() else 1.0
    distance = np.where(shown, seen.distances / safe[:, 0], usual)
    return Importance(
        (contribution / max(pixels, 1)).astype(np.float32),
        (energy / max(pixels, 1)).astype(np.float32),
        (removal / max(pixels, 1)).astype(np.float32),
        (scene.sh0 + shift).astype(np.float32),
        distance.astype(np.float32),
        (distance / focal).astype(np.float32),
        regions,
        _mean_seen(seen.moments, np.bincount(regions, energy, region_count).astype(np.float64)),
        view_worth,
    )


def _mean_seen(sums: npt.NDArray[np.float64], energy: npt.NDArray[np.float64]) -> FloatArray:
    """Means [R, 1 + K, 1 + K] from sums over regions; any direction counts where none is seen."""
    anywhere = np.eye(sums.shape[1]) / (4 * math.pi)
    shown = (energy > 0)[:, None, None]
    return np.where(shown, sums / np.maximum(energy, 1e-30)[:, None, None], anywhere).astype(
        np.float32
    )


def ugc_scores(
    scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer
) -> npt.NDArray[np.float64]:
    """The score [N] of ExGS (arXiv 2509.24758): opacity * T, summed over all rays that hit.

    GS_j = 1 / (M H W) * sum over the pixels of M views of 1[ray hits j] * opacity_j * T_j.
    """
    reached = np.zeros(len(scene))
    pixels = 0
    for camera in cameras:
        reached += rasterizer.contributions(scene, camera).transmittance
        pixels += camera.width * camera.height
    return reached * scene.opacities / max(pixels, 1)
