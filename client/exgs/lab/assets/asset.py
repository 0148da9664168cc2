"""A scene in some format as items, with their sizes, dependencies and effect on the picture.

An item is the smallest piece that changes the picture: a unit of an .exgs file, a block of rows of
a .splat, a folder of a streamed SOG, a whole .spz. Policies choose items by arrays of their
properties. `tiles` divide the scene for the fast quality model: each item moves the progress of
some tiles.
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
    """The Gaussians to draw for the items that have arrived."""

    def add(self, item: int) -> None:
        """Add an item. The items that it needs have been added before."""
        ...

    def gaussians(self) -> Gaussians:
        """All Gaussians to draw."""
        ...


class DrawingSource(Protocol):
    """Opens drawings of one scene in one format."""

    antialiased: bool

    def open(self) -> Drawing:
        """A drawing without items."""
        ...

    def owners(self) -> tuple[Gaussians, Longs]:
        """The whole scene, and the tile of each Gaussian, for the fast quality model."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Asset:
    """The I items of a scene in a format, numbered in the order of its files.

    `progress_of` [I, T] is the progress of each tile due to an item. The progress of a tile is
    the sum over its items, or with `is_level` the maximum, since a finer level replaces coarser
    ones.
    """

    name: str
    key: str  # hash of the contents of the files
    item_bytes: Longs  # [I]
    low: Doubles  # [I, 3] box of the Gaussians that the item changes
    high: Doubles  # [I, 3]
    share: Doubles  # [I] factor on the coverage of the box, usually 1
    gain: Doubles  # [I] reduction of squared error according to the file; bytes if it states none
    layer: Longs  # [I] 0 for the coarsest
    needs: Longs  # [I] the item that it needs first; -1: none
    is_setup: npt.NDArray[np.bool_]  # [I] not visible itself, but needed by other items
    # [I] the setup item that must be sent before it, regardless of ranks; -1: none.
    calls_for: Longs
    lead: Longs  # [I] the index page that must be sent before it; -1: none
    lead_bytes: Longs  # [P] sizes of the index pages
    requests: Longs  # [I] HTTP requests of a range client for it; 0: part of the request before
    head_bytes: int  # bytes before the first item
    progress_of: npt.NDArray[np.float32]  # [I, T]
    is_level: bool
    source: DrawingSource
    unlocks: tuple[tuple[int, ...], ...] = field(default=())  # [I] the items that need this one
    # Computes the weights of the items in a view; None: by the coverage of their boxes.
    weigh: Callable[[Camera], BoxWeights] | None = None

    def __len__(self) -> int:
        return len(self.item_bytes)

    def weights(self, camera: Camera) -> BoxWeights:
        """The weights of the items in a view."""
        return self.weigh(camera) if self.weigh else box_weights(self.low, self.high, camera)

    @property
    def tile_count(self) -> int:
        """The number of tiles of the fast quality model."""
        return int(self.progress_of.shape[1])

    def progress(self, items: Longs | npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """The progress [T] of the tiles with these items."""
        rows = self.progress_of[items]
        if not len(rows):
            return np.zeros(self.tile_count, np.float32)
        made: npt.NDArray[np.float32] = rows.max(axis=0) if self.is_level else rows.sum(axis=0)
        return made


def unlocks_of(needs: Longs) -> tuple[tuple[int, ...], ...]:
    """For each item, the items that need it."""
    found: list[list[int]] = [[] for _ in needs]
    for item, needed in enumerate(needs.tolist()):
        if needed >= 0:
            found[needed].append(item)
    return tuple(map(tuple, found))
