"""The interface of sources: a scene's facts, the number of its rows, and rows by range."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene


class GaussianSource(Protocol):
    """A scene that is read by ranges of rows.

    Rows that can't be drawn are left out of what `rows` returns, and values are repaired, as the
    reader of the format does.
    """

    name: str
    count: int  # rows, including those that `rows` leaves out
    facts: Scene  # no Gaussians; SH degree, origin, mode and CRS
    at_once: int  # ranges that may be read at the same time, by threads

    def rows(self, start: int, stop: int) -> Gaussians:
        """The Gaussians of the rows from `start` to `stop`, relative to the origin of `facts`.

        Needs memory for these rows and a constant amount. Ascending ranges are the fastest. Raises
        SceneError, OSError.
        """
        ...

    def finish(self) -> None:
        """Warn with a SceneWarning about the repaired rows so far, if there are any."""
        ...


class MemorySource:
    """A scene in memory as a source."""

    at_once = 1

    def __init__(self, name: str, scene: Scene) -> None:
        self.name = name
        self.count = len(scene)
        self.facts = empty_scene(scene)
        self._gaussians = scene.gaussians

    def rows(self, start: int, stop: int) -> Gaussians:
        """See GaussianSource."""
        return self._gaussians.select(slice(start, stop))

    def finish(self) -> None:
        """See GaussianSource."""


def empty_scene(scene: Scene) -> Scene:
    """`scene` without its Gaussians."""
    empty = Gaussians.empty(scene.gaussians.sh_degree)
    return Scene(empty, scene.antialiased, scene.origin, scene.crs)


def sample(source: GaussianSource, count: int, ranges: int = 4096) -> tuple[Gaussians, float]:
    """The Gaussians of about `count` rows, from ranges that are spread evenly over the source.

    Also returns about how many Gaussians the whole source gives.
    """
    if source.count <= count:
        whole = source.rows(0, source.count)
        return whole, float(len(whole))
    length = max(count // ranges, 1)
    starts = np.linspace(0, source.count - length, ranges).astype(np.int64)
    with ThreadPoolExecutor(source.at_once) as pool:
        parts = list(pool.map(lambda start: source.rows(start, start + length), starts.tolist()))
    chosen = Gaussians.concatenate(parts)
    return chosen, len(chosen) / (length * ranges) * source.count
