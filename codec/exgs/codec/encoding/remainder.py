"""Makes the proxies of a layer, which stand in for its remainder: the leaves of all later layers.

Steps: cluster, merge, distil, quantize the shapes, then fit the colours of the decoded proxies. The
quantization of proxies may add 10% to the squared error that merging causes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.klt import residual_vectors
from exgs.codec.encoding.layered_scene import Index, LayeredScene
from exgs.codec.encoding.packed_cells import PackedCell, pack_cells
from exgs.codec.encoding.proxy_sh import code_proxy_sh
from exgs.codec.encoding.quantization import geometry_steps
from exgs.codec.measuring.importance import Importance
from exgs.codec.measuring.pictures import FitViews, clipped_pictures
from exgs.codec.merging.agglomerate import agglomerate, as_mixture, merge_components
from exgs.codec.merging.clusters import cluster
from exgs.codec.merging.colorfit import fit_colors
from exgs.codec.merging.distill import distill
from exgs.codec.merging.moments import cluster_means
from exgs.codec.merging.proxies import mean_area, merge
from exgs.codec.payload.geometry import GeometrySteps
from exgs.codec.payload.sh import with_vectors
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_QUANTIZATION_SHARE = 0.1  # of the squared error of merging, which quantization may add
_SCALARS = 11  # coded scalars per proxy
# Factors on the scales of merged Gaussians, of which the best is chosen: small ones preserve
# silhouettes, large ones close gaps in surfaces. Distillation starts from one of them.
_SIZES = (0.8, 0.87, 0.94, 1.01, 1.09, 1.17, 1.26, 1.36)
_START_SIZE = 0.94
_SIZE_VIEWS = 2  # on which the sizes are compared
_FULL_COUNT = 500_000  # Gaussians; smaller scenes are faster to draw, so they get more steps
_STEPS_FACTOR_MAX = 1.5  # on the steps, for smaller scenes
_CONTRIBUTION_FLOOR = 1e-3  # relative to the mean; for Gaussians that no view sees


@dataclass(frozen=True, slots=True)
class ProxyEffort:
    """Settings that determine the time spent on proxies."""

    parts: int  # clusters per proxy before agglomeration; 1 for no agglomeration
    distill_steps: int  # for layers without leaves, in scenes of 500,000 Gaussians or more
    refine_steps: int  # for layers with leaves, times the missing share of the leaves
    fit_iterations: int  # of the colour fit
    fit_missing: float  # colours are fitted if at least this share of the leaves is missing
    thorough: bool  # slow compression, for fewer bytes

    def steps_to_distil(self, count: int, missing: int) -> int:
        """Number of distillation steps if `missing` of the scene's `count` leaves are missing."""
        steps = self.distill_steps if missing == count else self.refine_steps * missing / count
        return more_steps(steps, count)


def more_steps(steps: float, count: int) -> int:
    """`steps` of gradient descent, up to 1.5 times as many in scenes of few Gaussians."""
    return round(steps * min(max(_FULL_COUNT / count, 1.0), _STEPS_FACTOR_MAX))


@dataclass(frozen=True, slots=True, eq=False)
class ProxyFit:
    """The pictures that proxies are fitted to, and the time to spend."""

    views: FitViews  # for the colour fit and the quantization steps
    training: FitViews  # for distillation
    rasterizer: Rasterizer
    effort: ProxyEffort


def divide_remainders(layered: LayeredScene, effort: ProxyEffort) -> dict[int, Index]:
    """For each layer with proxies, the cluster labels [R] of its remainder.

    There are `effort.parts` clusters per planned proxy. It uses one core and no pictures.
    """
    by_missing: dict[int, list[int]] = {}  # layers with the same remainder
    for number, layer in enumerate(layered.plan):
        if layer.proxies:
            by_missing.setdefault(len(layered.remainder(number)), []).append(number)
    clusters: dict[int, Index] = {}
    for missing, numbers in by_missing.items():
        remainder = layered.remainder(numbers[0])
        divided = cluster(
            layered.scene.means[remainder],
            layered.importance.base_color[remainder],
            _weights(layered.importance, remainder),
            layered.importance.distance[remainder],
            layered.fine_tile[remainder],
            [min(effort.parts * layered.plan[number].proxies, missing) for number in numbers],
        )
        clusters.update(zip(numbers, divided, strict=True))
    return clusters


def pack_remainder(
    layered: LayeredScene,
    layer: int,
    clusters: Index,
    drawn: Gaussians,
    fit: ProxyFit,
    count: int | None = None,
) -> list[PackedCell]:
    """The PROXY cells of `layer`, with about as many proxies as planned, or about `count`.

    Args:
        layered: the scene.
        layer: number of the layer.
        clusters: [R] cluster labels of its remainder, from `divide_remainders`.
        drawn: the decoded leaves of this and all earlier layers.
        fit: the pictures to fit to.
        count: number of proxies, where it is not the planned one.
    """
    views, rasterizer, effort = fit.views, fit.rasterizer, fit.effort
    leaves, remainder = len(layered.scene), layered.remainder(layer)
    count = count or layered.plan[layer].proxies
    proxies, labels = _merged(layered, layer, remainder, clusters, count)
    vectors = _mean_vectors(layered, remainder, labels, len(proxies))
    proxies = with_vectors(proxies, vectors)
    tile = np.zeros(len(proxies), np.int64)
    tile[labels] = layered.fine_tile[remainder]
    distances = layered.importance.distance[remainder]
    distance = np.bincount(labels, distances) / np.bincount(labels)

    merged = np.bincount(labels) > 1
    distil_steps = effort.steps_to_distil(leaves, len(remainder))
    if distil_steps:
        proxies = distill(
            drawn,
            _resized(proxies, merged, _START_SIZE),
            fit.training,
            rasterizer,
            steps=distil_steps,
        )
    else:
        proxies = _best_size(drawn, proxies, merged, views, rasterizer)
    energy, error = _measure(drawn, proxies, views, rasterizer)
    distortion = _QUANTIZATION_SHARE * error / (_SCALARS * len(proxies))
    camera = views.cameras[0]
    pixel_size = distance / camera.K[0, 0]

    sh_moments = np.average(
        layered.sensitivity.sh_moments, axis=0, weights=_region_energy(layered.importance) + 1e-30
    )
    base = replace(proxies, sh0=proxies.sh0 - vectors[:, :3]).without_sh()

    def quantizer_steps(members: npt.NDArray[np.int64]) -> GeometrySteps:
        return geometry_steps(
            proxies.select(members),
            energy[members],
            energy[members],
            pixel_size[members],
            distortion,
        )

    def packed(source: Gaussians, thorough: bool) -> list[PackedCell]:
        return pack_cells(
            ChunkKind.PROXY,
            layer,
            source,
            tile,
            layered.cut(layer),
            quantizer_steps,
            thorough,
            sh=lambda own: code_proxy_sh(vectors[own], energy[own], sh_moments, distortion),
        )

    if len(remainder) < effort.fit_missing * leaves:
        return packed(base, effort.thorough)
    cells = packed(base, False)
    shapes = Gaussians.concatenate([cell.decoded for cell in cells])
    everything = Gaussians.concatenate([drawn, shapes])
    free = np.arange(len(everything)) >= len(drawn)
    fitted = fit_colors(
        everything,
        free,
        views,
        rasterizer,
        iterations=effort.fit_iterations,
    )
    colors = np.empty_like(base.sh0)
    moved = fitted[free] - shapes.sh0
    colors[np.concatenate([cell.members for cell in cells])] = moved + np.concatenate(
        [cell.base for cell in cells]
    )
    return packed(replace(base, sh0=colors), effort.thorough)


def _merged(
    layered: LayeredScene, layer: int, remainder: Index, clusters: Index, count: int
) -> tuple[Gaussians, Index]:
    """About `count` proxies of `layer` after merging, and the proxy [R] of each leaf.

    Division into clusters is fast, agglomeration gives better proxies. So `clusters` [R], which are
    several for each proxy, are agglomerated.
    """
    importance = layered.importance
    source = layered.plain.select(remainder)
    colors, distances = importance.base_color[remainder], importance.distance[remainder]
    weights = _weights(importance, remainder)
    labels = clusters
    cluster_count = int(labels.max()) + 1
    if cluster_count > count:
        mixture = as_mixture(source, colors, weights, distances, importance.pixel_size[remainder])
        cut = layered.cut(layer)
        child = np.zeros(cluster_count, np.int64)  # a proxy stands in for leaves of one child cell
        child[labels] = layered.fine_tile[remainder] // (cut.span // cut.children)
        components = merge_components(mixture, labels, cluster_count)
        labels = agglomerate(components, child, count)[labels]
    area = source.opacities * mean_area(source.scales)
    visibility = weights * np.square(distances, dtype=np.float64) / np.maximum(area, 1e-30)
    proxies = merge(source, colors, weights, visibility, labels, int(labels.max()) + 1)
    return proxies, labels


def _mean_vectors(layered: LayeredScene, remainder: Index, labels: Index, count: int) -> FloatArray:
    """Mean residual vectors [count, D] of the members of each proxy; 0 if the scene has no SH."""
    if not layered.scene.sh_degree:
        return np.zeros((count, 3), np.float32)
    base = layered.importance.base_color[remainder]
    vectors = residual_vectors(layered.scene, base, remainder)
    weights = _weights(layered.importance, remainder)
    return cluster_means(vectors, weights, labels, count).astype(np.float32)


def _region_energy(importance: Importance) -> npt.NDArray[np.float64]:
    """The energy of each region [regions]."""
    sums = np.bincount(importance.regions, importance.energy, len(importance.sh_moments))
    return sums.astype(np.float64)


def _weights(importance: Importance, remainder: Index) -> npt.NDArray[np.float64]:
    """Contributions [R] plus a floor, for the averages of merging."""
    floor = _CONTRIBUTION_FLOOR * float(importance.contribution.mean()) + 1e-30
    own = importance.contribution[remainder]
    weights: npt.NDArray[np.float64] = own.astype(np.float64) + floor
    return weights


def _best_size(
    drawn: Gaussians,
    proxies: Gaussians,
    merged: npt.NDArray[np.bool_],
    views: FitViews,
    rasterizer: Rasterizer,
) -> Gaussians:
    """`proxies`, with the scales of those that are `merged` [P] multiplied by the best size.

    The error has one minimum over the sizes, so the search moves to a better neighbour until there
    is none.
    """
    some = views.some(_SIZE_VIEWS)
    everything = Gaussians.concatenate([drawn, proxies])

    @functools.cache
    def error(number: int) -> float:
        scales = _resized(proxies, merged, _SIZES[number]).scales
        sized = replace(everything, scales=np.concatenate([drawn.scales, scales]))
        return _error(sized, some, rasterizer)

    best, before = _SIZES.index(_START_SIZE), -1
    while best != before:
        before = best
        best = min(range(max(best - 1, 0), min(best + 2, len(_SIZES))), key=error)
    return _resized(proxies, merged, _SIZES[best])


def _error(scene: Gaussians, views: FitViews, rasterizer: Rasterizer) -> float:
    """Mean squared error of the pictures."""
    pictures = clipped_pictures(scene, views.cameras, rasterizer)
    pairs = zip(pictures, views.references, strict=True)
    return float(np.mean([np.mean((picture - reference) ** 2) for picture, reference in pairs]))


def _resized(proxies: Gaussians, merged: npt.NDArray[np.bool_], size: float) -> Gaussians:
    factors = np.where(merged, size, 1.0).astype(np.float32)
    return replace(proxies, scales=proxies.scales * factors[:, None])


def _measure(
    drawn: Gaussians, proxies: Gaussians, views: FitViews, rasterizer: Rasterizer
) -> tuple[npt.NDArray[np.float64], float]:
    """The energy [P] of the proxies per pixel, and the mean squared error of the pictures."""
    everything = Gaussians.concatenate([drawn, proxies])
    energy = np.zeros(len(everything))
    pixels = 0
    for camera in views.cameras:
        nothing = np.zeros((camera.height, camera.width, 1), np.float32)
        energy += rasterizer.backproject(everything, camera, nothing).squares
        pixels += camera.width * camera.height
    own = energy[len(drawn) :] / pixels
    return own + 0.01 * own.mean(), _error(everything, views, rasterizer)
