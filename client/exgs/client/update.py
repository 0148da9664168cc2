"""Updates of a received scene: the changes, and the progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from exgs.codec.decoding.drawing import DrawnPart, DrawnScene, Part
from exgs.codec.format.facts import SceneFacts
from exgs.scene.gaussians import Gaussians


class Drawing(Protocol):
    """Access to the content of an update, until the next update is taken."""

    def drawn(self, serial: int) -> DrawnScene:
        """All drawn Gaussians, in reused arrays. Raises RuntimeError for an outdated update."""
        ...

    def part(self, serial: int, part: Part) -> DrawnPart:
        """One drawn part. Raises KeyError, and RuntimeError for an outdated update."""
        ...

    def parts(self, serial: int) -> frozenset[Part]:
        """All drawn parts. Raises RuntimeError for an outdated update."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """The changes since the previous update, and the current state.

    A part is the leaves or the proxies of one cell. A renderer that keeps parts reads the listed
    parts with `part_gaussians`; a renderer that draws everything uses `gaussians`. Both refer to
    the current scene: read what you need before you take the next update.
    """

    facts: SceneFacts
    received_bytes: int  # over the network, including the overhead of the protocol
    file_bytes: int
    layer: int  # highest complete layer; -1 before the first
    is_ready: bool  # everything in the newest view has arrived
    is_complete: bool  # the whole file has arrived
    reconnections: int  # so far
    trouble: str | None  # why there is no connection, and the time of the next attempt
    poster: bytes | None = (
        None  # a small picture of the home view (JPEG, WebP), once it has arrived
    )
    added: frozenset[Part] = frozenset()
    replaced: frozenset[Part] = frozenset()  # other rows are drawn, or with another amplification
    refined: frozenset[Part] = frozenset()  # the same Gaussians with better values
    dropped: frozenset[Part] = frozenset()  # not drawn any more
    _drawing: Drawing = field(kw_only=True, repr=False)
    _serial: int = field(kw_only=True, repr=False)

    @property
    def has_changes(self) -> bool:
        """Whether the drawn Gaussians have changed."""
        return bool(self.added or self.replaced or self.refined or self.dropped)

    @property
    def gaussians(self) -> Gaussians:
        """All Gaussians to draw. The next update writes to the same arrays.

        Raises RuntimeError after the next update has been taken.
        """
        return self.drawn.gaussians

    @property
    def drawn(self) -> DrawnScene:
        """`gaussians` with the kind of each. The next update writes to the same arrays."""
        return self._drawing.drawn(self._serial)

    def snapshot(self) -> DrawnScene:
        """A copy of `drawn`, which later updates do not change."""
        drawn = self.drawn
        of = drawn.gaussians
        columns = (of.means, of.quats, of.scales, of.opacities, of.sh0, of.shN)
        return DrawnScene(
            Gaussians(*(np.array(column) for column in columns)),
            drawn.is_proxy.copy(),
            drawn.sh_pending.copy(),
        )

    @property
    def parts(self) -> frozenset[Part]:
        """All parts that are drawn."""
        return self._drawing.parts(self._serial)

    def part_gaussians(self, part: Part) -> Gaussians:
        """A copy of the Gaussians of one part. Raises KeyError if the part is not drawn."""
        drawn = self._drawing.part(self._serial, part)
        return drawn.gaussians(self.facts.sh_degree if drawn.vectors is not None else 0)
