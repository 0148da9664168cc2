"""From scored Gaussians to chunks in file order.

Layer by layer: quantize the leaves, code their SH twice (coarse, then what that lacks), put
proxies in for the rest, and measure by how much each chunk lowers the error of its tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.cells import PackedCell, PackedSh, pack_cells, pack_refinement
from exgs.codec.constants import ChunkKind
from exgs.codec.container import PackedChunk
from exgs.codec.frame import pack_frame
from exgs.codec.geometry import GeometrySteps
from exgs.codec.importance import Importance
from exgs.codec.klt import fit_basis, residual_vectors
from exgs.codec.layers import LayerPlan
from exgs.codec.measure import View, prepare_views, tile_errors
from exgs.codec.order import Job, best_order
from exgs.codec.remainder import FitViews, pack_remainder
from exgs.codec.sh import ShBasis, pack_basis, with_vectors
from exgs.codec.steps import geometry_steps, sh_step
from exgs.codec.tiles import TileTree
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterize import Rasterizer

# Squared error per pixel that each coded scalar may add, and what a first look at SH may add.
_DISTORTION = 2.5e-12
_COARSE_SH_DISTORTION = 4e-11
_ENERGY_FLOOR = 0.01  # of the mean: what the views have hardly seen is not coded at random
_REFERENCE_COUNT = 500_000  # scene for which _DISTORTION was chosen

# A picture of few large proxies is fitted at a lower resolution.
_SMALL_STATE = 12_000
_SMALL_WIDTH = 320
_FIT_WIDTH = 480


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time the encoder spends."""

    views: int  # at most so many to score from
    fit_views: int
    fit_iterations: int
    zstd_level: int
    gain_views: int


@dataclass(slots=True, eq=False)
class _LayerResult:
    """One layer as packed, with the Gaussians that a decoder then has."""

    proxies: list[PackedCell]
    leaves: list[PackedCell]
    refinements: list[list[PackedSh]]  # coarse, fine


def encode_chunks(
    scene: Gaussians,
    importance: Importance,
    plan: Sequence[LayerPlan],
    tiles: TileTree,
    fine_tile: npt.NDArray[np.int64],
    layer_of: npt.NDArray[np.int64],
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    effort: Effort,
    enter_stage: Callable[[str], None],
) -> tuple[list[PackedChunk], list[int]]:
    """All chunks of the file in order, and how many proxies each layer has.

    `fine_tile` and `layer_of` [N] place the Gaussians; `cameras` are those of the fits.
    """
    enter_stage("quantizing")
    energy = importance.energy + _ENERGY_FLOOR * importance.energy.mean() + 1e-12
    basis = (
        fit_basis(residual_vectors(scene, importance.base_color), energy)
        if scene.sh_degree
        else None
    )
    results = [
        _pack_leaves(
            number, layer, scene, importance, energy, basis, fine_tile, layer_of, tiles, effort
        )
        for number, layer in enumerate(plan)
    ]

    drawn = Gaussians.empty(scene.sh_degree)
    fit = _FitPictures(scene, cameras[:: max(1, len(cameras) // effort.fit_views)], rasterizer)
    for number, layer in enumerate(plan):
        drawn = Gaussians.concatenate([drawn, _with_refinements(results[number], 2)])
        if layer.proxies:
            enter_stage(f"proxies of layer {number}")
            results[number].proxies = pack_remainder(
                number,
                scene,
                importance,
                fine_tile,
                np.flatnonzero(layer_of > number),
                layer.proxies,
                1 << (tiles.level - layer.tile_level),
                drawn,
                fit.views(len(drawn) + layer.proxies),
                rasterizer,
                iterations=effort.fit_iterations,
                level=effort.zstd_level,
            )

    enter_stage("ordering")
    views = prepare_views(
        scene, tiles, cameras[:: max(1, len(cameras) // effort.gain_views)], rasterizer
    )
    chunks = _in_order(plan, results, basis, importance, views, tiles, rasterizer)
    return chunks, [sum(len(cell.members) for cell in r.proxies) for r in results]


def _pack_leaves(
    number: int,
    layer: LayerPlan,
    scene: Gaussians,
    importance: Importance,
    energy: npt.NDArray[np.floating],
    basis: ShBasis | None,
    fine_tile: npt.NDArray[np.int64],
    layer_of: npt.NDArray[np.int64],
    tiles: TileTree,
    effort: Effort,
) -> _LayerResult:
    index = np.flatnonzero(layer_of == number)
    span = 1 << (tiles.level - layer.tile_level)
    shown = replace(
        scene.select(index),
        sh0=importance.base_color[index],
        shN=np.zeros((len(index), 0, 3), np.float32),
    )
    own_energy = energy[index]
    pixel_size = importance.pixel_size[index]

    def steps(members: npt.NDArray[np.int64]) -> GeometrySteps:
        return geometry_steps(
            shown.select(members), own_energy[members], pixel_size[members], _DISTORTION
        )

    # A tile without leaves needs an empty chunk where later leaves wait for it and no proxies come.
    later = np.unique(fine_tile[layer_of > number] // span).tolist() if not layer.proxies else []
    if not len(index) and layer.proxies:
        return _LayerResult([], [], [])
    cells = pack_cells(
        ChunkKind.LEAF, number, shown, fine_tile[index], span, steps, effort.zstd_level, also=later
    )
    if basis is None:
        return _LayerResult([], cells, [])
    wanted = [
        residual_vectors(scene.select(index[cell.members]), cell.decoded.sh0) for cell in cells
    ]
    refinements = []
    for distortion in (_COARSE_SH_DISTORTION, _DISTORTION):
        packed = pack_refinement(
            number,
            cells,
            wanted,
            basis,
            lambda members, distortion=distortion: sh_step(own_energy[members], distortion),
            effort.zstd_level,
        )
        wanted = [w - p.vectors for w, p in zip(wanted, packed, strict=True)]
        refinements.append(packed)
    return _LayerResult([], cells, refinements)


def _with_refinements(result: _LayerResult, passes: int) -> Gaussians:
    """The decoded leaves of a layer with the first `passes` SH chunks."""
    parts = [Gaussians.empty()]
    for number, cell in enumerate(result.leaves):
        vectors = [refinement[number].vectors for refinement in result.refinements[:passes]]
        parts.append(with_vectors(cell.decoded, sum(vectors)) if vectors else cell.decoded)
    return Gaussians.concatenate(parts)


def _in_order(
    plan: Sequence[LayerPlan],
    results: Sequence[_LayerResult],
    basis: ShBasis | None,
    importance: Importance,
    views: Sequence[View],
    tiles: TileTree,
    rasterizer: Rasterizer,
) -> list[PackedChunk]:
    """Every chunk with its gain, by gain per byte."""
    jobs: list[Job] = []
    parcels: list[list[PackedChunk]] = []
    job_of: dict[tuple[int, int], int] = {}

    def add(chunks: list[PackedChunk], gain: float, parent: int | None) -> int:
        size = sum(len(chunk.packed) for chunk in chunks)
        jobs.append(Job(gain, size, parent))
        parcels.append([replace(chunk, gain=gain * len(chunk.packed) / size) for chunk in chunks])
        return len(jobs) - 1

    drawn = Gaussians.empty()
    error = _blank_errors(views, tiles.count)
    for number, (layer, result) in enumerate(zip(plan, results, strict=True)):
        span = 1 << (tiles.level - layer.tile_level)
        stand_ins = Gaussians.concatenate(
            [Gaussians.empty(), *(cell.decoded for cell in result.proxies)]
        )

        def errors(passes: int, result: _LayerResult = result) -> npt.NDArray[np.float64]:
            state = Gaussians.concatenate([drawn, _with_refinements(result, passes), stand_ins])
            if layer.amplification != 1:
                state = replace(state, scales=state.scales * np.float32(layer.amplification))
            return tile_errors(state, views, tiles.count, rasterizer)

        stages = [errors(passes) for passes in range(len(result.refinements) + 1)]
        drop = _by_tile(error - stages[0], span)
        cells: dict[int, list[PackedChunk]] = {}
        for cell in [*result.proxies, *result.leaves]:
            cells.setdefault(cell.tile, []).append(cell.chunk)
        for tile, chunks in sorted(cells.items()):
            shift = layer.tile_level - plan[number - 1].tile_level if number else 0
            parent = job_of[number - 1, tile >> shift] if number else None
            job_of[number, tile] = add(chunks, drop[tile], parent)
        last = {cell.tile: job_of[number, cell.tile] for cell in result.leaves}
        for before, after, refinement in zip(stages, stages[1:], result.refinements, strict=False):
            drop = _by_tile(before - after, span)
            for packed in refinement:
                if packed.chunk.count:
                    last[packed.tile] = add([packed.chunk], drop[packed.tile], last[packed.tile])
        error = stages[-1]
        drawn = Gaussians.concatenate([drawn, _with_refinements(result, 2)])

    chunks = [chunk for job in best_order(jobs) for chunk in parcels[job]]
    if basis is not None:
        first = next(i for i, chunk in enumerate(chunks) if chunk.kind is ChunkKind.SH)
        packed_basis, raw_bytes = pack_frame(pack_basis(basis))
        chunks.insert(
            first,
            PackedChunk(ChunkKind.BASIS, 0, 0, 0, chunks[first].gain, raw_bytes, packed_basis),
        )
    return chunks


def _by_tile(error: npt.NDArray[np.float64], span: int) -> list[float]:
    """Sums over the finest tiles of each tile of a layer."""
    sums: list[float] = error.reshape(-1, span).sum(axis=1).tolist()
    return sums


def _blank_errors(views: Sequence[View], tiles: int) -> npt.NDArray[np.float64]:
    """The errors of a black picture."""
    total = np.zeros(tiles)
    for view in views:
        shown = np.clip(view.reference, 0, 1)
        total += np.bincount(
            view.tile.ravel(), np.einsum("hwc,hwc->hw", shown, shown).ravel(), tiles
        )
    return total / max(len(views), 1)


class _FitPictures:
    """The fit cameras with their reference pictures, at the resolution that a state deserves."""

    def __init__(self, scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer) -> None:
        self._scene = scene
        self._cameras = cameras
        self._rasterizer = rasterizer
        self._kept: dict[int, FitViews] = {}

    def views(self, count: int) -> FitViews:
        """Views for a picture of `count` Gaussians."""
        width = _SMALL_WIDTH if count <= _SMALL_STATE else _FIT_WIDTH
        if width not in self._kept:
            cameras = [
                camera.resized(width, max(1, round(camera.height * width / camera.width)))
                if camera.width > width
                else camera
                for camera in self._cameras
            ]
            pictures: list[FloatArray] = [
                np.clip(self._rasterizer.render(self._scene, camera).rgb, 0, 1)
                for camera in cameras
            ]
            self._kept[width] = FitViews(cameras, pictures)
        return self._kept[width]
