"""The transpose of blending: sums of blending weights per Gaussian instead of per pixel.

Each entry of a tile's list has its own totals. They are added afterwards, per Gaussian and in the
order of the tiles, so that the sums do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from exgs.scene.cpu.binning import sort_entries
from exgs.scene.cpu.ellipse import strip_rows
from exgs.scene.cpu.intrinsics import prefetch_record, take_ticket
from exgs.scene.cpu.layout import (
    ACROSS,
    LANES,
    LEAN_X,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    PIXELS,
    RECORD_BITS,
    RIDGE,
    STRIPS,
    TILE,
    Doubles,
    Entries,
    Floats,
    Ints,
    Lists,
    Longs,
)
from exgs.scene.cpu.rows import gather_row, lane_max, lane_sum, score_row
from exgs.scene.cpu.tiles import (
    AHEAD,
    CHECK_EVERY,
    HALF,
    ZERO,
    Frame,
    close_rows,
    frame_of,
    open_tile,
)
from exgs.scene.kernel import kernel

SCORES = 4  # totals of an entry without an image: sum, maximum, count of the weights, sum of T
GATHERED = 5  # with one: sums of weight * image (3 channels), of the weights, of their squares

_MAXIMUM = 1  # the one score that is not a sum
_PLANES = 4  # transmittance, and the image's red, green, blue


@kernel(parallel=True)
def gather(
    records: Floats,
    lists: Lists,
    width: int,
    height: int,
    image: Floats | None,
    entry_totals: Floats,
    used: Longs,
    ticket: Longs,
    workers: int,
) -> None:
    """Write the totals of the entries of a band to `entry_totals` [E, GATHERED or SCORES].

    With `image` [H, W, 3] they are the GATHERED totals, without it the SCORES. `used` [tiles]
    receives the number of entries of each tile before all pixels are opaque. The lists are sorted.
    """
    for worker in prange(workers):
        _gather_tiles(
            records, lists, lists.spares[worker], width, height, image, entry_totals, used, ticket
        )


@kernel(allocates=True)
def _gather_tiles(
    records: Floats,
    lists: Lists,
    spare: Entries,
    width: int,
    height: int,
    image: Floats | None,
    entry_totals: Floats,
    used: Longs,
    ticket: Longs,
) -> None:
    """One worker: process tiles until none is left."""
    planes = np.empty(_PLANES * PIXELS, np.float32)
    totals = np.empty(GATHERED * LANES, np.float32)
    rows = np.empty(STRIPS, np.int64), np.empty(STRIPS, np.int64)
    tile = take_ticket(ticket)
    while tile < lists.starts.shape[0] - 1:
        begin, end = lists.starts[tile], lists.starts[tile + 1]
        entries = lists.entries[begin:end]
        sort_entries(entries, spare)
        frame = frame_of(lists.first + tile, width, height)
        open_tile(planes, frame, *rows)
        used[tile] = _gather_tile(
            records, entries, frame, image, entry_totals[begin:end], planes, totals, *rows
        )
        tile = take_ticket(ticket)


@kernel()
def _gather_tile(
    records: Floats,
    entries: Entries,
    frame: Frame,
    image: Floats | None,
    entry_totals: Floats,
    planes: Floats,
    totals: Floats,
    first_row: Longs,
    end_row: Longs,
) -> int:
    """Write the totals of one tile's entries; return their number before all pixels are opaque."""
    if image is not None:
        for y in range(frame.height):
            for x in range(frame.width):
                for channel in range(3):
                    planes[(1 + channel) * PIXELS + y * TILE + x] = image[
                        frame.top + y, frame.left + x, channel
                    ]
    for n in range(entries.shape[0]):
        if n % CHECK_EVERY == CHECK_EVERY - 1 and not close_rows(planes, first_row, end_row):
            return n
        if n + AHEAD < entries.shape[0]:
            prefetch_record(records, np.int64(entries[n + AHEAD] & RECORD_BITS))
        record = records[np.int64(entries[n] & RECORD_BITS)]
        mean_x = record[MEAN_X] - np.float32(frame.left)
        mean_y = record[MEAN_Y] - np.float32(frame.top)
        totals[:] = ZERO
        for strip in range(STRIPS):
            first, end = strip_rows(record, mean_x, mean_y, strip)
            for y in range(max(first, first_row[strip]), min(end, end_row[strip])):
                dy = np.float32(y) + HALF - mean_y
                offset = y * TILE + strip * LANES
                center = mean_x + record[LEAN_X] * dy - np.float32(strip * LANES)
                base = record[LOG2_OPACITY] + record[RIDGE] * dy * dy
                if image is None:
                    score_row(planes, totals, offset, center, base, record[ACROSS])
                else:
                    gather_row(planes, totals, offset, center, base, record[ACROSS])
        for number in range(entry_totals.shape[1]):
            if image is None and number == _MAXIMUM:
                entry_totals[n, number] = lane_max(totals, number * LANES)
            else:
                entry_totals[n, number] = lane_sum(totals, number * LANES)
    return int(entries.shape[0])


@kernel(parallel=True)
def add_scores(
    lists: Lists,
    used: Longs,
    entry_totals: Floats,
    sources: Ints,
    workers: int,
    sums: Doubles,
    most: Floats,
    hits: Longs,
    transmittance: Doubles,
) -> None:
    """Add the entry totals of `gather` without an image to the scores of their Gaussians."""
    span = (sources.shape[0] + workers - 1) // workers
    for worker in prange(workers):  # each adds for the Gaussians of its own span of records
        begin, end = worker * span, worker * span + span
        for tile in range(lists.starts.shape[0] - 1):
            for p in range(lists.starts[tile], lists.starts[tile] + used[tile]):
                k = np.int64(lists.entries[p] & RECORD_BITS)
                if begin <= k < end:
                    i = sources[k]
                    sums[i] += entry_totals[p, 0]
                    most[i] = max(most[i], entry_totals[p, 1])
                    hits[i] += np.int64(entry_totals[p, 2])
                    transmittance[i] += entry_totals[p, 3]
