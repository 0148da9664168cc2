"""The gain of each chunk, and the file order that follows from it.

A gain is a drop of squared error, summed over the pixels and channels of a view and averaged over
views. Gains of leaves and proxies are measured by rendering. Gains of refinements come from the
model of the quantizer, since the other errors would drown them in a render.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.cells import PackedCell, PackedFine, PackedSh
from exgs.codec.encoding.klt import ShTransform
from exgs.codec.encoding.layer_plan import LayerPlan
from exgs.codec.encoding.precedence import Job, best_order
from exgs.codec.encoding.quantization import Precision
from exgs.codec.format.container import PackedChunk
from exgs.codec.format.frame import pack_frame
from exgs.codec.measuring.picture_error import ErrorBook
from exgs.codec.payload.sh import pack_basis, with_vectors
from exgs.codec.threads import ahead
from exgs.scene.gaussians import Gaussians

_PRIOR = 0.25  # share of a layer's gain that is spread over its tiles without looking
_FINE_SCALARS = 10  # that a FINE chunk refines per Gaussian
_MODEL_SHARE = 0.35  # of the error that the model gives coarse shapes, measured


@dataclass(frozen=True, slots=True, eq=False)
class PackedLayer:
    """One layer as packed, cell by cell."""

    proxies: list[PackedCell]
    leaves: list[PackedCell]
    sh: list[list[PackedSh]]  # passes: coarse, fine; for each of `leaves`
    fine: dict[int, PackedFine]  # by tile, of those of `leaves` that are not final
    precision: Precision
    energy: list[npt.NDArray[np.floating]]  # [n] for each of `leaves`, in payload order

    def drawn_leaves(self, *, refined: bool) -> Gaussians:
        """What a decoder draws: coarse leaves with coarse SH, or with everything."""
        parts = [Gaussians.empty()]
        for number, cell in enumerate(self.leaves):
            final = self.fine.get(cell.tile, cell) if refined else cell
            passes = self.sh if refined else self.sh[:1]
            vectors = [refinement[number].vectors for refinement in passes]
            leaves = final.decoded
            parts.append(with_vectors(leaves, np.sum(vectors, axis=0)) if vectors else leaves)
        return Gaussians.concatenate(parts)


def in_order(
    plan: Sequence[LayerPlan],
    layers: Sequence[PackedLayer],
    transform: ShTransform | None,
    book: ErrorBook,
    tile_level: int,
) -> list[PackedChunk]:
    """Every chunk with its gain, by gain per byte; `tile_level` is that of the finest tiles."""
    jobs: list[Job] = []
    parcels: list[list[PackedChunk]] = []

    def add(chunks: list[PackedChunk], gain: float, parent: int | None) -> int:
        size = sum(len(chunk.packed) for chunk in chunks)
        jobs.append(Job(gain, size, parent))
        parcels.append([replace(chunk, gain=gain * len(chunk.packed) / size) for chunk in chunks])
        return len(jobs) - 1

    for state in ahead(_states(plan, layers)):
        book.draw(state)
    errors = book.errors_by_tile()
    job_of: dict[tuple[int, int], int] = {}
    for number, (layer, packed) in enumerate(zip(plan, layers, strict=True)):
        span = 1 << (tile_level - layer.tile_level)
        # Leaves are drawn with their first SH, not before.
        cells: dict[int, list[PackedChunk]] = {}
        for cell in [*packed.proxies, *packed.leaves]:
            cells.setdefault(cell.tile, []).append(cell.chunk)
        weight = {tile: float(sum(chunk.count for chunk in cells[tile])) for tile in cells}
        for place, leaves in enumerate(packed.leaves):
            if packed.sh and len(leaves.members):
                cells[leaves.tile].append(packed.sh[0][place].chunk)
        gains = _shared(_by_tile(errors[number] - errors[number + 1], span), weight)
        for tile, chunks in sorted(cells.items()):
            shift = layer.tile_level - plan[number - 1].tile_level if number else 0
            parent = job_of[number - 1, tile >> shift] if number else None
            job_of[number, tile] = add(chunks, gains[tile], parent)

        for place, leaves in enumerate(packed.leaves):
            count = len(leaves.members)
            refinement = []
            gain = 0.0
            if packed.sh and transform is not None:
                fine = packed.sh[1][place]
                refinement.append(fine.chunk)
                squares = np.square(transform.coefficients(fine.vectors, fine.basis)).sum(axis=1)
                gain += float(packed.energy[place] @ squares) / (4 * math.pi)
            if leaves.tile in packed.fine:
                refinement.append(packed.fine[leaves.tile].chunk)
                better = packed.precision.coarse - packed.precision.fine
                gain += 3 * _FINE_SCALARS * _MODEL_SHARE * count * better
            if refinement and count:
                add(refinement, gain * book.pixels, job_of[number, leaves.tile])

    chunks = [chunk for job in best_order(jobs) for chunk in parcels[job]]
    if transform is not None:
        first = next(i for i, chunk in enumerate(chunks) if chunk.kind is ChunkKind.SH)
        packed_basis, raw_bytes = pack_frame(pack_basis(transform.basis))
        chunks.insert(
            first,
            PackedChunk(ChunkKind.BASIS, 0, 0, 0, chunks[first].gain, raw_bytes, packed_basis),
        )
    return chunks


def _states(plan: Sequence[LayerPlan], layers: Sequence[PackedLayer]) -> Iterator[Gaussians]:
    """What is drawn before anything has come, and as each layer comes."""
    yield Gaussians.empty()
    below = Gaussians.empty()
    for layer, packed in zip(plan, layers, strict=True):
        stand_ins = [cell.decoded for cell in packed.proxies]
        state = Gaussians.concatenate([below, packed.drawn_leaves(refined=False), *stand_ins])
        if layer.amplification != 1:
            state = replace(state, scales=state.scales * np.float32(layer.amplification))
        yield state
        below = Gaussians.concatenate([below, packed.drawn_leaves(refined=True)])


def _shared(measured: Sequence[float], weight: dict[int, float]) -> dict[int, float]:
    """Gains of the tiles in `weight`: most of the sum as measured, the rest by weight.

    Only a few views see each tile, so tiles that they missed get a share as well.
    """
    total = sum(max(measured[tile], 0.0) for tile in weight)
    whole = sum(weight.values())
    return {
        tile: (1 - _PRIOR) * measured[tile] + _PRIOR * total * weight[tile] / max(whole, 1.0)
        for tile in weight
    }


def _by_tile(error: npt.NDArray[np.float64], span: int) -> list[float]:
    """Sums over the finest tiles of each tile of a layer."""
    sums: list[float] = error.reshape(-1, span).sum(axis=1).tolist()
    return sums
