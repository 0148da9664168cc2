"""Divides a scene into blocks on disk: the tiles of one level, with about equal counts.

The tree is built from a sample of the positions. A second pass appends every row to the file of its
block, in the order of the source.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from exgs.codec.blocks.job import Spill, block_path, rows_of, sample_path
from exgs.codec.blocks.plan import block_level, plan_for_blocks
from exgs.codec.encoding.tiles import build_tiles
from exgs.codec.errors import SceneError
from exgs.codec.measuring.home_view import VISIBLE_OPACITY
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import Gaussians
from exgs.scene.repair import require_sound
from exgs.scene.sources.source import GaussianSource, empty_scene, sample
from exgs.scene.stores import Place
from exgs.scene.transform import rebased

_SAMPLE = 1 << 19  # positions for the cuts
_PART_ROWS = 1 << 17  # read at once
_BOUNDS = (2, 98)  # percentiles that bound most of a block


def spill_scene(
    source: GaussianSource,
    block_count: int,
    folder: Place,
    progress: Callable[[float], None] = lambda _: None,
) -> Spill:
    """Divide `source` into blocks of at most about `block_count` Gaussians, in `folder`.

    It needs memory for the sample and one part, and space for temporary files if the folder is in a
    store. Gaussians that are too transparent to be drawn are left out. Raises SceneError if no
    Gaussian is left or a block is empty; OSError, StoreError.
    """
    chosen, count = sample(source, _SAMPLE)
    if not len(chosen):
        raise SceneError(f"{source.name}: the scene has no visible Gaussian")
    facts = rebased(replace(source.facts, gaussians=chosen))
    level = block_level(round(count), block_count)
    plan_for_blocks(round(count), level)  # may refuse
    tree = build_tiles(facts.gaussians.means, level)
    with atomic_write(sample_path(folder)) as kept:
        pickle.dump(_enlarged(facts.gaussians, count), kept, protocol=5)
    shift = np.array(source.facts.origin) - np.array(facts.origin)
    (folder / "blocks").mkdir(exist_ok=True)
    counts = np.zeros(tree.count, np.int64)
    low, high = np.empty((tree.count, 3)), np.empty((tree.count, 3))
    with ExitStack() as stack:
        files = [
            stack.enter_context(atomic_write(block_path(folder, n))) for n in range(tree.count)
        ]
        for start in range(0, source.count, _PART_ROWS):
            part = source.rows(start, min(start + _PART_ROWS, source.count))
            part = _prepared(part, shift, source.name)
            block = tree.locate(part.means)
            order = np.argsort(block, kind="stable")
            rows = rows_of(part.select(order))
            ends = np.cumsum(np.bincount(block, minlength=tree.count))
            for number, piece in enumerate(np.split(rows, ends[:-1])):
                if len(piece):
                    files[number].write(piece.tobytes())
                    counts[number] += len(piece)
            progress(min(start + _PART_ROWS, source.count) / source.count)
        if not counts.all():
            raise SceneError(
                f"{source.name}: {np.count_nonzero(counts == 0)} of {len(counts)} blocks are empty:"
                " choose larger blocks"
            )
        for number, file in enumerate(files):
            means = _means(file, rows.shape[1])
            low[number], high[number] = np.percentile(means, _BOUNDS, axis=0)
    source.finish()
    dropped = source.count - int(counts.sum())
    return Spill(folder, tree, tuple(counts.tolist()), low, high, empty_scene(facts), dropped)


def _means(file: BinaryIO, columns: int) -> np.ndarray:
    """The positions [N, 3] in the open file of a block."""
    file.flush()
    file.seek(0)
    return np.fromfile(file, "<f4").reshape(-1, columns)[:, :3].astype(np.float32)


def _enlarged(chosen: Gaussians, count: float) -> Gaussians:
    """The visible ones of `chosen`, sampled from `count` Gaussians, with about the area of all."""
    seen = chosen.select(chosen.opacities >= VISIBLE_OPACITY).without_sh()
    growth = np.float32(max(count / len(chosen), 1.0) ** 0.5)
    return replace(seen, scales=seen.scales * growth)


def _prepared(part: Gaussians, shift: np.ndarray, name: str) -> Gaussians:
    """The visible Gaussians of a part, relative to the origin of the file."""
    part = part.select(part.opacities >= VISIBLE_OPACITY)
    if not len(part):
        return part
    if shift.any():
        part = replace(part, means=(part.means + shift).astype(np.float32))
    return require_sound(part, name)
