"""PlayCanvas' streamed SOG, as published by its authors: complete levels of detail.

'Level' counts only the bytes of the folders of one level, as if a client knew which one it needs.
'Cumulative' also counts lod-meta.json and all coarser levels, as for a client that refines the
picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.common.scenes import BenchScene
from bench.rd.peers.point import Point
from exgs.scene.formats.sog_lod import read_sog_level, sog_level_folders, sog_levels
from exgs.scene.gaussians import Gaussians


def sog_levels_alone(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """One point per level, coarsest first; none if there is no streamed SOG."""
    if scene.streamed_sog is None:
        return
    for level in reversed(range(sog_levels(scene.streamed_sog))):
        folders = sog_level_folders(scene.streamed_sog, level)
        size = sum(_folder_bytes(folder) for folder in folders)
        yield Point(size, f"level {level}", partial(_level, scene.streamed_sog, level))


def sog_cumulative(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """One point per level: its bytes and those of all levels before it."""
    if scene.streamed_sog is None:
        return
    total = scene.streamed_sog.stat().st_size
    for point in sog_levels_alone(scene, budgets, cache):
        total += point.bytes
        yield Point(total, f"up to {point.note}", point.load)


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _level(path: Path, level: int) -> Gaussians:
    return read_sog_level(path, level).gaussians
