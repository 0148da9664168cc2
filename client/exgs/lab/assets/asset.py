"""A scene in some format as items: what can be sent, what it needs first, and what it shows.

An item is the smallest thing that changes the picture: a unit of an .exgs file, a block of rows of
a .splat, a folder of a streamed SOG, a whole .spz. Policies see arrays over the items and choose.
`tiles` divide the scene for the fast quality model: each item moves the progress of some tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.wire.visibility import BoxWeights, box_weights

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


class Drawing(Protocol):
    """What is drawn of the items that have come."""

    def add(self, item: int) -> None:
        """An item has come, and so have those that it needs."""
        ...

    def gaussians(self) -> Gaussians:
        """Everything to draw now."""
        ...


class DrawingSource(Protocol):
    """Opens drawings of one scene in one format."""

    antialiased: bool

    def open(self) -> Drawing:
        """A drawing of nothing."""
        ...

    def owners(self) -> tuple[Gaussians, Longs]:
        """The whole scene, and the tile of each Gaussian, for the fast quality model."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Asset:
    """The items of a scene in a format, numbered in the order of its file or files.

    `progress_of` [I, T] says how far an item brings each tile; progress of a tile is the sum of its
    items', or with `is_level` the most of them: a finer level replaces coarser ones.
    """

    name: str
    key: str  # names the contents of the files: a hash
    item_bytes: Longs  # [I]
    low: Doubles  # [I, 3] box that the item changes
    high: Doubles  # [I, 3]
    share: Doubles  # [I] factor on the coverage of the box, 1 where there is no reason for another
    gain: Doubles  # [I] reduction of squared error that the format states; bytes where none
    layer: Longs  # [I] 0 for the coarsest
    needs: Longs  # [I] an item that has to be there first, -1: none
    is_setup: npt.NDArray[np.bool_]  # [I] shows nothing, but others call for it
    calls_for: Longs  # [I] a setup item that has to be sent before, whatever the ranks; -1: none
    lead: Longs  # [I] an index page that has to be sent before; -1: none
    lead_bytes: Longs  # [P] sizes of these pages
    requests: Longs  # [I] HTTP requests that a range client needs for it; 0: part of the one before
    head_bytes: int  # that come before any item
    progress_of: npt.NDArray[np.float32]  # [I, T]
    is_level: bool
    source: DrawingSource
    unlocks: tuple[tuple[int, ...], ...] = field(default=())  # [I] items that need this one
    weigh: Callable[[Camera], BoxWeights] | None = None  # where more is known than boxes

    def __len__(self) -> int:
        return len(self.item_bytes)

    def weights(self, camera: Camera) -> BoxWeights:
        """How much each item shows in a view."""
        return self.weigh(camera) if self.weigh else box_weights(self.low, self.high, camera)

    @property
    def tile_count(self) -> int:
        """Tiles of the fast quality model."""
        return int(self.progress_of.shape[1])

    @property
    def total_bytes(self) -> int:
        """Everything."""
        return int(self.item_bytes.sum() + self.lead_bytes.sum()) + self.head_bytes


def unlocks_of(needs: Longs) -> tuple[tuple[int, ...], ...]:
    """For each item those that need it."""
    found: list[list[int]] = [[] for _ in needs]
    for item, needed in enumerate(needs.tolist()):
        if needed >= 0:
            found[needed].append(item)
    return tuple(map(tuple, found))


def progress(asset: Asset, items: Longs) -> npt.NDArray[np.float32]:
    """Progress [T] of the tiles once these items are there."""
    if not len(items):
        return np.zeros(asset.tile_count, np.float32)
    rows = asset.progress_of[items]
    made: npt.NDArray[np.float32] = rows.max(axis=0) if asset.is_level else rows.sum(axis=0)
    return made
