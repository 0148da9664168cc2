"""Reads the rows of one chunk table from its columns.

Whole columns are checked at once. Only where a check fails, rows are checked one by one, to find
the first fault and say what it is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import (
    MAX_CHUNK_COUNT,
    MAX_CHUNK_RAW_BYTES,
    MAX_CHUNKS,
    MAX_FILE_BYTES,
    ChunkKind,
)
from exgs.codec.errors import FormatError, LimitError, UnsupportedError
from exgs.codec.format.chunk_rows import ChunkRows
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.fields import Fields
from exgs.codec.format.rows import Region
from exgs.codec.format.unpacked_size import are_allowed, unpacked_size

CHUNK_COLUMNS = {
    "kind": "<u1",
    "layer": "<u1",
    "tile": "<u2",
    "count": "<u4",
    "raw": "<u4",
    "packed": "<u4",
    "gain": "<f4",
    "gap": "<u8",
}
_KINDS = frozenset(ChunkKind)
_IS_KIND = np.array([kind in _KINDS or kind > ChunkKind.EXTRA for kind in range(256)])

Columns = dict[str, npt.NDArray[Any]]


def read_rows(
    fields: Fields,
    facts: SceneFacts,
    region: Region,
    first_id: int,
    position: int,
    area_end: int | None,
) -> ChunkRows:
    """Read the rows of one table whose chunks start at `position`.

    The chunks end at `area_end` at the latest. If it is None, they must have no gaps.
    """
    columns = fields.arrays(CHUNK_COLUMNS, MAX_CHUNKS)
    hashes = fields.joined_hashes(len(columns["kind"]))
    if not _are_sound(columns, facts, region, position, area_end):
        _find_fault(fields, columns, facts, region, first_id, position, area_end)
    kind = np.minimum(columns["kind"], ChunkKind.EXTRA)
    geometry = np.flatnonzero((kind == ChunkKind.LEAF) | (kind == ChunkKind.PROXY))
    cells = columns["layer"][geometry].astype(np.int64) << 16 | columns["tile"][geometry]
    _, firsts = np.unique(cells, return_index=True)
    low, high = fields.corners("low", "high", len(firsts))
    return ChunkRows(
        first_id=first_id,
        kind=kind,
        layer=columns["layer"],
        tile=columns["tile"],
        counts=columns["count"],
        raw_bytes=columns["raw"],
        packed_bytes=columns["packed"],
        gain=columns["gain"],
        offset=position + _distances(columns),
        hashes=hashes,
        boxed=geometry[np.sort(firsts)],
        low=low,
        high=high,
    )


def _distances(columns: Columns) -> npt.NDArray[np.int64]:
    """From the start of the first chunk's gap to each chunk."""
    packed = columns["packed"].astype(np.int64)
    distances: npt.NDArray[np.int64] = np.cumsum(columns["gap"].astype(np.int64) + packed) - packed
    return distances


def _are_sound(
    columns: Columns, facts: SceneFacts, region: Region, position: int, area_end: int | None
) -> bool:
    """Whether `_find_fault` would find none."""
    kind, layer, gap = columns["kind"], columns["layer"], columns["gap"]
    if not len(kind):
        return True
    if not _IS_KIND[kind].all() or layer.max() >= len(facts.layers):
        return False
    level = np.array([x.tile_level for x in facts.layers], np.int64)[layer]
    tile = columns["tile"].astype(np.int64)
    is_basis = kind == ChunkKind.BASIS
    covered = (level >= region.level) & (tile >> np.maximum(level - region.level, 0) == region.tile)
    covered[is_basis] = region.level == 0
    longest = max(int(columns["raw"].max()), int(columns["packed"].max()))
    if (tile >> level).any() or not covered.all() or longest > MAX_CHUNK_RAW_BYTES:
        return False
    if not columns["raw"].all() or not columns["packed"].all():
        return False
    if not np.isfinite(columns["gain"]).all() or columns["count"].max() > MAX_CHUNK_COUNT:
        return False
    if gap.max() > (0 if area_end is None else MAX_FILE_BYTES):
        return False
    end = position + int(_distances(columns)[-1]) + int(columns["packed"][-1])
    if area_end is not None and end > area_end:
        return False
    kinds = np.minimum(kind, ChunkKind.EXTRA)
    return bool(are_allowed(kinds, layer, columns["count"], columns["raw"], facts).all())


def _find_fault(
    fields: Fields,
    columns: Columns,
    facts: SceneFacts,
    region: Region,
    first_id: int,
    position: int,
    area_end: int | None,
) -> None:
    """Check row by row. Raises what is wrong with the first row that is not sound."""

    def limit(problem: str) -> FormatError:
        return LimitError(problem, section=fields.section, offset=fields.offset)

    rows = zip(*(columns[name].tolist() for name in CHUNK_COLUMNS), strict=True)
    for number, row in enumerate(rows, start=first_id):
        kind, layer, tile, count, raw_bytes, packed_bytes, gain, gap = row
        if not _IS_KIND[kind]:
            raise UnsupportedError(
                f"chunk {number} is of unknown kind {kind}; update exgs",
                section=fields.section,
                offset=fields.offset,
            )
        kind = ChunkKind(min(kind, ChunkKind.EXTRA))
        if layer >= len(facts.layers) or tile >= 1 << facts.layers[layer].tile_level:
            raise fields.damaged(f"chunk {number} has no valid cell ({layer}, {tile})")
        if kind is ChunkKind.BASIS:
            if region.level:
                raise fields.damaged(f"chunk {number} is a BASIS in a page of part of the scene")
        elif not region.covers(facts.layers[layer].tile_level, tile):
            raise fields.damaged(f"chunk {number} lies outside the region of its page")
        if not raw_bytes or not packed_bytes:
            raise fields.damaged(f"chunk {number} is empty")
        if not math.isfinite(gain):
            raise fields.damaged(f"chunk {number} has gain {gain}")
        if raw_bytes > MAX_CHUNK_RAW_BYTES or packed_bytes > MAX_CHUNK_RAW_BYTES:
            raise limit(f"chunk {number} has {max(raw_bytes, packed_bytes)} bytes")
        if count > MAX_CHUNK_COUNT:
            raise limit(f"chunk {number} has {count} Gaussians")
        position += gap + packed_bytes
        if gap and area_end is None:
            raise fields.damaged(f"there is a gap in front of chunk {number}")
        if area_end is not None and position > area_end:
            raise fields.damaged(f"chunk {number} ends behind its area")
        if not unpacked_size(kind, layer, facts).allows(raw_bytes, count):
            raise fields.damaged(f"chunk {number} cannot have {raw_bytes} bytes unpacked")
