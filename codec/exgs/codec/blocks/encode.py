"""Encodes a scene of any size as one progressive file, block by block.

Steps: divide the scene into blocks on disk, outline and score the blocks, encode the coarse layers,
encode the blocks, order all chunks, measure prefixes, write. It needs memory for a block per
worker, and for the summaries of all blocks.
"""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from exgs.codec.blocks.assemble import SceneBoxes, order_chunks, write_file
from exgs.codec.blocks.coarse import encode_coarse
from exgs.codec.blocks.effort import (
    block_effort,
    camera_counts,
    drawn_count,
    fitted_overview_count,
    overview_count,
)
from exgs.codec.blocks.job import BlockCameras, Job, Spill, remove_tree
from exgs.codec.blocks.measure import choose_prefixes, keep_prefixes, quality_of
from exgs.codec.blocks.packing import Packed
from exgs.codec.blocks.photographs import share_cameras
from exgs.codec.blocks.plan import layer_shares, plan_for_blocks
from exgs.codec.blocks.scoring import Found
from exgs.codec.blocks.spill import spill_scene
from exgs.codec.blocks.views import overviews
from exgs.codec.blocks.workers import RESULTS, Runner, runner
from exgs.codec.constants import MAX_BASES
from exgs.codec.encoding.encode import EncodeOptions, EncodeReport, check_request, scene_facts
from exgs.codec.encoding.first_picture import poster_room
from exgs.codec.encoding.klt import ShTransform, transform_of_moments
from exgs.codec.encoding.layer_plan import region_level
from exgs.codec.encoding.poster import draw_poster, pack_poster, with_poster
from exgs.codec.encoding.stages import Progress, Stages
from exgs.codec.errors import SceneError
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.packing import pack_index
from exgs.codec.measuring.home_view import Home, find_home, find_up
from exgs.codec.measuring.pictures import evenly_spaced
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import Gaussians
from exgs.scene.sources.source import GaussianSource
from exgs.scene.stores import AnyPath, Place, StorePath, place

LARGE_COUNT = 2_000_000  # Gaussians; by default, larger scenes are encoded by blocks
BLOCK_COUNT = 600_000  # approximate maximum of Gaussians per block

_SPILL = "spill.pkl"
_LAYOUT = 6  # version of the files in the work folder


@dataclass(frozen=True, slots=True)
class BlockOptions:
    """The division of the work.

    Only `block_count`, the maximum number of Gaussians per block, changes the bytes of the file.
    `workers` is the number of processes on this machine; `dask` is the address of a cluster
    instead, whose workers must see `work` under the same path, or the same store. `work` is the
    folder for intermediate files, by default a folder beside the output; if that is in a store and
    no cluster is used, in the current folder. It is deleted at the end, unless the encoder fails.
    With `resume`, its files for the same scene and options are used again.
    """

    block_count: int = BLOCK_COUNT
    workers: int = 1
    dask: str | None = None
    work: AnyPath | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.block_count < 1 or self.workers < 1:
            raise ValueError("blocks of 1 Gaussian or more, and 1 worker or more, are needed")


def encode_by_blocks(
    source: GaussianSource,
    out_path: AnyPath,
    options: EncodeOptions | None = None,
    blocks: BlockOptions | None = None,
    progress: Progress | None = None,
    *,
    identity: str = "",
) -> EncodeReport:
    """Write the scene of `source` to `out_path`; an old file stays until it is done.

    The same scene, options and block size give the same bytes, whatever the workers. `identity`
    names the content of the source, for `resume`; without it nothing is taken over. Raises as
    `encode` does; SceneError for a scene that is too small to be cut; WorkerError.
    """
    options, blocks = options or EncodeOptions(), blocks or BlockOptions()
    out = place(out_path)
    _check(source, out, options)
    stages = Stages(progress or (lambda stage, share: None))
    key = _key(source, options, blocks, identity)
    with _work_folder(out, blocks, key) as folder, runner(blocks.workers, blocks.dask) as run:
        job = _spilled(source, folder, options, blocks, stages)
        job = _prepared(job, options.cameras, run, stages)
        _run(run, "score", job, stages, "scoring")
        found: list[Found] = [job.load("found", number) for number in range(job.blocks)]
        transform = _share(job, found)
        stages.enter("coarse layers")
        if not job.has("packed", job.blocks):
            job.save("packed", job.blocks, encode_coarse(job, found))
        _run(run, "encode", job, stages, "encoding blocks")
        return _finish(job, out, found, transform, run, stages)


def _finish(
    job: Job,
    out: Place,
    found: list[Found],
    transform: ShTransform | None,
    run: Runner,
    stages: Stages,
) -> EncodeReport:
    """Order, measure and write the chunks of all blocks."""
    stages.enter("ordering")
    packed: list[Packed] = [job.load("packed", number) for number in range(job.blocks)]
    coarse: Packed = job.load("packed", job.blocks)
    order = order_chunks(job, coarse, packed, transform)
    boxes = SceneBoxes([block.boxes for block in found], job.spill.level)
    summary = Gaussians.concatenate([block.summary.gaussians for block in found])
    home = _home(job, summary)
    facts = _facts(job, coarse, packed, home)
    rasterizer = default_rasterizer(antialiased=facts.antialiased)
    points = block_effort(job.options.quality).quality_points
    index = pack_index(facts, order.chunks, boxes.box, thorough=False)
    most_bytes = poster_room(len(index.root), points, order.chunks[0].packed_bytes)
    poster = pack_poster(draw_poster(summary, home.view, home.up, rasterizer), most_bytes)
    facts = with_poster(facts, poster)
    del summary, packed

    index = pack_index(facts, order.chunks, boxes.box)
    prefixes = choose_prefixes(facts, index, order, points, len(poster))
    keep_prefixes(job, prefixes, order)
    _run(run, "measure", job, stages, "measuring", again=True)
    measured = [job.load("measured", number) for number in range(job.blocks)]
    facts = replace(facts, quality=tuple(quality_of(prefixes, measured)))

    stages.enter("writing")
    index = pack_index(facts, order.chunks, boxes.box)
    file_bytes, scene_hash = write_file(out, job, index, order, poster)
    return EncodeReport(
        gaussians=job.spill.count,
        dropped=job.spill.dropped,
        file_bytes=file_bytes,
        scene_hash=scene_hash,
        layers=facts.layers,
        quality=facts.quality,
        is_up_known=home.is_up_known,
        seconds=stages.finish(),
    )


def _check(source: GaussianSource, out: Place, options: EncodeOptions) -> None:
    check_request(source.count, source.facts.crs, out, options)
    if options.final is not None:
        raise SceneError("a scene that is encoded by blocks can't be reduced: leave final out")
    if options.score not in (None, "combined", "energy"):
        raise SceneError(f"blocks can't be ordered by {options.score}")


def _key(
    source: GaussianSource, options: EncodeOptions, blocks: BlockOptions, identity: str
) -> str:
    """A hash of everything that determines the files in the work folder."""
    settings = asdict(replace(options, cameras=None))
    cameras = [
        [camera.viewmat.tolist(), camera.K.tolist(), camera.width, camera.height]
        for camera in (options.cameras.cameras if options.cameras else ())
    ]
    told = [_LAYOUT, version("exgs"), identity, source.count, settings, blocks.block_count, cameras]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@contextmanager
def _work_folder(out: Place, blocks: BlockOptions, key: str) -> Iterator[Place]:
    """The work folder. It is deleted when the work is done, or can't be done with this input."""
    folder = _place_of_work(out, blocks)
    note = folder / "key.pkl"
    if folder.exists():
        if not note.exists():
            raise FileExistsError(errno.EEXIST, "not a work folder of an encoder", str(folder))
        if not blocks.resume or note.read_bytes() != key.encode():
            remove_tree(folder)
    folder.mkdir(exist_ok=True)
    if not note.exists():
        with atomic_write(note) as file:
            file.write(key.encode())
    try:
        yield folder.resolve() if isinstance(folder, Path) else folder
    except BaseException as error:
        if isinstance(error, SceneError) or not (folder / _SPILL).exists():
            remove_tree(folder)  # there is nothing to resume
        raise
    remove_tree(folder)


def _place_of_work(out: Place, blocks: BlockOptions) -> Place:
    if blocks.work is not None:
        return place(blocks.work)
    if isinstance(out, StorePath) and blocks.dask is None:
        out = Path(out.name)  # files of the work folder are read several times
    return (out.absolute() if isinstance(out, Path) else out).with_name(f"{out.name}.work")


def _spilled(
    source: GaussianSource,
    folder: Place,
    options: EncodeOptions,
    blocks: BlockOptions,
    stages: Stages,
) -> Job:
    """The scene in blocks, and its plan."""
    stages.enter("reading")
    kept = folder / _SPILL
    if kept.exists():
        spill: Spill = replace(pickle.loads(kept.read_bytes()), folder=folder)
    else:
        spill = spill_scene(source, blocks.block_count, folder, stages.report)
        with atomic_write(kept) as file:
            pickle.dump(spill, file, protocol=5)
    plan, first = plan_for_blocks(spill.count, spill.level, proxies=options.proxies)
    regions = min(region_level(plan), MAX_BASES.bit_length() - 1)
    options = replace(options, cameras=None)  # see `_prepared`: each block gets only its own
    if options.score is None and not options.proxies:
        options = replace(options, score="energy")
    return Job(folder, spill, tuple(plan), first, regions, options)


def _prepared(job: Job, cameras: CameraSet | None, run: Runner, stages: Stages) -> Job:
    """The job with the views of the whole scene, once all blocks are outlined."""
    _run(run, "outline", job, stages, "outlining")
    sample = job.spill.sample()
    quality = job.options.quality
    drawn = drawn_count(quality)
    photographs: tuple[Camera, ...] = ()
    if cameras is not None:
        cameras = cameras.relative_to(job.spill.facts.origin)
        fit = share_cameras(job, cameras, camera_counts(quality, job.options.views))
        photographs = tuple(evenly_spaced(fit, drawn))
    else:
        for number in range(job.blocks):
            job.save("cameras", number, BlockCameras())
    up = job.options.up or find_up(sample, photographs)
    counts = overview_count(quality), fitted_overview_count(quality), drawn if job.first else 0
    return replace(job, up=up, overviews=overviews(sample, up, *counts, photographs))


def _share(job: Job, found: list[Found]) -> ShTransform | None:
    """Store the common data of all blocks: SH bases, and shares of the layers."""
    removal = sum(block.removal for block in found)
    energy = sum(block.energy for block in found)
    factors = [
        0.5 * (block.removal / max(removal, 1e-30) + block.energy / max(energy, 1e-30))
        for block in found
    ]
    shares = layer_shares(job.plan, [block.histogram for block in found], factors)
    job.save("shares", 0, shares)
    transform = None
    if job.spill.facts.gaussians.sh_degree:
        own = 1 << max(job.region_level - job.spill.level, 0)
        together = 1 << max(job.spill.level - job.region_level, 0)  # blocks with one basis
        sums = []
        for name in ("moments", "seen", "seen_energy"):
            values = np.stack([getattr(block, name) for block in found])
            flat = values.reshape(job.blocks * own, *values.shape[2:])
            sums.append(flat.reshape(-1, together, *flat.shape[1:]).sum(axis=1))
        moments, seen, weights = sums
        seen = seen / np.maximum(weights, 1e-300)[:, None, None]
        transform = transform_of_moments(moments, seen)
    job.save("transform", 0, transform)
    return transform


def _run(
    run: Runner, step: str, job: Job, stages: Stages, stage: str, *, again: bool = False
) -> None:
    """Run a step for all blocks for which it is not done."""
    stages.enter(stage)
    result = RESULTS[step]
    numbers = [n for n in range(job.blocks) if again or not job.has(result, n)]
    run.run(step, job, numbers, stages.report)


def _home(job: Job, summary: Gaussians) -> Home:
    options, known = job.options, job.spill.facts
    if options.home is None:
        cameras = job.overviews.photographs
        up = job.up if cameras else options.up
        return find_home(summary, cameras, up=up, antialiased=known.antialiased)
    return Home(options.home.relative_to(known.origin), job.up)


def _facts(job: Job, coarse: Packed, blocks: list[Packed], home: Home) -> SceneFacts:
    leaves = coarse.leaves + np.sum([block.leaves for block in blocks], axis=0).tolist()
    proxies = coarse.proxies + np.sum([block.proxies for block in blocks], axis=0).tolist()
    return scene_facts(job.spill.facts, job.plan, leaves, proxies, home, job.options)
