"""The first picture: header, root index, poster and first chunk have at most 20,000 bytes.

The first chunk contains the proxies of layer 0. Their number is chosen from the bytes of proxies
that are distilled for a quarter of the steps, and reduced until the chunk fits. The poster takes
what is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from exgs.codec.constants import HEADER_BYTES
from exgs.codec.encoding.layer_plan import LayerPlan, most_chunks
from exgs.codec.encoding.layered_scene import Index, LayeredScene
from exgs.codec.encoding.packed_cells import PackedCell
from exgs.codec.encoding.poster import POSTER_BYTES
from exgs.codec.encoding.remainder import ProxyEffort, ProxyFit, pack_remainder
from exgs.scene.gaussians import Gaussians

FIRST_PICTURE_BYTES = 20_000  # of scenes of up to about 30 million Gaussians

# Bytes of a packed root index, about.
_FACTS_BYTES = 300
_LAYER_BYTES = 8
_POINT_BYTES = 15  # of the quality table
_ROW_BYTES = 47
_ROWS = 18
_PAGE_BYTES = 55
_PAGE_ROWS = 80  # of the pages of a small file
_PAGES = 0.8  # times the root of the number of chunks, in a large file: later pages list more
_HASH_BYTES = 24  # of the poster, with its key
_ROOM_MIN = 4_000  # where texts or pages are so long that 20,000 bytes can't be reached

_TRIAL_SHARE = 4  # steps, relative to those of the trial
_DISTILLED = 1.13  # bytes of distilled proxies, relative to those of the trial
_STEP = 0.985  # of the number that would fit if each proxy had as many bytes as before


def first_chunk_room(
    plan: Sequence[LayerPlan],
    texts: Iterable[str],
    points: int,
    poster_bytes: int = POSTER_BYTES,
) -> int:
    """The bytes for the first chunk of a file.

    `texts` are those of the root index, `points` is the number of rows of the quality table.
    """
    chunks = most_chunks(plan)
    pages = min(chunks / _PAGE_ROWS, _PAGES * math.sqrt(chunks))
    root_bytes = (
        _FACTS_BYTES
        + sum(len(text.encode()) for text in texts)
        + _LAYER_BYTES * len(plan)
        + _POINT_BYTES * points
        + _ROW_BYTES * _ROWS
        + _PAGE_BYTES * math.ceil(pages)
    )
    left = FIRST_PICTURE_BYTES - HEADER_BYTES - root_bytes - poster_bytes
    return max(left, _ROOM_MIN)


def poster_room(root_bytes: int, points: int, chunk_bytes: int) -> int:
    """The most bytes of the poster; those of any poster where no poster would be short enough.

    Args:
        root_bytes: length of the packed root index without quality table and poster.
        points: number of rows of the quality table.
        chunk_bytes: length of the first chunk.
    """
    head_bytes = HEADER_BYTES + root_bytes + _POINT_BYTES * points + _HASH_BYTES
    left = FIRST_PICTURE_BYTES - head_bytes - chunk_bytes
    return min(left, POSTER_BYTES) if left > 0 else POSTER_BYTES


def pack_proxies(
    layered: LayeredScene,
    layer: int,
    clusters: Index,
    drawn: Gaussians,
    fit: ProxyFit,
    room_bytes: int | None,
) -> list[PackedCell]:
    """The PROXY cells of `layer`; those of layer 0 have at most `room_bytes`.

    The other arguments are those of `pack_remainder`.
    """
    if layer == 0 and room_bytes is not None:
        return _pack_first(layered, clusters, fit, room_bytes)
    return pack_remainder(layered, layer, clusters, drawn, fit)


def _pack_first(
    layered: LayeredScene, clusters: Index, fit: ProxyFit, room_bytes: int
) -> list[PackedCell]:
    """The PROXY cell of layer 0, with as many proxies as planned or as fit into `room_bytes`."""
    drawn = Gaussians.empty(layered.scene.sh_degree)

    def pack(effort: ProxyEffort, count: int) -> tuple[list[PackedCell], float]:
        """The cells, and the part of the room that they take."""
        cells = pack_remainder(layered, 0, clusters, drawn, replace(fit, effort=effort), count)
        return cells, sum(cell.chunk.packed_bytes for cell in cells) / room_bytes

    count = layered.plan[0].proxies
    steps = fit.effort.distill_steps // _TRIAL_SHARE
    trial = replace(fit.effort, distill_steps=steps, fit_missing=math.inf)
    taken = _DISTILLED * pack(trial, count)[1]
    while True:
        if taken > 1:
            count = max(int(_STEP * count / taken), 1)
        cells, taken = pack(fit.effort, count)
        if taken <= 1 or count == 1:
            return cells
