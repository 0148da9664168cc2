"""Packed chunks of a block on disk: payloads in one file, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exgs.codec.blocks.job import Job
from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.precedence import Step
from exgs.codec.format.container import PackedChunk
from exgs.scene.files import atomic_write


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk whose bytes are in a file of the work folder."""

    kind: ChunkKind
    layer: int
    tile: int
    count: int
    gain: float  # 0 until all chunks are in order
    raw_bytes: int
    packed_bytes: int
    hash: bytes
    source: int  # number of the block, or the number of blocks for the coarse layers
    start: int  # offset in the file of that source


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """All chunks of a block, or of the coarse layers."""

    steps: list[Step[StoredChunk]]  # a parent is a step of the same block
    leaves: list[int]  # of each layer from the first of the block
    proxies: list[int]


def store(
    job: Job,
    number: int,
    steps: Sequence[Step[PackedChunk]],
    *,
    layer: int,
    levels: Sequence[int],
    block: int = 0,
    gain_factor: float = 1.0,
) -> list[Step[StoredChunk]]:
    """Write the chunks of `steps` to the work folder.

    The number of the first layer becomes `layer`, tiles become those of the whole scene: `levels`
    are the tile levels of the layers within the block, and `block` is the number of its tile.
    """
    path = job.payload_path(number)
    path.parent.mkdir(exist_ok=True)
    written = []
    start = 0
    with atomic_write(path) as file:
        for step in steps:
            chunks = []
            for chunk in step.chunks:
                file.write(chunk.packed)
                tile = (block << levels[chunk.layer]) + chunk.tile
                chunks.append(_stored(chunk, layer, tile, number, start))
                start += chunk.packed_bytes
            written.append(Step(step.gain * gain_factor, step.parent, tuple(chunks)))
    return written


def _stored(chunk: PackedChunk, layer: int, tile: int, source: int, start: int) -> StoredChunk:
    return StoredChunk(
        chunk.kind,
        chunk.layer + layer,
        tile,
        chunk.count,
        chunk.gain,
        chunk.raw_bytes,
        chunk.packed_bytes,
        chunk.hash,
        source,
        start,
    )
