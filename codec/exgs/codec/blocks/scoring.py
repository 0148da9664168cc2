"""First pass over the blocks: importance, and data that all blocks share.

Shared data are the SH bases, histograms of the scores for the sizes of layers, and a few merged
Gaussians of each block for the coarse layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.blocks.composite import draw_block
from exgs.codec.blocks.context import ContextRasterizer, surroundings
from exgs.codec.blocks.effort import block_effort
from exgs.codec.blocks.job import Job
from exgs.codec.blocks.plan import score_histogram, summary_count
from exgs.codec.blocks.summary import Summary, summarise
from exgs.codec.blocks.views import block_viewpoints, shared_views, window
from exgs.codec.encoding.klt import residual_vectors, second_moments
from exgs.codec.encoding.progressive import floored_energy
from exgs.codec.encoding.tiles import TileBoxes, TileTree, build_tiles
from exgs.codec.measuring.importance import Importance, measure_importance
from exgs.codec.measuring.viewpoints import Viewpoints
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_UNSEEN_SHARE = 0.05  # score of unseen Gaussians, relative to the mean score for their surface area
_MASS_FLOOR = 1e-3  # of the mean contribution


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The results of scoring that the encoding of a block needs."""

    importance: Importance
    score: FloatArray  # [N] order of the Gaussians
    tiles: TileTree  # of the block
    fine_tile: npt.NDArray[np.int64]  # [N]
    viewpoints: Viewpoints


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The contribution of a block to the shared data of the scene."""

    summary: Summary
    histogram: npt.NDArray[np.int64]  # of scores; see plan.py
    removal: float  # sums of the importance
    energy: float
    moments: npt.NDArray[np.float64]  # [R, D, D] of SH; R regions of the block
    seen: npt.NDArray[np.float64]  # [R, T, T] sums of Y Y^T, weighted by energy
    seen_energy: npt.NDArray[np.float64]  # [R]
    boxes: TileBoxes  # of the block's tiles
    cameras: tuple[Camera, ...]  # some of the scoring views


def block_rasterizer(job: Job, number: int, context: Gaussians | None = None) -> ContextRasterizer:
    """The rasterizer of a block, with its context."""
    return ContextRasterizer(
        default_rasterizer(antialiased=job.spill.facts.antialiased),
        surroundings(job, number) if context is None else context,
        job.spill.low[number],
        job.spill.high[number],
    )


def score_block(job: Job, number: int) -> None:
    """Score a block and store the result."""
    scene = job.spill.block(number)
    effort = block_effort(job.options.quality)
    if job.options.views is not None:
        effort = replace(effort, views=job.options.views)
    context = surroundings(job, number)
    rasterizer = block_rasterizer(job, number, context)
    viewpoints = block_viewpoints(job, number, scene, context, effort)
    level = job.tile_level - job.spill.level
    tiles = build_tiles(scene.means, level)
    fine_tile = tiles.locate(scene.means)
    own = max(job.region_level - job.spill.level, 0)
    regions = fine_tile >> (level - own)
    importance = _importance(job, number, scene, viewpoints, rasterizer, regions, 1 << own)
    removal, energy = float(importance.removal.sum()), float(importance.energy.sum())
    score = importance.energy if job.options.score == "energy" else importance.combined
    score = _with_prior(scene, score)
    weights = floored_energy(importance.energy)
    moments = np.zeros((1 << own, 0, 0))
    if scene.sh_degree:
        vectors = residual_vectors(scene, importance.base_color)
        moments = second_moments(vectors, weights, regions, 1 << own)
    of_region = np.bincount(regions, weights, 1 << own).astype(np.float64)
    first_level = job.plan[job.first].tile_level
    summary = _summary(job, number, scene, importance, fine_tile >> (job.tile_level - first_level))
    if job.overviews.drawn:
        draw_block(job, number, scene)
    job.save("scored", number, Scored(importance, score, tiles, fine_tile, viewpoints))
    found = Found(
        summary,
        score_histogram(score),
        removal,
        energy,
        moments,
        importance.sh_moments.astype(np.float64) * of_region[:, None, None],
        of_region,
        TileBoxes(scene.means, fine_tile, level),
        tuple(viewpoints.scoring[:4]),
    )
    job.save("found", number, found)


def _importance(
    job: Job,
    number: int,
    scene: Gaussians,
    viewpoints: Viewpoints,
    rasterizer: Rasterizer,
    regions: npt.NDArray[np.int64],
    region_count: int,
) -> Importance:
    """Importance in views from near, and in those that show other blocks, too.

    Of the latter each block is one of many; of the former all belong to this block.
    """
    measured = measure_importance(scene, viewpoints.scoring, rasterizer, regions, region_count)
    weight, shared = shared_views(job, number)
    for views in shared:
        windows = [window(camera, scene) for camera in views.cameras]
        found = measure_importance(scene, windows, rasterizer, regions, region_count)
        part = _pixels(windows) / _pixels(views.cameras)
        measured = _mixed(measured, weight, found, views.weight * part)
        weight = 1.0
    return measured


def _pixels(cameras: Sequence[Camera]) -> int:
    return sum(camera.width * camera.height for camera in cameras)


def _mixed(
    one: Importance, one_weight: float, other: Importance, other_weight: float
) -> Importance:
    """Importance over both sets of views, whose pixels count by these weights."""
    a, b = np.float32(one_weight), np.float32(other_weight)
    first, second = a * one.contribution, b * other.contribution
    share = second / np.maximum(first + second, np.float32(1e-30))  # [N] of the other, where seen
    regions = len(one.sh_moments)
    energies = [
        weight * np.bincount(part.regions, part.energy, regions)
        for weight, part in ((one_weight, one), (other_weight, other))
    ]
    total = np.maximum(energies[0] + energies[1], 1e-30)
    moments = sum(
        (energy / total)[:, None, None] * part.sh_moments
        for energy, part in zip(energies, (one, other), strict=True)
    )
    unseen = (energies[0] + energies[1] <= 0)[:, None, None]

    def blended(name: str) -> FloatArray:
        first, second = getattr(one, name), getattr(other, name)
        mixed: FloatArray = first + (share[:, None] if first.ndim == 2 else share) * (
            second - first
        )
        return mixed

    return Importance(
        contribution=first + second,
        energy=a * one.energy + b * other.energy,
        removal=a * one.removal + b * other.removal,
        base_color=blended("base_color"),
        distance=blended("distance"),
        pixel_size=blended("pixel_size"),
        regions=one.regions,
        sh_moments=np.where(unseen, one.sh_moments, moments).astype(np.float32),
    )


def _with_prior(scene: Gaussians, score: FloatArray) -> FloatArray:
    """`score` [N], at least a share of what Gaussians of the same surface have on average.

    So what no view has shown comes after what is seen, but large before small.
    """
    s = np.sort(scene.scales.astype(np.float64), axis=1)
    surface = scene.opacities * s[:, 2] * s[:, 1]
    prior = surface * (_UNSEEN_SHARE * float(score.sum()) / max(float(surface.sum()), 1e-300))
    # One huge Gaussian must not take the prior of all others.
    limit = float(np.quantile(score, 0.9))
    raised: FloatArray = np.maximum(score, np.minimum(prior, limit)).astype(np.float32)
    return raised


def _summary(
    job: Job,
    number: int,
    scene: Gaussians,
    importance: Importance,
    tile: npt.NDArray[np.int64],
) -> Summary:
    whole = summary_count(job.plan, job.first)
    count = max(round(whole * len(scene) / job.spill.count), 1)
    masses = importance.contribution.astype(np.float64)
    masses += _MASS_FLOOR * masses.mean() + 1e-30
    first_level = job.plan[job.first].tile_level - job.spill.level
    placed = summarise(scene, masses, importance.distance, importance.pixel_size, tile, count)
    return Summary(placed.gaussians, placed.tile + (number << first_level))
