"""Puts the chunks of all blocks into one file, by gain per byte over the whole scene.

Only rows of the index are in memory; payloads are copied from the files of the blocks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from exgs.codec.blocks.job import Job
from exgs.codec.blocks.packing import Packed, StoredChunk
from exgs.codec.constants import MAX_MAGNITUDE, ChunkKind
from exgs.codec.encoding.encode import write_pieces
from exgs.codec.encoding.gains import basis_chunk
from exgs.codec.encoding.klt import ShTransform
from exgs.codec.encoding.precedence import Step, in_best_order
from exgs.codec.encoding.tiles import TileBoxes
from exgs.codec.format.container import file_pieces
from exgs.codec.format.frame import content_hash
from exgs.codec.format.packing import PackedIndex
from exgs.codec.format.rows import EMPTY_BOX, Box
from exgs.scene.stores import Place, local_copy

_OPEN_FILES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """All chunks of a file in order."""

    chunks: list[StoredChunk]
    basis: bytes  # the payload of the BASIS, whose source is -1


def order_chunks(
    job: Job, coarse: Packed, blocks: Sequence[Packed], transform: ShTransform | None
) -> Order:
    """Every chunk by gain per byte, parents before children; gains are shared as in one piece."""
    steps: list[Step[StoredChunk]] = []
    cells: dict[tuple[int, int], int] = {}  # cells of the coarse layers
    for packed in (coarse, *blocks):
        start = len(steps)
        for step in packed.steps:
            parent = step.parent + start if step.parent is not None else None
            cell = step.chunks[0]
            if packed is coarse:
                cells[cell.layer, cell.tile] = len(steps)
            elif parent is None and job.first:
                above = job.plan[job.first].tile_level - job.plan[job.first - 1].tile_level
                parent = cells[job.first - 1, cell.tile >> above]
            steps.append(replace(step, parent=parent))
    chunks = [replace(chunk, gain=gain) for chunk, gain in in_best_order(steps)]
    if transform is None:
        return Order(chunks, b"")
    first = next(n for n, chunk in enumerate(chunks) if chunk.kind is ChunkKind.SH)
    basis = basis_chunk(transform, chunks[first].gain)
    row = StoredChunk(
        ChunkKind.BASIS, 0, 0, 0, basis.gain, basis.raw_bytes, basis.packed_bytes, basis.hash, -1, 0
    )
    chunks.insert(first, row)
    return Order(chunks, basis.packed)


class SceneBoxes:
    """The boxes of the tiles of all levels, from the boxes of the blocks."""

    def __init__(self, blocks: Sequence[TileBoxes], level: int) -> None:
        self._blocks = blocks
        self._level = level
        boxes = [block.box(0, 0) for block in blocks]
        self._above = {level: boxes}
        for coarser in range(level - 1, -1, -1):
            below = self._above[coarser + 1]
            self._above[coarser] = [
                _around(below[number], below[number + 1]) for number in range(0, len(below), 2)
            ]

    def box(self, level: int, tile: int) -> Box:
        """The box of a tile; EMPTY_BOX if it has no Gaussian."""
        if level <= self._level:
            return self._above[level][tile]
        shift = level - self._level
        return self._blocks[tile >> shift].box(shift, tile & ((1 << shift) - 1))


def _around(one: Box, other: Box) -> Box:
    full = [box for box in (one, other) if box != EMPTY_BOX]
    if len(full) < 2:
        return full[0] if full else EMPTY_BOX
    low = np.clip(np.minimum(one.low, other.low), -MAX_MAGNITUDE, MAX_MAGNITUDE).tolist()
    high = np.clip(np.maximum(one.high, other.high), -MAX_MAGNITUDE, MAX_MAGNITUDE).tolist()
    return Box(tuple(low), tuple(high))


def write_file(
    out: Place, job: Job, index: PackedIndex, order: Order, poster: bytes
) -> tuple[int, bytes]:
    """Write the file, and return its length and its scene hash. Raises OSError, StoreError."""
    with Payloads(job, order) as payloads:
        read = payloads.read
        return write_pieces(
            out, file_pieces(index, poster, lambda number: read(order.chunks[number]))
        )


class Payloads:
    """Reads chunks from the files of their blocks, each copied once from a store.

    Few files are open at a time.
    """

    def __init__(self, job: Job, order: Order) -> None:
        self._job = job
        self._basis = order.basis
        self._files: dict[int, int] = {}
        self._paths: dict[int, Path] = {}
        self._copies = ExitStack()

    def __enter__(self) -> Payloads:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        self._copies.close()

    def read(self, chunk: StoredChunk) -> bytes:
        """The packed bytes of a chunk. Raises OSError if the file has changed."""
        if chunk.source < 0:
            return self._basis
        if chunk.source not in self._files:
            if len(self._files) >= _OPEN_FILES:
                os.close(self._files.pop(next(iter(self._files))))
            if chunk.source not in self._paths:
                copied = local_copy(self._job.payload_path(chunk.source))
                self._paths[chunk.source] = self._copies.enter_context(copied)
            self._files[chunk.source] = os.open(self._paths[chunk.source], os.O_RDONLY)
        data = os.pread(self._files[chunk.source], chunk.packed_bytes, chunk.start)
        if content_hash(data) != chunk.hash:
            raise OSError(f"{self._job.payload_path(chunk.source)} has changed; encode again")
        return data
