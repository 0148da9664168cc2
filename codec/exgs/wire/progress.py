"""The parts that have been sent to one client, and the open units: a few bits per chunk."""

from __future__ import annotations

from collections.abc import Container, Iterable

import numpy as np
import numpy.typing as npt

from exgs.wire.bits import Bits
from exgs.wire.parts import HaveSet, is_page, page_part, part_name
from exgs.wire.plan import PartPlan


class Progress:
    """The bytes of each part that have been sent, and the units that are open.

    A unit is open if it is not complete and all units that it needs are.
    """

    def __init__(self, plan: PartPlan, have: HaveSet | None = None) -> None:
        self.plan = plan
        self.missing_bytes = plan.head.root.file_bytes - plan.head.header.poster_end
        self.begun: dict[int, int] = {}  # part -> bytes that have been sent, if not all
        self.sent_of_unit: dict[int, int] = {}  # unit -> bytes, of units that are partly sent
        self.open_units = Bits(plan.chunk_count)
        self.whole_pages: set[int] = set()
        self._whole_chunks = Bits(plan.chunk_count)
        if have is not None:
            for chunk in have.chunks:
                self.mark(chunk, plan.length(chunk))
            for page in have.pages:
                self.mark(page_part(page), plan.length(page_part(page)))
            for part, offset in have.partial.items():
                self.mark(part, offset)
        self.open(plan.roots)

    def is_whole(self, part: int) -> bool:
        """Whether all bytes of a part have been sent."""
        return part in self.whole_pages if is_page(part) else part in self._whole_chunks

    def sent_bytes(self, part: int) -> int:
        """How many bytes of a part have been sent."""
        return self.plan.length(part) if self.is_whole(part) else self.begun.get(part, 0)

    def mark(self, part: int, sent_bytes: int) -> int:
        """Set how many bytes of a part have been sent. Returns the increase."""
        length = self.plan.length(part)
        if not 0 <= sent_bytes <= length:
            raise ValueError(f"{part_name(part)} has {length} bytes, not {sent_bytes}")
        change = sent_bytes - self.sent_bytes(part)
        self.missing_bytes -= change
        self.begun.pop(part, None)
        is_whole = sent_bytes == length
        if sent_bytes and not is_whole:
            self.begun[part] = sent_bytes
        if is_page(part):
            (self.whole_pages.add if is_whole else self.whole_pages.discard)(part)
            return change
        (self._whole_chunks.add if is_whole else self._whole_chunks.discard)(part)
        if self.plan.knows(part):
            self.count(self.plan.unit(part))
        return change

    def count(self, unit: int) -> None:
        """Compute how many bytes of a unit have been sent."""
        chunks = self.plan.chunks(unit)
        sent = sum(map(self.sent_bytes, chunks))
        if sent and not all(chunk in self._whole_chunks for chunk in chunks):
            self.sent_of_unit[unit] = sent
        else:
            self.sent_of_unit.pop(unit, None)

    def whole_flags(self) -> npt.NDArray[np.uint8]:
        """For each chunk [chunk_count]: 1 if it has been sent completely, else 0."""
        return self._whole_chunks.flags()

    def missing_by_unit(self) -> npt.NDArray[np.int64]:
        """The bytes of each unit that have not been sent."""
        return self.plan.missing_by_unit(self.whole_flags(), self.begun)

    def is_done(self, unit: int) -> bool:
        """Whether all known chunks of a unit have been sent."""
        return all(chunk in self._whole_chunks for chunk in self.plan.chunks(unit))

    def first_missing(self, unit: int, cancelled: Container[int]) -> int | None:
        """The chunk of a unit to send next: a partly sent one, else the first missing one.

        None if nothing is missing, or if a missing chunk is cancelled.
        """
        missing = [c for c in self.plan.chunks(unit) if c not in self._whole_chunks]
        if not missing or any(chunk in cancelled for chunk in missing):
            return None
        return next((chunk for chunk in missing if chunk in self.begun), missing[0])

    def needs_are_met(self, unit: int) -> bool:
        """Whether all units that this one needs, directly or indirectly, are complete."""
        while (needed := self.plan.needs(unit)) is not None:
            if needed < 0 or not self.is_done(needed):
                return False
            unit = needed
        return True

    def open(self, units: Iterable[int]) -> list[int]:
        """Open these units, and the units that complete ones among them unlock.

        Returns the opened units.
        """
        pending, opened = list(units), []
        while pending:
            unit = pending.pop()
            if self.is_done(unit):
                pending += self.plan.unlocks(unit)
            elif unit not in self.open_units:
                self.open_units.add(unit)
                opened.append(unit)
        return opened

    def close(self, units: Iterable[int]) -> None:
        """Close these units and all units that need them."""
        pending = list(units)
        while pending:
            unit = pending.pop()
            if unit in self.open_units:
                self.open_units.discard(unit)
            elif self.is_done(unit):
                pending += self.plan.unlocks(unit)
