"""The gain of each chunk, and the file order that follows from it.

A gain is the reduction of the squared error, summed over the pixels and channels of a view and
averaged over views. Gains of leaves and proxies are measured by rendering. What all refinements
(fine SH and FINE) gain together is measured too, once everything else has arrived. A model of
quantization errors divides it among them: alone, each would be far below the other errors.

A chunk that makes better ones possible shares their gain, so that gain per byte never rises from a
cell to those that need it. A scheduler that compares what can be sent now would starve them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.klt import ShTransform
from exgs.codec.encoding.layer_plan import LayerPlan
from exgs.codec.encoding.packed_cells import PackedCell, PackedFine, PackedSh
from exgs.codec.encoding.precedence import Step, in_best_order
from exgs.codec.encoding.quantization import Precision
from exgs.codec.format.container import PackedChunk
from exgs.codec.format.frame import pack_frame
from exgs.codec.measuring.tile_errors import TileErrors
from exgs.codec.payload.sh import pack_basis, with_vectors
from exgs.codec.threads import ahead
from exgs.scene.gaussians import Gaussians

_PRIOR = 0.25  # share of a layer's gain that is divided by count, not as measured per tile
_FINE_SCALARS = 10  # scalars per Gaussian that a FINE chunk refines
_MEASURED_OVER_MODEL = 0.35  # error of coarse shapes in renderings, relative to the model

# Chunks that arrive together, what they gain in comparison, layer and tile of the cell.
_Refinement = tuple[list[PackedChunk], float, tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class PackedLayer:
    """The packed cells of one layer."""

    proxies: list[PackedCell]
    leaves: list[PackedCell]
    sh: list[list[PackedSh]]  # coarse, then fine: one for each of `leaves`; empty without SH
    fine: dict[int, PackedFine]  # by tile, for the cells of `leaves` that are refined
    precision: Precision
    energy: list[npt.NDArray[np.floating]]  # [n] for each of `leaves`, in payload order

    def drawn_leaves(self, *, refined: bool) -> Gaussians:
        """The decoded leaves: coarse with coarse SH, or `refined` by all chunks."""
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
    tile_errors: TileErrors,
    tile_level: int,
) -> list[PackedChunk]:
    """All chunks with their gains, in file order.

    Args:
        plan: the layers of the scene.
        layers: their packed cells.
        transform: the SH bases of the file; None without SH.
        tile_errors: has no states yet.
        tile_level: level of the finest tiles.
    """
    for state in ahead(states(plan, layers)):
        tile_errors.add_state(state)
    errors = tile_errors.by_tile()
    ordered = in_best_order(steps_of(plan, layers, transform, errors, tile_level))
    chunks = [replace(chunk, gain=gain) for chunk, gain in ordered]
    if transform is not None:
        first = next(i for i, chunk in enumerate(chunks) if chunk.kind is ChunkKind.SH)
        chunks.insert(first, basis_chunk(transform, chunks[first].gain))
    return chunks


def basis_chunk(transform: ShTransform, gain: float) -> PackedChunk:
    """The BASIS chunk of a file."""
    packed, raw_bytes = pack_frame(pack_basis(transform.basis))
    return PackedChunk(ChunkKind.BASIS, 0, 0, 0, gain, raw_bytes, packed)


def steps_of(
    plan: Sequence[LayerPlan],
    layers: Sequence[PackedLayer],
    transform: ShTransform | None,
    errors: npt.NDArray[np.float64],
    tile_level: int,
) -> list[Step[PackedChunk]]:
    """The steps that send `layers`, with their gains; the chunks have none yet.

    Args:
        plan: the layers of the scene.
        layers: their packed cells.
        transform: the SH bases of the file; None without SH.
        errors: [states, tiles] squared error of each of the `states`.
        tile_level: level of the finest tiles.
    """
    steps: list[Step[PackedChunk]] = []
    step_of: dict[tuple[int, int], int] = {}
    refinements: list[_Refinement] = []
    for number, (layer, packed) in enumerate(zip(plan, layers, strict=True)):
        span = 1 << (tile_level - layer.tile_level)
        # The coarse SH of leaves are joined to them: a cell is drawn with both.
        cells: dict[int, list[PackedChunk]] = {}
        for cell in [*packed.proxies, *packed.leaves]:
            cells.setdefault(cell.tile, []).append(cell.chunk)
        counts = {tile: float(sum(chunk.count for chunk in cells[tile])) for tile in cells}
        for place, leaves in enumerate(packed.leaves):
            if packed.sh and len(leaves.members):
                cells[leaves.tile].append(packed.sh[0][place].chunk)
        gains = _smoothed(_by_tile(errors[number] - errors[number + 1], span), counts)
        for tile, chunks in sorted(cells.items()):
            shift = layer.tile_level - plan[number - 1].tile_level if number else 0
            parent = step_of[number - 1, tile >> shift] if number else None
            step_of[number, tile] = len(steps)
            steps.append(Step(gains[tile], parent, tuple(chunks)))

        refinements += _refinements_of(packed, transform, number)
    modelled = sum(gain for _, gain, _ in refinements)
    if modelled > 0:
        measured = float((errors[-2] - errors[-1]).sum())
        factor = max(measured / modelled, 0.0)
        for chunks, gain, refined in refinements:
            steps.append(Step(gain * factor, step_of[refined], tuple(chunks)))
    return steps


def _refinements_of(
    packed: PackedLayer, transform: ShTransform | None, number: int
) -> Iterator[_Refinement]:
    """The refinements of the cells of layer `number`, with gains by the model."""
    for place, leaves in enumerate(packed.leaves):
        count = len(leaves.members)
        chunks = []
        gain = 0.0
        if packed.sh and transform is not None:
            fine = packed.sh[1][place]
            chunks.append(fine.chunk)
            squares = np.square(transform.coefficients(fine.vectors, fine.basis)).sum(axis=1)
            gain += float(packed.energy[place] @ squares) / (4 * math.pi)
        if leaves.tile in packed.fine:
            chunks.append(packed.fine[leaves.tile].chunk)
            reduction = packed.precision.coarse - packed.precision.fine
            gain += 3 * _FINE_SCALARS * _MEASURED_OVER_MODEL * count * reduction
        if chunks and count:
            yield chunks, gain, (number, leaves.tile)


def states(
    plan: Sequence[LayerPlan],
    layers: Sequence[PackedLayer],
    before: Gaussians | None = None,
) -> Iterator[Gaussians]:
    """The drawn Gaussians without chunks, and up to the end of each layer, without refinements.

    The last state is that of everything, if there are refinements. `before` are drawn before the
    first layer.
    """
    yield before or Gaussians.empty()
    below = Gaussians.empty()
    for layer, packed in zip(plan, layers, strict=True):
        proxies = [cell.decoded for cell in packed.proxies]
        state = Gaussians.concatenate([below, packed.drawn_leaves(refined=False), *proxies])
        if layer.amplification != 1:
            state = replace(state, scales=state.scales * np.float32(layer.amplification))
        yield state
        below = Gaussians.concatenate([below, packed.drawn_leaves(refined=False)])
    if any(layer.sh or layer.fine for layer in layers):
        yield Gaussians.concatenate([layer.drawn_leaves(refined=True) for layer in layers])


def _smoothed(measured: Sequence[float], counts: dict[int, float]) -> dict[int, float]:
    """Gains of the tiles in `counts`: 75% as measured, 25% by the number of Gaussians.

    Each tile is seen by a few views only, so the measurement may miss parts of it.
    """
    total_gain = sum(max(measured[tile], 0.0) for tile in counts)
    total_count = max(sum(counts.values()), 1.0)
    return {
        tile: (1 - _PRIOR) * measured[tile] + _PRIOR * total_gain * counts[tile] / total_count
        for tile in counts
    }


def _by_tile(error: npt.NDArray[np.float64], span: int) -> list[float]:
    """Sums of `error` [finest tiles] over `span` finest tiles each."""
    sums: list[float] = error.reshape(-1, span).sum(axis=1).tolist()
    return sums
