"""What a receiver tells whoever shows the scene: what has changed, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from exgs.codec.decoding.drawing import DrawnPart, DrawnScene, Part
from exgs.codec.format.facts import SceneFacts
from exgs.scene.gaussians import Gaussians


class Drawing(Protocol):
    """Gives what an update refers to, until the next update is taken."""

    def drawn(self, serial: int) -> DrawnScene:
        """Everything, in arrays that are reused; raises RuntimeError for an older update."""
        ...

    def part(self, serial: int, part: Part) -> DrawnPart:
        """One part that is drawn; raises KeyError, and RuntimeError for an older update."""
        ...

    def parts(self, serial: int) -> frozenset[Part]:
        """All parts that are drawn; raises RuntimeError for an older update."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """What has changed since the update before, and how things stand.

    A part is what one cell of the scene adds of one kind: its leaves, or the proxies that stand
    for what has not come yet. A renderer that keeps parts fetches those that are named here by
    `part_gaussians`; one that draws everything takes `gaussians`. Both refer to the scene as it is
    now: take what you need before you ask for the next update.
    """

    facts: SceneFacts
    received_bytes: int  # over the network, with what frames and protocol add
    file_bytes: int
    layer: int  # highest layer that is here everywhere, -1 before the first
    is_ready: bool  # all that the newest `look` sees is here
    is_complete: bool  # every Gaussian of the file is here with all its detail
    reconnections: int  # so far
    trouble: str | None  # why there is no connection now, and when the next one is made
    added: frozenset[Part] = frozenset()
    replaced: frozenset[Part] = frozenset()  # other rows are drawn, or at another size
    refined: frozenset[Part] = frozenset()  # the same Gaussians, with better values
    dropped: frozenset[Part] = frozenset()  # not drawn any more
    _drawing: Drawing = field(kw_only=True, repr=False)
    _serial: int = field(kw_only=True, repr=False)

    @property
    def has_changes(self) -> bool:
        """Whether there is something else to draw than before."""
        return bool(self.added or self.replaced or self.refined or self.dropped)

    @property
    def gaussians(self) -> Gaussians:
        """All Gaussians to draw. The arrays are reused: the next update writes to them.

        Raises RuntimeError when the next update has been taken.
        """
        return self.drawn.gaussians

    @property
    def drawn(self) -> DrawnScene:
        """`gaussians`, with what each of them is; the same holds for its arrays."""
        return self._drawing.drawn(self._serial)

    def snapshot(self) -> DrawnScene:
        """A copy of `drawn` that stays as it is."""
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
        """All parts that are drawn now."""
        return self._drawing.parts(self._serial)

    def part_gaussians(self, part: Part) -> Gaussians:
        """A copy of what is drawn of one part; raises KeyError where nothing is."""
        drawn = self._drawing.part(self._serial, part)
        return drawn.gaussians(self.facts.sh_degree if drawn.vectors is not None else 0)
