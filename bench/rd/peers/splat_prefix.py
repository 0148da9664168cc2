"""A .splat file, sorted by volume times opacity (largest first), cut at any row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.common.scenes import BenchScene
from bench.rd.peers.point import Point
from exgs.scene.formats.splat import ROW, read_splat, write_splat


def splat_prefixes(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """One point for each budget that the file reaches, and the whole file."""
    path = cache / f"{scene.name}.splat"
    write_splat(path, scene.gaussians)
    whole = len(scene.gaussians)
    full = read_splat(path).gaussians
    for rows in sorted({min(budget // ROW.itemsize, whole) for budget in budgets} | {whole}):
        note = "prefix" if rows < whole else "whole file"
        yield Point(rows * ROW.itemsize, note, partial(full.select, slice(0, rows)))
