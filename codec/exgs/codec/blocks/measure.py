"""The rate-quality table of a large scene, measured block by block.

Each block draws its part of each prefix, in its context, from held-out views. The context is the
same in both pictures, so that the error of each block counts once. With photographs, the table is
that of the held-out ones, of which each block measures the windows that show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exgs.codec.blocks.assemble import Order, Payloads
from exgs.codec.blocks.job import BlockCameras, Job
from exgs.codec.blocks.packing import StoredChunk
from exgs.codec.blocks.scoring import Scored, block_rasterizer
from exgs.codec.blocks.views import window
from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.format.facts import QualityPoint, SceneFacts
from exgs.codec.format.packing import PackedIndex
from exgs.codec.format.rows import ChunkRef
from exgs.codec.measuring.pictures import clipped_pictures
from exgs.codec.measuring.quality_table import (
    errors_of,
    measured_chunks,
    quality_point,
)
from exgs.codec.measuring.viewpoints import Viewpoints
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians


@dataclass(frozen=True, slots=True, eq=False)
class Prefixes:
    """The prefixes to measure, as numbers of chunks."""

    facts: SceneFacts
    counts: tuple[int, ...]  # chunks in each prefix
    body_bytes: tuple[int, ...]  # bytes of each prefix behind the root index
    basis: bytes


@dataclass(frozen=True, slots=True, eq=False)
class BlockErrors:
    """Squared error and SSIM of one block at each prefix, as the mean over all blocks needs them.

    Of photographs, what a block makes up of the mean over whole pictures, times the blocks.
    """

    error: tuple[float, ...]
    ssim: tuple[float, ...]


def choose_prefixes(
    facts: SceneFacts, index: PackedIndex, order: Order, points: int, poster_bytes: int
) -> Prefixes:
    """About `points` prefixes, with the first chunk and the last."""
    ends = _ends(index, order, poster_bytes)
    chosen = sorted(measured_chunks(ends, points))
    return Prefixes(
        facts,
        tuple(number + 1 for number in chosen),
        tuple(ends[number] for number in chosen),
        order.basis,
    )


def _ends(index: PackedIndex, order: Order, poster_bytes: int) -> list[int]:
    """The end of each chunk, from the end of the root index."""
    ends = []
    at = poster_bytes
    for pages, numbers in index.areas():
        at += sum(map(len, pages))
        for number in numbers:
            at += order.chunks[number].packed_bytes
            ends.append(at)
    return ends


def keep_prefixes(job: Job, prefixes: Prefixes, order: Order) -> None:
    """Store the chunks that the measurement of each block needs, with their places in the file."""
    shared: list[tuple[int, StoredChunk]] = []
    own: list[list[tuple[int, StoredChunk]]] = [[] for _ in range(job.blocks)]
    for place, chunk in enumerate(order.chunks):
        (own[chunk.source] if 0 <= chunk.source < job.blocks else shared).append((place, chunk))
    job.save("prefixes", 0, prefixes)
    for number, rows in enumerate(own):
        job.save("rows", number, sorted([*shared, *rows], key=lambda item: item[0]))


def measure_block(job: Job, number: int) -> None:
    """Measure the prefixes in the held-out views of a block."""
    prefixes: Prefixes = job.load("prefixes", 0)
    rows: list[tuple[int, StoredChunk]] = job.load("rows", number)
    scored: Scored = job.load("scored", number)
    scene = job.spill.block(number)
    rasterizer = block_rasterizer(job, number)
    cameras, part = _held_out(job, number, scene, scored.viewpoints)
    pixels = [camera.width * camera.height for camera in cameras]
    references = clipped_pictures(scene, cameras, rasterizer)
    builder = SceneBuilder(prefixes.facts)
    refs = [_ref(place, chunk) for place, chunk in rows]
    builder.learn(refs)
    errors, structures = [], []
    done = 0
    with Payloads(job, Order([], prefixes.basis)) as payloads:
        for count in prefixes.counts:
            while done < len(rows) and rows[done][0] < count:
                builder.add(refs[done], payloads.read(rows[done][1]), verified=True)
                done += 1
            drawn = builder.drawn().gaussians
            drawn = drawn.select(job.spill.tree.locate(drawn.means) == number)
            pictures = clipped_pictures(drawn, cameras, rasterizer)
            error, structure = errors_of(pictures, references, pixels) if cameras else (0.0, 1.0)
            errors.append(part * float(error))
            structures.append(1 - part * (1 - float(structure)))
    job.save("measured", number, BlockErrors(tuple(errors), tuple(structures)))


def _held_out(
    job: Job, number: int, scene: Gaussians, viewpoints: Viewpoints
) -> tuple[Sequence[Camera], float]:
    """The held-out views of a block, and the factor on what they differ by; see `BlockErrors`."""
    if not job.overviews.photographs:
        return viewpoints.held_out, 1.0
    seen: BlockCameras = job.load("cameras", number)
    windows = [window(camera, scene) for camera in seen.held_out]
    pixels = sum(camera.width * camera.height for camera in windows)
    return windows, job.blocks * pixels / seen.held_out_pixels


def quality_of(prefixes: Prefixes, blocks: Sequence[BlockErrors]) -> list[QualityPoint]:
    """The table: PSNR of the mean squared error over all blocks, and their mean SSIM."""
    errors = np.mean([block.error for block in blocks], axis=0)
    structures = np.mean([block.ssim for block in blocks], axis=0)
    return [
        quality_point(end, error, structure)
        for end, error, structure in zip(prefixes.body_bytes, errors, structures, strict=True)
    ]


def _ref(place: int, chunk: StoredChunk) -> ChunkRef:
    return ChunkRef(
        place,
        chunk.kind,
        chunk.layer,
        chunk.tile,
        chunk.count,
        chunk.raw_bytes,
        chunk.packed_bytes,
        chunk.gain,
        chunk.hash,
        place,
    )
