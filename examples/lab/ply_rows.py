"""A user-defined format: a plain .ply, drawn row by row as it arrives.

[formats]
ply = "ply_rows.py:read"
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exgs.lab.assets.asset import Asset, Longs
from exgs.lab.assets.peers import one_file_asset
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import Gaussians

BLOCKS = 20


class PlyRows:
    """The source of drawings, and a drawing of the blocks that have arrived."""

    antialiased = False

    def __init__(self, scene: Gaussians, blocks: int = 0) -> None:
        self.scene, self.blocks = scene, blocks

    def open(self) -> PlyRows:
        """A drawing without blocks."""
        return PlyRows(self.scene)

    def add(self, item: int) -> None:
        """Add a block. Blocks arrive in order."""
        self.blocks = item + 1

    def gaussians(self) -> Gaussians:
        """The rows to draw."""
        return self.scene.select(slice(0, len(self.scene) * self.blocks // BLOCKS))

    def owners(self) -> tuple[Gaussians, Longs]:
        """The whole scene, in one tile."""
        return self.scene, np.zeros(len(self.scene), np.int64)


def read(path: Path) -> Asset:
    """The scene as items, which are blocks of the file."""
    ends = np.linspace(0, path.stat().st_size, BLOCKS + 1).astype(np.int64)
    return one_file_asset(path, PlyRows(read_scene(path).gaussians), np.diff(ends))
