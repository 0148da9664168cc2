"""Packed chunks in memory, to decode dropped cells again without fetching them.

A packed chunk takes a small part of the memory of its decoded Gaussians. So the shelf holds several
times what is decoded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class Shelf:
    """At most `budget_bytes` of packed chunks. The least recently used ones go first."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._packed: OrderedDict[int, bytes] = OrderedDict()
        self._used_bytes = 0

    def put(self, chunk: int, packed: bytes, *, is_in_use: Callable[[int], bool]) -> None:
        """Keep a chunk. Chunks in use stay longest, since they may be dropped later."""
        self._used_bytes += len(packed) - len(self._packed.get(chunk, b""))
        self._packed[chunk] = packed
        for _ in range(len(self._packed)):
            if self._used_bytes <= self._budget_bytes:
                return
            oldest, data = self._packed.popitem(last=False)
            if is_in_use(oldest):
                self._packed[oldest] = data
            else:
                self._used_bytes -= len(data)
        self._packed.clear()  # those in use alone are too many
        self._used_bytes = 0

    def get(self, chunk: int) -> bytes | None:
        """The packed bytes of a chunk; None if it is not here."""
        if chunk in self._packed:
            self._packed.move_to_end(chunk)
        return self._packed.get(chunk)
