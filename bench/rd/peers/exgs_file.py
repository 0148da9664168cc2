"""Files of exgs, cut at each budget: with proxies, and pruned without proxies as in ExGS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.common.encoded import encoded
from bench.common.scenes import BenchScene
from bench.rd.peers.point import Point
from exgs.codec.decoding.decode import decode
from exgs.codec.encoding.encode import EncodeOptions
from exgs.codec.errors import TruncatedError
from exgs.scene.gaussians import Gaussians


def exgs_prefixes(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """One point for each budget that the file reaches, and the whole file."""
    yield from _prefixes(scene, budgets, cache, EncodeOptions())


def low_prefixes(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The same at `--quality low`."""
    yield from _prefixes(scene, budgets, cache, EncodeOptions(quality="low"))


def high_prefixes(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The same at `--quality high`."""
    yield from _prefixes(scene, budgets, cache, EncodeOptions(quality="high"))


def told_prefixes(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The same as `exgs_prefixes`, with `--cameras` that are similar to the held-out views."""
    if scene.orbits is not None:
        yield from _prefixes(scene, budgets, cache, EncodeOptions(cameras=scene.orbits))


def pruned_prefixes(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The same without proxies: the best Gaussians, with a share in every region."""
    yield from _prefixes(scene, budgets, cache, EncodeOptions(proxies=False))


def _prefixes(
    scene: BenchScene, budgets: Sequence[int], cache: Path, options: EncodeOptions
) -> Iterator[Point]:
    options = replace(options, cameras=options.cameras or scene.cameras)
    path = encoded(scene.path.stem, scene.gaussians, options, cache)
    whole = path.stat().st_size
    for size in sorted({budget for budget in budgets if budget < whole} | {whole}):
        yield Point(size, "prefix" if size < whole else "whole file", partial(_decode, path, size))


def _decode(path: Path, size: int) -> Gaussians:
    try:
        return decode(path, max_bytes=size).gaussians
    except TruncatedError:  # the index does not fit: nothing is drawn
        return Gaussians.empty()
