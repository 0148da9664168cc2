"""The coarse layers of a large scene: proxies for all of it, from summaries of all blocks.

They are fitted to pictures of the whole scene, which are put together from those of the blocks, and
gain what they have in common with others of these pictures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from exgs.codec.blocks.composite import composed
from exgs.codec.blocks.job import Job
from exgs.codec.blocks.packing import Packed, store
from exgs.codec.blocks.scoring import Found
from exgs.codec.blocks.views import with_photographs
from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.efforts import EFFORTS
from exgs.codec.encoding.first_picture import first_chunk_room, pack_proxies
from exgs.codec.encoding.gains import PackedLayer, states, steps_of
from exgs.codec.encoding.layered_scene import LayeredScene
from exgs.codec.encoding.packed_cells import PackedCell, pack_cells
from exgs.codec.encoding.progressive import GAIN_WIDTH
from exgs.codec.encoding.quantization import Precision, geometry_steps, layer_precision
from exgs.codec.encoding.remainder import ProxyFit, divide_remainders
from exgs.codec.encoding.tiles import TileTree
from exgs.codec.measuring.importance import measure_importance
from exgs.codec.measuring.pictures import FitViews, evenly_spaced, scaled
from exgs.codec.measuring.sensitivity import Sensitivity
from exgs.codec.measuring.tile_errors import TileErrors
from exgs.codec.measuring.viewpoints import PICTURE_WIDTH
from exgs.codec.threads import ahead
from exgs.scene.backends import default_rasterizer
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import SceneViews

_GAIN_STEP = 5  # one of so many drawn views of the whole scene is for gains
_BLOCK_VIEWS = 4  # one scoring view of a block for every four of the whole scene


def encode_coarse(job: Job, found: list[Found]) -> Packed:
    """Encode the coarse layers, and store their drawn Gaussians by block."""
    if not job.first:
        for number in range(job.blocks):
            job.save("coarse", number, Gaussians.empty())
        return Packed([], [], [])
    summary = Gaussians.concatenate([block.summary.gaussians for block in found])
    tile = np.concatenate([block.summary.tile for block in found])
    effort = EFFORTS[job.options.quality]
    rasterizer = default_rasterizer(antialiased=job.spill.facts.antialiased)
    made = SceneViews(job.spill.sample(), up=job.up)
    near = [camera for block in found for camera in block.cameras]
    near = evenly_spaced(near, effort.views // _BLOCK_VIEWS)
    whole = with_photographs(
        lambda count: made.views(count, 3 * job.options.seed),
        job.overviews.photographs,
        effort.views,
    )
    scoring = [scaled(camera, PICTURE_WIDTH) for camera in (*whole, *near)]
    importance = measure_importance(summary, scoring, rasterizer)
    level = job.plan[job.first].tile_level
    layers = [replace(layer, proxies=min(layer.proxies, len(summary))) for layer in job.plan]
    layered = LayeredScene(
        summary,
        importance,
        Sensitivity.of(importance),
        layers[: job.first + 1],
        TileTree(level, np.zeros(0, np.int64), np.zeros(0, np.float32)),
        tile,
        np.full(len(summary), len(layers)),
    )
    clusters = divide_remainders(layered, effort.proxies)
    training, held_out = _divided(FitViews(job.overviews.drawn, composed(job)))
    fit = ProxyFit(training.some(effort.fit_views), training, rasterizer, effort.proxies)
    precision = layer_precision(len(summary), 0.0, sh=False)
    results = []
    options = job.options
    texts = (options.name, options.credit, options.license, job.spill.facts.crs)
    room_bytes = first_chunk_room(job.plan, texts, effort.quality_points)
    for number in range(job.first):
        drawn = Gaussians.empty()
        cells = pack_proxies(layered, number, clusters[number], drawn, fit, room_bytes)
        empty = _empty_cells(layered, number, cells, precision)
        energies: list[npt.NDArray[np.floating]] = [np.zeros(0) for _ in empty]
        results.append(PackedLayer(cells, empty, [], {}, precision, energies))

    plan = layers[: job.first]
    some = held_out.some(effort.gain_views)
    book = TileErrors(
        summary, tile, 1 << level, some.cameras, rasterizer, references=some.references
    )
    for state in ahead(states(plan, results)):
        book.add_state(state)
    # Pictures of blocks for gains are larger.
    enlarged = np.mean([(GAIN_WIDTH / camera.width) ** 2 for camera in some.cameras])
    steps = steps_of(plan, results, None, float(enlarged) * book.by_tile(), level)
    stored = store(job, job.blocks, steps, layer=0, levels=[layer.tile_level for layer in plan])
    _keep_drawn(job, results[-1])
    counts = [sum(len(cell.members) for cell in result.proxies) for result in results]
    return Packed(stored, [0] * job.first, counts)


def _divided(views: FitViews) -> tuple[FitViews, FitViews]:
    """Views for fits, and others for gains."""
    numbers = range(len(views.cameras))
    for_gains = [number for number in numbers if number % _GAIN_STEP == 0]
    return views.select(sorted({*numbers} - {*for_gains})), views.select(for_gains)


def _empty_cells(
    layered: LayeredScene, number: int, cells: list[PackedCell], precision: Precision
) -> list[PackedCell]:
    """A LEAF without Gaussians for each tile of a layer that has nothing to show."""
    level = layered.plan[number].tile_level
    missing = set(range(1 << level)).difference(cell.tile for cell in cells)
    nothing, none = Gaussians.empty(), np.zeros(0)
    return pack_cells(
        ChunkKind.LEAF,
        number,
        nothing,
        np.zeros(0, np.int64),
        layered.cut(number),
        lambda members: geometry_steps(nothing, none, none, none, precision.coarse),
        False,
        extra_tiles=missing,
    )


def _keep_drawn(job: Job, last: PackedLayer) -> None:
    """Store the decoded Gaussians of each block after the last coarse layer."""
    drawn = Gaussians.concatenate([cell.decoded for cell in last.proxies])
    block = job.spill.tree.locate(drawn.means)
    for number in range(job.blocks):
        job.save("coarse", number, drawn.select(block == number))
