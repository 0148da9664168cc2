"""The uncompressed scene, the reference of all measurements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.common.scenes import BenchScene
from bench.rd.peers.point import Point


def source_ply(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The whole PLY."""
    yield Point(scene.path.stat().st_size, "whole file", lambda: scene.gaussians)
