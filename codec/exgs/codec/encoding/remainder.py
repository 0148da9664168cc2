"""The remainder of a layer: proxies that stand for every Gaussian that has not come yet.

Cluster, merge, distil, quantize the shapes, then fit the colours of what a decoder will draw.
The error budget is the picture's own: proxies are coded just so finely that it does not show.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.cells import PackedCell, pack_cells
from exgs.codec.encoding.klt import residual_vectors
from exgs.codec.encoding.layered_scene import Index, LayeredScene
from exgs.codec.encoding.proxy_sh import code_proxy_sh
from exgs.codec.encoding.quantization import geometry_steps
from exgs.codec.measuring.importance import Importance
from exgs.codec.merging.agglomerate import agglomerate, as_blobs, summed
from exgs.codec.merging.clusters import cluster
from exgs.codec.merging.colorfit import fit_colors
from exgs.codec.merging.distill import distill
from exgs.codec.merging.proxies import mean_area, merge
from exgs.codec.payload.geometry import GeometrySteps
from exgs.codec.payload.sh import with_vectors
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

# Quantization may add this share to the squared error that merging has left.
_QUANTIZATION_SHARE = 0.1
_SCALARS = 11  # coded per proxy
# Merged Gaussians are drawn at one of these sizes, whichever shows the scene best: smaller ones
# keep silhouettes, larger ones close the gaps of walls. Distillation finds its own, from one.
_SIZES = (0.8, 0.87, 0.94, 1.01, 1.09, 1.17, 1.26, 1.36)
_START_SIZE = 0.94
_FEW_VIEWS = 2
_FULL_COUNT = 500_000  # Gaussians; the pictures of smaller scenes are quicker to draw
_MOST_STEPS = 1.5  # times those of a scene of so many
_WEIGHT_FLOOR = 1e-3  # of the mean contribution: what no view has seen still counts a little


@dataclass(frozen=True, slots=True, eq=False)
class FitViews:
    """Cameras of a colour fit with the full scene's pictures [H, W, 3]."""

    cameras: Sequence[Camera]
    references: Sequence[FloatArray]


@dataclass(frozen=True, slots=True)
class ProxyEffort:
    """How much time is spent on proxies."""

    parts: int  # clusters to agglomerate from for each proxy; 1 does without
    distill_steps: int  # of a large scene while nothing else is drawn; a small one takes more
    refine_steps: int  # beside few leaves; fewer beside many, where it costs more and wins less
    fit_iterations: int
    fit_missing: float  # share of a scene from which colours are fitted where so much is missing
    thorough: bool  # packing

    def steps_to_distil(self, count: int, missing: int) -> int:
        """Steps to distil the proxies for `missing` of a scene's `count` Gaussians."""
        steps = self.distill_steps if missing == count else self.refine_steps * missing / count
        return round(steps * min(max(_FULL_COUNT / count, 1.0), _MOST_STEPS))


def divide_remainders(layered: LayeredScene, effort: ProxyEffort) -> dict[int, Index]:
    """Clusters [R] of what has not come after a layer, for each layer that has proxies.

    From those about as many proxies as planned are to be made. It uses one core and needs no
    pictures.
    """
    together: dict[int, list[int]] = {}  # layers after which the same is missing
    for number, layer in enumerate(layered.plan):
        if layer.proxies:
            together.setdefault(len(layered.rest(number)), []).append(number)
    clusters: dict[int, Index] = {}
    for missing, numbers in together.items():
        rest = layered.rest(numbers[0])
        divided = cluster(
            layered.scene.means[rest],
            layered.importance.base_color[rest],
            _masses(layered.importance, rest),
            layered.importance.distance[rest],
            layered.fine_tile[rest],
            [min(effort.parts * layered.plan[number].proxies, missing) for number in numbers],
        )
        clusters.update(zip(numbers, divided, strict=True))
    return clusters


def pack_remainder(
    layered: LayeredScene,
    layer: int,
    clusters: Index,
    drawn: Gaussians,
    views: FitViews,
    training: FitViews,
    rasterizer: Rasterizer,
    effort: ProxyEffort,
) -> list[PackedCell]:
    """Proxies for what has not come after `layer`, about as many as planned, as cells of it.

    `clusters` [R] come from `divide_remainders`. `drawn` are the leaves that are drawn beside the
    proxies. Colours are fitted to `views`; `training` are what proxies are distilled from.
    """
    count, rest = len(layered.scene), layered.rest(layer)
    proxies, labels = _merged(layered, layer, rest, clusters, effort.parts)
    vectors = _mean_vectors(layered, rest, labels, len(proxies))
    proxies = with_vectors(proxies, vectors)
    tile = np.zeros(len(proxies), np.int64)
    tile[labels] = layered.fine_tile[rest]
    distances = layered.importance.distance[rest]
    distance = np.bincount(labels, distances) / np.bincount(labels)

    merged = np.bincount(labels) > 1
    distil_steps = effort.steps_to_distil(count, len(rest))
    if distil_steps:
        proxies = distill(
            drawn,
            _resized(proxies, merged, _START_SIZE),
            training.cameras,
            training.references,
            rasterizer,
            steps=distil_steps,
        )
    else:
        proxies = _best_size(drawn, proxies, merged, views, rasterizer)
    energy, error = _measure(drawn, proxies, views, rasterizer)
    distortion = _QUANTIZATION_SHARE * error / (_SCALARS * len(proxies))
    camera = views.cameras[0]
    pixel_size = distance / camera.K[0, 0]

    seen = np.average(
        layered.sensitivity.seen, axis=0, weights=_region_energy(layered.importance) + 1e-30
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
            sh=lambda own: code_proxy_sh(vectors[own], energy[own], seen, distortion),
        )

    if len(rest) < effort.fit_missing * count:
        return packed(base, effort.thorough)
    cells = packed(base, False)
    shapes = Gaussians.concatenate([cell.decoded for cell in cells])
    everything = Gaussians.concatenate([drawn, shapes])
    free = np.arange(len(everything)) >= len(drawn)
    fitted = fit_colors(
        everything,
        free,
        views.cameras,
        views.references,
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
    layered: LayeredScene, layer: int, rest: Index, clusters: Index, parts: int
) -> tuple[Gaussians, Index]:
    """Proxies for `rest` after `layer`, and the proxy of each of these [R].

    Dividing is quick and agglomerating good: it starts from `parts` times as many clusters.
    """
    importance = layered.importance
    source = layered.plain.select(rest)
    colors, distances = importance.base_color[rest], importance.distance[rest]
    masses = _masses(importance, rest)
    labels = clusters
    if parts > 1:
        many = int(labels.max()) + 1
        blobs = as_blobs(source, colors, masses, distances, importance.pixel_size[rest])
        owner = np.zeros(many, np.int64)
        owner[labels] = layered.fine_tile[rest]
        count = layered.plan[layer].proxies
        labels = agglomerate(summed(blobs, labels, many), owner, count)[labels]
    area = source.opacities * mean_area(source.scales)
    visibility = masses * np.square(distances, dtype=np.float64) / np.maximum(area, 1e-30)
    proxies = merge(source, colors, masses, visibility, labels, int(labels.max()) + 1)
    return proxies, labels


def _mean_vectors(layered: LayeredScene, rest: Index, labels: Index, count: int) -> FloatArray:
    """What the base colours of `count` proxies lack, [count, D]: the mean over their members."""
    lacking = residual_vectors(layered.scene, layered.importance.base_color[rest], rest)
    masses = _masses(layered.importance, rest)
    total = np.bincount(labels, masses, count)
    columns = [np.bincount(labels, masses * column, count) / total for column in lacking.T]
    if len(columns) == 3:  # without SH base colours lack nothing
        return np.zeros((count, 3), np.float32)
    return np.stack(columns, axis=1).astype(np.float32)


def _region_energy(importance: Importance) -> npt.NDArray[np.float64]:
    """Energy of each region [R] of `importance.seen`."""
    sums = np.bincount(importance.regions, importance.energy, len(importance.seen))
    return sums.astype(np.float64)


def _masses(importance: Importance, rest: Index) -> npt.NDArray[np.float64]:
    """Contributions [R], and a little of what no view has seen."""
    floor = _WEIGHT_FLOOR * float(importance.contribution.mean()) + 1e-30
    masses: npt.NDArray[np.float64] = importance.contribution[rest].astype(np.float64) + floor
    return masses


def _best_size(
    drawn: Gaussians,
    proxies: Gaussians,
    merged: npt.NDArray[np.bool_],
    views: FitViews,
    rasterizer: Rasterizer,
) -> Gaussians:
    """`proxies` with those that are `merged` [P] at the size that suits the views best.

    The error falls towards one size and rises behind it: neighbours are tried until it does.
    """
    some = _some(views)
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


def _some(views: FitViews) -> FitViews:
    """A few of `views`, which tell a mean."""
    pick = slice(None, None, max(1, len(views.cameras) // _FEW_VIEWS))
    return FitViews(views.cameras[pick], views.references[pick])


def _error(scene: Gaussians, views: FitViews, rasterizer: Rasterizer) -> float:
    """Mean squared error of the pictures."""
    residuals = [
        np.clip(rasterizer.render(scene, camera).rgb, 0, 1) - reference
        for camera, reference in zip(views.cameras, views.references, strict=True)
    ]
    return float(np.mean([np.mean(residual * residual) for residual in residuals]))


def _resized(proxies: Gaussians, merged: npt.NDArray[np.bool_], size: float) -> Gaussians:
    factors = np.where(merged, size, 1.0).astype(np.float32)
    return replace(proxies, scales=proxies.scales * factors[:, None])


def _measure(
    drawn: Gaussians, proxies: Gaussians, views: FitViews, rasterizer: Rasterizer
) -> tuple[npt.NDArray[np.float64], float]:
    """Energy [P] of the proxies per pixel, and the mean squared error of the picture."""
    everything = Gaussians.concatenate([drawn, proxies])
    energy = np.zeros(len(everything))
    pixels = 0
    for camera in views.cameras:
        nothing = np.zeros((camera.height, camera.width, 1), np.float32)
        energy += rasterizer.backproject(everything, camera, nothing).squares
        pixels += camera.width * camera.height
    own = energy[len(drawn) :] / pixels
    return own + 0.01 * own.mean(), _error(everything, views, rasterizer)
