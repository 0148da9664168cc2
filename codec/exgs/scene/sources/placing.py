"""Sources made of others: several joined, and one that is moved, rotated, scaled or cropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene, Vector
from exgs.scene.sources.source import GaussianSource
from exgs.scene.transform import joined, transformed

_PART_ROWS = 1 << 17


class JoinedSource:
    """Sources with common source coordinates, one after another, as `joined` merges scenes."""

    def __init__(self, sources: Sequence[GaussianSource]) -> None:
        """Raises SceneError if their rendering modes or coordinate systems differ."""
        self.name = sources[0].name
        self.count = sum(source.count for source in sources)
        self.facts = joined([source.facts for source in sources])
        self.at_once = min(source.at_once for source in sources)
        self._sources = sources

    def rows(self, start: int, stop: int) -> Gaussians:
        """See GaussianSource."""
        parts = [self.facts.gaussians]
        before = 0
        for source in self._sources:
            low, high = max(start - before, 0), min(stop - before, source.count)
            if low < high:
                parts.append(_moved(source.rows(low, high), source.facts.origin, self.facts.origin))
            before += source.count
        return Gaussians.concatenate(parts)

    def finish(self) -> None:
        """See GaussianSource."""
        for source in self._sources:
            source.finish()


class PlacedSource:
    """A source that is rotated, then scaled, then moved, then cropped to a box."""

    def __init__(
        self,
        source: GaussianSource,
        *,
        rotation: npt.NDArray[np.float64] | None = None,
        scale: float = 1.0,
        translation: Vector = (0.0, 0.0, 0.0),
        box: tuple[Vector, Vector] | None = None,
    ) -> None:
        """Raises SceneError as `transformed` does."""
        self.name = source.name
        self.count = source.count
        self.at_once = source.at_once
        self._source = source
        self._rotation, self._scale, self._translation = rotation, scale, translation
        self._box = box
        placed = self._placed(source.rows(0, min(source.count, _PART_ROWS)))
        self.facts = replace(placed, gaussians=source.facts.gaussians)

    def rows(self, start: int, stop: int) -> Gaussians:
        """See GaussianSource."""
        placed = self._placed(self._source.rows(start, stop))
        if self._box is not None:
            low, high = self._box
            means = placed.gaussians.means.astype(np.float64) + placed.origin
            inside = np.all((means >= low) & (means <= high), axis=1)
            placed = replace(placed, gaussians=placed.gaussians.select(inside))
        return _moved(placed.gaussians, placed.origin, self.facts.origin)

    def finish(self) -> None:
        """See GaussianSource."""
        self._source.finish()

    def _placed(self, part: Gaussians) -> Scene:
        return transformed(
            replace(self._source.facts, gaussians=part),
            rotation=self._rotation,
            scale=self._scale,
            translation=self._translation,
        )


def collect(source: GaussianSource, most: int) -> Scene | None:
    """All of a source in memory, or None if it has more than `most` Gaussians.

    Raises SceneError if it has none.
    """
    parts = [source.facts.gaussians]
    count = 0
    for start in range(0, source.count, _PART_ROWS):
        parts.append(source.rows(start, min(start + _PART_ROWS, source.count)))
        count += len(parts[-1])
        if count > most:
            return None
    if not count:
        raise SceneError(f"{source.name}: no Gaussian lies in the box to crop to")
    source.finish()
    return replace(source.facts, gaussians=Gaussians.concatenate(parts))


def _moved(part: Gaussians, origin: Vector, to: Vector) -> Gaussians:
    """`part`, relative to another origin."""
    shift = np.array(origin) - np.array(to)
    if not shift.any():
        return part
    return replace(part, means=(part.means + shift).astype(np.float32))
