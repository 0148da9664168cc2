"""Makes the sketch of a file from the chunks of its layer 0 (spec/protocol.md, section 10.1)."""

from __future__ import annotations

import logging

import numpy as np

from exgs.codec.constants import ChunkKind
from exgs.codec.errors import FormatError
from exgs.codec.format.container import FileHead, ReadRange, unpack_chunk
from exgs.codec.format.frame import Buffer
from exgs.codec.format.rows import ChunkRef
from exgs.codec.payload.geometry import unpack_columns
from exgs.wire.sketch import Sketch

MOST_POINTS = 4096  # larger layers 0 have no sketch

_RADIUS = 1.5  # relative to the geometric mean of the two longest scales

_log = logging.getLogger(__name__)


def read_sketch(head: FileHead, read: ReadRange) -> Sketch | None:
    """The sketch of a whole file; None if it has none, or if layer 0 is damaged."""
    layer = LayerZero(head)
    sketch = None
    for row in layer.rows:
        sketch = layer.add(row.id, read(row.offset, row.packed_bytes))
    return sketch


class LayerZero:
    """Collects the chunks of layer 0 until all of them have arrived."""

    def __init__(self, head: FileHead) -> None:
        self._facts = head.root.facts
        self._payloads: dict[int, bytes] = {}
        self.rows: tuple[ChunkRef, ...] = ()  # to collect; empty if there is no sketch
        geometry = (ChunkKind.LEAF, ChunkKind.PROXY)
        rows = [row for row in head.root.chunks if row.layer == 0 and row.kind in geometry]
        layer = self._facts.layers[0]
        count = sum(row.count for row in rows)
        if count == layer.leaf_count + layer.proxy_count and 0 < count <= MOST_POINTS:
            self.rows = tuple(rows)
        self._wanted = {row.id for row in self.rows}

    def add(self, chunk: int, packed: Buffer) -> Sketch | None:
        """Add a chunk.

        Returns the sketch if this was the last chunk of layer 0 and none is damaged.
        """
        if chunk not in self._wanted:
            return None
        self._wanted.remove(chunk)
        self._payloads[chunk] = bytes(packed)
        if self._wanted:
            return None
        try:
            return self._sketch()
        # Reported by the decoder; the coverage of boxes is used instead.
        except FormatError as error:
            _log.warning("layer 0 cannot be drawn", extra={"error": str(error)})
            return None

    def _sketch(self) -> Sketch:
        parts = []
        for row in self.rows:
            payload = unpack_chunk(row, self._payloads.pop(row.id))
            children = self._facts.child_count(0)
            parts.append(
                unpack_columns(payload, count=row.count, child_count=children, section=row.section)[
                    0
                ]
            )
        scales = np.sort(np.concatenate([part.scales for part in parts]).astype(np.float64), axis=1)
        return Sketch(
            np.concatenate([part.means for part in parts]).astype(np.float64),
            _RADIUS * np.sqrt(scales[:, 2] * scales[:, 1]),
            np.concatenate([part.opacities for part in parts]).astype(np.float64),
        )
