"""Packed chunks of a block on disk: payloads in one file, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exgs.codec.blocks.job import Job
from exgs.codec.constants import ChunkKind
from exgs.codec.encoding.gains import Jobs
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


@dataclass(frozen=True, slots=True)
class Step:
    """Chunks that are sent together."""

    gain: float
    cost: int  # bytes
    parent: int | None  # step of the same block; None for a cell of its first layer
    chunks: tuple[StoredChunk, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """All chunks of a block, or of the coarse layers."""

    steps: list[Step]
    leaves: list[int]  # of each layer from the first of the block
    proxies: list[int]


def store(
    job: Job,
    number: int,
    found: Jobs,
    *,
    layer: int,
    levels: Sequence[int],
    block: int = 0,
    gain_factor: float = 1.0,
) -> list[Step]:
    """Write the chunks of `found` to the work folder.

    The number of the first layer becomes `layer`, tiles become those of the whole scene: `levels`
    are the tile levels of the layers within the block, and `block` is the number of its tile.
    """
    path = job.payload_path(number)
    path.parent.mkdir(exist_ok=True)
    steps = []
    start = 0
    with atomic_write(path) as file:
        for entry, parcel in zip(found.jobs, found.chunks, strict=True):
            chunks = []
            for chunk in parcel:
                file.write(chunk.packed)
                tile = (block << levels[chunk.layer]) + chunk.tile
                chunks.append(_stored(chunk, layer, tile, number, start))
                start += chunk.packed_bytes
            steps.append(
                Step(entry.gain * gain_factor, int(entry.cost), entry.parent, tuple(chunks))
            )
    return steps


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
