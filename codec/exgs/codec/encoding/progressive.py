"""From a layered scene to chunks in file order.

For each layer: quantize the leaves, code their SH in two passes (coarse, then the residual), and
make proxies for the leaves of later layers. Then measure the gain of each chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.efforts import Effort
from exgs.codec.encoding.first_picture import pack_proxies
from exgs.codec.encoding.gains import PackedLayer, in_order
from exgs.codec.encoding.klt import ShTransform, fit_transform, residual_vectors
from exgs.codec.encoding.layered_scene import LayeredScene
from exgs.codec.encoding.packed_cells import (
    Members,
    PackedCell,
    PackedSh,
    pack_cells,
    pack_fine_cells,
    pack_sh_cells,
)
from exgs.codec.encoding.quantization import geometry_steps, layer_precision, sh_step
from exgs.codec.encoding.remainder import ProxyFit, divide_remainders
from exgs.codec.format.container import PackedChunk
from exgs.codec.measuring.pictures import FitViews, clipped_pictures, evenly_spaced, scaled, thinned
from exgs.codec.measuring.tile_errors import TileErrors
from exgs.codec.measuring.viewpoints import Viewpoints
from exgs.codec.payload.geometry import GeometrySteps
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer

# Added to the energy, relative to the mean: Gaussians that the views hardly see are coded as well.
_ENERGY_FLOOR = 0.01

_PIXELS_PER_PROXY = 3.5  # of a training view, for the largest number of proxies in a layer
_TRAINING_PIXELS_MIN = 20_000
_TRAINING_PIXELS_MAX = {False: 20_000, True: 60_000}  # by `Effort.thorough`
GAIN_WIDTH = 480  # pixels, of pictures on which gains are measured


def encode_chunks(
    layered: LayeredScene,
    viewpoints: Viewpoints,
    rasterizer: Rasterizer,
    effort: Effort,
    room_bytes: int,
    enter_stage: Callable[[str], None],
) -> tuple[list[PackedChunk], list[int]]:
    """All chunks in file order, and the number of proxies of each layer.

    The first chunk has at most `room_bytes` if it contains proxies. `enter_stage` is called with
    the name of each stage when it starts.
    """
    scene, plan = layered.scene, layered.plan
    transform = sh_transform(layered)
    layers = pack_scene(
        layered, viewpoints, rasterizer, effort, transform, enter_stage, room_bytes=room_bytes
    )
    enter_stage("ordering")
    views = gain_views(viewpoints, effort)
    errors = TileErrors(scene, layered.fine_tile, layered.tiles.count, views, rasterizer)
    chunks = in_order(plan, layers, transform, errors, layered.tiles.level)
    return chunks, [sum(len(cell.members) for cell in layer.proxies) for layer in layers]


def gain_views(viewpoints: Viewpoints, effort: Effort) -> list[Camera]:
    """The views on which gains are measured."""
    chosen = evenly_spaced(viewpoints.gains, effort.gain_views)
    return [scaled(camera, GAIN_WIDTH) for camera in chosen]


def pack_scene(
    layered: LayeredScene,
    viewpoints: Viewpoints,
    rasterizer: Rasterizer,
    effort: Effort,
    transform: ShTransform | None,
    enter_stage: Callable[[str], None],
    *,
    room_bytes: int | None = None,
) -> list[PackedLayer]:
    """The packed cells of all layers.

    `transform` are the SH bases (None without SH). Proxies of layer 0 have at most `room_bytes`.
    """
    enter_stage("quantizing")
    scene, plan = layered.scene, layered.plan
    with ThreadPoolExecutor(1) as pool:  # packing does not use all cores
        dividing = pool.submit(divide_remainders, layered, effort.proxies)
        packed = _pack_layers(layered, transform, effort)
        if any(layer.proxies for layer in plan):
            enter_stage("clustering")
        clusters = dividing.result()

    drawn = Gaussians.empty(scene.sh_degree)
    training = training_views(layered, viewpoints.training, rasterizer, effort)
    fit = ProxyFit(training.some(effort.fit_views), training, rasterizer, effort.proxies)
    layers: list[PackedLayer] = []
    for number, layer in enumerate(plan):
        drawn = Gaussians.concatenate([drawn, packed[number].drawn_leaves(refined=True)])
        proxies: list[PackedCell] = []
        if layer.proxies:
            enter_stage(f"proxies of layer {number}")
            proxies = pack_proxies(layered, number, clusters[number], drawn, fit, room_bytes)
        layers.append(replace(packed[number], proxies=proxies))
    return layers


def decoded_leaves(layered: LayeredScene, effort: Effort) -> Gaussians:
    """The leaves of all layers, as a client decodes them from a whole file."""
    layers = _pack_layers(layered, sh_transform(layered), effort)
    return Gaussians.concatenate([layer.drawn_leaves(refined=True) for layer in layers])


def sh_transform(layered: LayeredScene) -> ShTransform | None:
    """The SH bases of a scene; None without SH."""
    scene, importance = layered.scene, layered.importance
    if not scene.sh_degree:
        return None
    vectors = residual_vectors(scene, importance.base_color)
    energy = floored_energy(layered.sensitivity.energy)
    return fit_transform(vectors, energy, importance.regions, layered.sensitivity.sh_moments)


def floored_energy(energy: FloatArray) -> FloatArray:
    """`energy` [N] plus 1% of its mean."""
    raised: FloatArray = energy + _floor_of(energy)
    return raised


def _floor_of(energy: FloatArray) -> np.floating:
    floor: np.floating = _ENERGY_FLOOR * energy.mean() + 1e-12
    return floor


def _pack_layers(
    layered: LayeredScene, transform: ShTransform | None, effort: Effort
) -> list[PackedLayer]:
    """All layers without proxies."""
    sensitivity = layered.sensitivity
    energy = floored_energy(sensitivity.energy)
    contrast = sensitivity.contrast + _floor_of(sensitivity.energy)
    return [
        _pack_leaves(layered, number, energy, contrast, transform, effort)
        for number in range(len(layered.plan))
    ]


def _pack_leaves(
    layered: LayeredScene,
    number: int,
    energy: FloatArray,
    contrast: FloatArray,
    transform: ShTransform | None,
    effort: Effort,
) -> PackedLayer:
    """The leaves of layer `number`: coarse leaves and SH, then their refinements.

    `energy` and `contrast` [N] are the weights of the squared errors of colours and shapes.
    """
    scene, importance, fine_tile = layered.scene, layered.importance, layered.fine_tile
    layer, cut = layered.plan[number], layered.cut(number)
    index, remainder = layered.leaves(number), layered.remainder(number)
    # Every cell needs a LEAF or a PROXY chunk. Tiles without proxies get a LEAF, empty if need be.
    later = fine_tile[remainder] // cut.span if layer.proxies else np.empty(0, np.int64)
    without_proxies = np.flatnonzero(np.bincount(later, minlength=1 << layer.tile_level) == 0)
    if not len(index) and not len(without_proxies):
        return PackedLayer([], [], [], {}, layer_precision(len(scene), 0.0, sh=False), [])
    base = replace(layered.plain.select(index), sh0=importance.base_color[index])
    own_energy, own_contrast = energy[index], contrast[index]
    pixel_size = layered.sensitivity.pixel_size[index]

    arrived = (len(scene) - len(remainder)) / len(scene)
    precision = layer_precision(
        len(scene), arrived, sh=transform is not None, coarseness=layered.coarseness
    )

    def steps(distortion: float) -> Callable[[Members], GeometrySteps]:
        return lambda members: geometry_steps(
            base.select(members),
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
        base,
        fine_tile[index],
        cut,
        steps(precision.coarse),
        effort.thorough,
        extra_tiles=without_proxies.tolist(),
    )
    refined = [cell for cell in leaves if cell.is_rough or precision.fine < precision.coarse]
    fine_cells = pack_fine_cells(number, base, refined, steps(precision.fine), effort.thorough)
    fine = {cell.tile: cell for cell in fine_cells}
    passes: list[list[PackedSh]] = []
    energies = [own_energy[cell.members] for cell in leaves]
    if transform is None:
        return PackedLayer([], leaves, passes, fine, precision, energies)
    residuals = [residual_vectors(scene, cell.decoded.sh0, index[cell.members]) for cell in leaves]
    bases = [transform.number(cell.tile, layer.tile_level) for cell in leaves]
    for distortion in (precision.coarse_sh, precision.fine_sh):
        step = [sh_step(own_energy[cell.members], distortion) for cell in leaves]
        packed = pack_sh_cells(number, leaves, residuals, transform, bases, step, effort.thorough)
        for residual, sh in zip(residuals, packed, strict=True):
            residual -= sh.vectors
        passes.append(packed)
    return PackedLayer([], leaves, passes, fine, precision, energies)


def training_views(
    layered: LayeredScene, cameras: Sequence[Camera], rasterizer: Rasterizer, effort: Effort
) -> FitViews:
    """The training views, with 3.5 pixels per proxy within bounds; none without proxies.

    The screen filter is reduced with the pictures, so that proxies fit pictures of the full size.
    """
    most = max((layer.proxies for layer in layered.plan), default=0)
    if not most:
        return FitViews([], [])
    most_pixels = _TRAINING_PIXELS_MAX[effort.thorough]
    pixels = min(max(round(_PIXELS_PER_PROXY * most), _TRAINING_PIXELS_MIN), most_pixels)
    small = [thinned(camera, pixels) for camera in cameras]
    return FitViews(small, clipped_pictures(layered.scene, small, rasterizer))
