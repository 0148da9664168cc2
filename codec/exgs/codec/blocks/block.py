"""Second pass over the blocks: each block is encoded like a scene, in its context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.codec.blocks.effort import block_effort
from exgs.codec.blocks.job import Job
from exgs.codec.blocks.packing import Packed, store
from exgs.codec.blocks.plan import block_plan
from exgs.codec.blocks.scoring import Scored, block_rasterizer
from exgs.codec.blocks.views import shared_views, window
from exgs.codec.encoding.gains import states, steps_of
from exgs.codec.encoding.klt import ShTransform
from exgs.codec.encoding.layer_plan import assign_layers
from exgs.codec.encoding.layered_scene import LayeredScene
from exgs.codec.encoding.progressive import GAIN_WIDTH, gain_views, pack_scene
from exgs.codec.measuring.pictures import scaled
from exgs.codec.measuring.sensitivity import Sensitivity
from exgs.codec.measuring.tile_errors import TileErrors
from exgs.codec.threads import ahead

# Factor on the squared errors of quantization, so that files are about as large as in one piece:
# smaller cells take more bytes.
_COARSENESS = 1.1


@dataclass(frozen=True, slots=True, eq=False)
class BlockTransform(ShTransform):
    """The SH bases of the whole file, for the tiles of one block."""

    block: int = 0
    block_level: int = 0

    def number(self, tile: int, level: int) -> int:
        """The number in the file of the basis of a tile of the block."""
        whole = ShTransform(self.basis, self.analysis)
        return whole.number((self.block << level) + tile, level + self.block_level)


def encode_block(job: Job, number: int) -> None:
    """Encode a scored block, and store its chunks and their rows."""
    scene = job.spill.block(number)
    scored: Scored = job.load("scored", number)
    shares = job.load("shares", 0)[number]
    plan = block_plan(job.plan, job.first, job.spill.level, len(scene), shares)
    layer_of = assign_layers(scored.score, scene.means, [layer.leaves for layer in plan])
    layered = LayeredScene(
        scene,
        scored.importance,
        Sensitivity.of(scored.importance),
        plan,
        scored.tiles,
        scored.fine_tile,
        layer_of,
        coarseness=_COARSENESS,
    )
    transform: ShTransform | None = job.load("transform", 0)
    if transform is not None:
        transform = BlockTransform(transform.basis, transform.analysis, number, job.spill.level)
    rasterizer = block_rasterizer(job, number)
    effort = block_effort(job.options.quality)
    results = pack_scene(
        layered, scored.viewpoints, rasterizer, effort, transform, lambda stage: None
    )

    own_weight, shared = shared_views(job, number, effort.gain_views)
    books = [(own_weight, gain_views(scored.viewpoints, effort))]
    for views in shared:
        windows = [window(scaled(camera, GAIN_WIDTH), scene) for camera in views.cameras]
        books.append((views.weight, windows))
    coarse = job.load("coarse", number)
    measured = []
    for weight, cameras in books:
        book = TileErrors(scene, scored.fine_tile, scored.tiles.count, cameras, rasterizer)
        for state in ahead(states(plan, results, coarse)):
            book.add_state(state)
        measured.append(weight * book.by_tile())
    steps = steps_of(plan, results, transform, np.sum(measured, axis=0), scored.tiles.level)
    stored = store(
        job,
        number,
        steps,
        layer=job.first,
        levels=[layer.tile_level for layer in plan],
        block=number,
        gain_factor=1 / job.blocks,
    )
    proxies = [sum(len(cell.members) for cell in result.proxies) for result in results]
    job.save("packed", number, Packed(stored, [layer.leaves for layer in plan], proxies))
