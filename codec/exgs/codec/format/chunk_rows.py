"""Rows of one chunk table as columns: about 50 bytes a row, where an object takes 600."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import HASH_BYTES, ChunkKind
from exgs.codec.format.rows import Box, ChunkRef

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkRows(Sequence[ChunkRef]):
    """Consecutive rows. A ChunkRef is created when a row is accessed."""

    first_id: int
    kind: Ints  # [N], values of ChunkKind
    layer: Ints
    tile: Ints
    counts: Ints
    raw_bytes: Ints
    packed_bytes: Ints
    gain: Floats
    offset: npt.NDArray[np.int64]
    hashes: bytes  # HASH_BYTES for each row
    boxed: npt.NDArray[np.int64]  # [B], rising: rows that have a box
    low: Floats  # [B, 3]
    high: Floats  # [B, 3]

    @classmethod
    def of(cls, rows: Sequence[ChunkRef]) -> Self:
        """The columns of these rows, whose ids are consecutive."""
        boxes = [row.box for row in rows if row.box is not None]
        return cls(
            first_id=rows[0].id if rows else 0,
            kind=np.array([row.kind for row in rows], np.uint8),
            layer=np.array([row.layer for row in rows], np.uint8),
            tile=np.array([row.tile for row in rows], np.uint16),
            counts=np.array([row.count for row in rows], np.uint32),
            raw_bytes=np.array([row.raw_bytes for row in rows], np.uint32),
            packed_bytes=np.array([row.packed_bytes for row in rows], np.uint32),
            gain=np.array([row.gain for row in rows], np.float64),
            offset=np.array([row.offset for row in rows], np.int64),
            hashes=b"".join(row.hash for row in rows),
            boxed=np.flatnonzero([row.box is not None for row in rows]),
            low=np.array([box.low for box in boxes], np.float64).reshape(-1, 3),
            high=np.array([box.high for box in boxes], np.float64).reshape(-1, 3),
        )

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The ids of the chunks."""
        return np.arange(self.first_id, self.first_id + len(self), dtype=np.int64)

    @property
    def is_geometry(self) -> Flags:
        """Which rows are LEAF or PROXY."""
        geometry: Flags = (self.kind == ChunkKind.LEAF) | (self.kind == ChunkKind.PROXY)
        return geometry

    @property
    def is_joined(self) -> Flags:
        """Which rows are SH that directly follow the LEAF or PROXY of their cell.

        Rows of BASIS and EXTRA between them don't count.
        """
        joined = np.zeros(len(self), bool)
        places = np.flatnonzero((self.kind != ChunkKind.BASIS) & (self.kind != ChunkKind.EXTRA))
        one, other = places[:-1], places[1:]
        joined[other] = (
            (self.kind[other] == ChunkKind.SH)
            & self.is_geometry[one]
            & (self.layer[one] == self.layer[other])
            & (self.tile[one] == self.tile[other])
        )
        return joined

    def __len__(self) -> int:
        return len(self.kind)

    @overload
    def __getitem__(self, place: int) -> ChunkRef: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[ChunkRef, ...]: ...
    def __getitem__(self, place: int | slice) -> ChunkRef | tuple[ChunkRef, ...]:
        if isinstance(place, slice):
            return tuple(self[i] for i in range(*place.indices(len(self))))
        place = range(len(self))[place]
        boxed = int(np.searchsorted(self.boxed, place))
        has_box = boxed < len(self.boxed) and self.boxed[boxed] == place
        return ChunkRef(
            id=self.first_id + place,
            kind=ChunkKind(self.kind[place]),
            layer=int(self.layer[place]),
            tile=int(self.tile[place]),
            count=int(self.counts[place]),
            raw_bytes=int(self.raw_bytes[place]),
            packed_bytes=int(self.packed_bytes[place]),
            gain=float(self.gain[place]),
            hash=self.hashes[HASH_BYTES * place : HASH_BYTES * (place + 1)],
            offset=int(self.offset[place]),
            box=Box(tuple(self.low[boxed].tolist()), tuple(self.high[boxed].tolist()))
            if has_box
            else None,
        )

    def __iter__(self) -> Iterator[ChunkRef]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]
