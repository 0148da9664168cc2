"""From scored Gaussians to chunks in file order.

Layer by layer: quantize the leaves, code their SH twice (coarse, then what that lacks), put
proxies in for the rest, and measure by how much each chunk lowers the error of its tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.cells import (
    Members,
    PackedSh,
    pack_cells,
    pack_fine_cells,
    pack_sh_cells,
)
from exgs.codec.encoding.gains import PackedLayer, in_order
from exgs.codec.encoding.klt import ShTransform, fit_transform, residual_vectors
from exgs.codec.encoding.layered_scene import LayeredScene
from exgs.codec.encoding.quantization import geometry_steps, layer_precision, sh_step
from exgs.codec.encoding.remainder import FitViews, ProxyEffort, divide_remainders, pack_remainder
from exgs.codec.format.container import PackedChunk
from exgs.codec.measuring.picture_error import ErrorBook, evenly, scaled, shrunk, thinned
from exgs.codec.measuring.viewpoints import Viewpoints
from exgs.codec.payload.geometry import GeometrySteps
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

_ENERGY_FLOOR = 0.01  # of the mean: what the views have hardly seen is not coded at random

# A picture of few large proxies, and nothing else, is fitted at a lower resolution.
_SMALL_STATE = 12_000
_SMALL_WIDTH = 320
_FIT_WIDTH = 480
_TRAINING_SHARE = 3.5  # pixels of a training view for each proxy of the layer with most
_TRAINING_PIXELS = (20_000, 60_000)  # of it: at least, and at most where time is spent
_GAIN_WIDTH = 480


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time the encoder spends."""

    views: int  # to score from, unless it is said
    fit_views: int
    training_views: int  # to distil from
    gain_views: int
    held_out_views: int  # of the rate-quality table
    quality_points: int  # of it, at most
    thorough: bool  # packing
    proxies: ProxyEffort


def encode_chunks(
    layered: LayeredScene,
    viewpoints: Viewpoints,
    rasterizer: Rasterizer,
    effort: Effort,
    enter_stage: Callable[[str], None],
) -> tuple[list[PackedChunk], list[int]]:
    """All chunks of the file in order, and how many proxies each layer has."""
    enter_stage("quantizing")
    scene, plan = layered.scene, layered.plan
    with ThreadPoolExecutor(1) as pool:  # packing leaves a core idle
        dividing = pool.submit(divide_remainders, layered, effort.proxies)
        results, transform = _pack_layers(layered, effort)
        if any(layer.proxies for layer in plan):
            enter_stage("clustering")
        clusters = dividing.result()

    drawn = Gaussians.empty(scene.sh_degree)
    fit = _FitPictures(scene, evenly(viewpoints.fit, effort.fit_views), rasterizer)
    most_pixels = _TRAINING_PIXELS[int(effort.thorough)]
    training = _training_views(layered, viewpoints.training, rasterizer, most_pixels)
    for number, layer in enumerate(plan):
        drawn = Gaussians.concatenate([drawn, results[number].drawn_leaves(refined=True)])
        if layer.proxies:
            enter_stage(f"proxies of layer {number}")
            results[number].proxies[:] = pack_remainder(
                layered,
                number,
                clusters[number],
                drawn,
                fit.views(len(drawn), layer.proxies),
                training,
                rasterizer,
                effort.proxies,
            )

    # Gains are measured where nothing was fitted: there the proxies look too good.
    enter_stage("ordering")
    gain_cameras = evenly(viewpoints.gains, effort.gain_views)
    views = [scaled(camera, _GAIN_WIDTH) for camera in gain_cameras]
    book = ErrorBook(scene, layered.fine_tile, layered.tiles.count, views, rasterizer)
    chunks = in_order(plan, results, transform, book, layered.tiles.level)
    return chunks, [sum(len(cell.members) for cell in r.proxies) for r in results]


def _pack_layers(
    layered: LayeredScene, effort: Effort
) -> tuple[list[PackedLayer], ShTransform | None]:
    """The leaves of every layer, without proxies, and the SH bases if there are SH."""
    scene, importance, costs = layered.scene, layered.importance, layered.sensitivity
    floor = _ENERGY_FLOOR * costs.energy.mean() + 1e-12
    energy, contrast = costs.energy + floor, costs.contrast + floor
    transform = None
    if scene.sh_degree:
        vectors = residual_vectors(scene, importance.base_color)
        transform = fit_transform(vectors, energy, importance.regions, costs.seen)
    packed = [
        _pack_leaves(layered, number, energy, contrast, transform, effort)
        for number in range(len(layered.plan))
    ]
    return packed, transform


def _pack_leaves(
    layered: LayeredScene,
    number: int,
    energy: FloatArray,
    contrast: FloatArray,
    transform: ShTransform | None,
    effort: Effort,
) -> PackedLayer:
    """The leaves of one layer: coarse, SH coarse, then shapes and SH as fine as they get.

    `energy` and `contrast` [N] say what errors of colours and shapes cost.
    """
    scene, importance, fine_tile = layered.scene, layered.importance, layered.fine_tile
    layer, cut = layered.plan[number], layered.cut(number)
    index, rest = layered.leaves(number), layered.rest(number)
    # Every cell needs a chunk, and no proxies come where nothing remains: an empty one tells so.
    later = fine_tile[rest] // cut.span if layer.proxies else np.empty(0, np.int64)
    nothing_remains = np.flatnonzero(np.bincount(later, minlength=1 << layer.tile_level) == 0)
    if not len(index) and not len(nothing_remains):
        return PackedLayer([], [], [], {}, layer_precision(len(scene), 0.0, sh=False), [])
    shown = replace(layered.plain.select(index), sh0=importance.base_color[index])
    own_energy, own_contrast = energy[index], contrast[index]
    pixel_size = layered.sensitivity.pixel_size[index]

    arrived = (len(scene) - len(rest)) / len(scene)
    precision = layer_precision(len(scene), arrived, sh=transform is not None)

    def steps(distortion: float) -> Callable[[Members], GeometrySteps]:
        return lambda members: geometry_steps(
            shown.select(members),
            own_energy[members],
            own_contrast[members],
            pixel_size[members],
            distortion,
            shape_factor=precision.shape_factor,
            color_factor=precision.color_factor,
        )

    leaves = pack_cells(
        ChunkKind.LEAF,
        number,
        shown,
        fine_tile[index],
        cut,
        steps(precision.coarse),
        effort.thorough,
        also=nothing_remains.tolist(),
    )
    due = [cell for cell in leaves if cell.is_rough or precision.fine < precision.coarse]
    corrections = pack_fine_cells(number, shown, due, steps(precision.fine), effort.thorough)
    fine = {cell.tile: cell for cell in corrections}
    refinements: list[list[PackedSh]] = []
    energies = [own_energy[cell.members] for cell in leaves]
    if transform is None:
        return PackedLayer([], leaves, refinements, fine, precision, energies)
    wanted = [residual_vectors(scene, cell.decoded.sh0, index[cell.members]) for cell in leaves]
    bases = [transform.number(cell.tile, layer.tile_level) for cell in leaves]
    for distortion in (precision.coarse_sh, precision.fine_sh):
        step = [sh_step(own_energy[cell.members], distortion) for cell in leaves]
        packed = pack_sh_cells(number, leaves, wanted, transform, bases, step, effort.thorough)
        for lacking, sh in zip(wanted, packed, strict=True):
            lacking -= sh.vectors
        refinements.append(packed)
    return PackedLayer([], leaves, refinements, fine, precision, energies)


class _FitPictures:
    """The cameras of colour fits with their reference pictures."""

    def __init__(self, scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer) -> None:
        self._scene = scene
        self._cameras = cameras
        self._rasterizer = rasterizer
        self._kept: dict[int, FitViews] = {}

    def views(self, leaves: int, proxies: int) -> FitViews:
        """Views for a picture of so many leaves and proxies.

        Small pictures are shrunk from larger ones: drawn small they would show what the screen
        filter adds, and proxies would learn that. Beside leaves, which it widens too, they must.
        """
        if _FIT_WIDTH not in self._kept:
            cameras = [scaled(camera, _FIT_WIDTH) for camera in self._cameras]
            pictures = [np.clip(self._rasterizer.render(self._scene, c).rgb, 0, 1) for c in cameras]
            self._kept[_FIT_WIDTH] = FitViews(cameras, pictures)
        large = self._kept[_FIT_WIDTH]
        if leaves or proxies > _SMALL_STATE:
            return large
        if _SMALL_WIDTH not in self._kept:
            cameras = [scaled(camera, _SMALL_WIDTH) for camera in large.cameras]
            pictures = [
                shrunk(picture, camera.height, camera.width)
                for camera, picture in zip(cameras, large.references, strict=True)
            ]
            self._kept[_SMALL_WIDTH] = FitViews(cameras, pictures)
        return self._kept[_SMALL_WIDTH]


def _training_views(
    layered: LayeredScene, cameras: Sequence[Camera], rasterizer: Rasterizer, most_pixels: int
) -> FitViews:
    """The training cameras with their pictures, of as many pixels as the scene's proxies deserve.

    The screen filter shrinks with the pictures: what proxies learn holds at the full size.
    """
    most = max((layer.proxies for layer in layered.plan), default=0)
    pixels = min(max(round(_TRAINING_SHARE * most), _TRAINING_PIXELS[0]), most_pixels)
    small = [thinned(camera, pixels) for camera in cameras]
    pictures = [np.clip(rasterizer.render(layered.scene, c).rgb, 0, 1) for c in small]
    return FitViews(small, pictures)
