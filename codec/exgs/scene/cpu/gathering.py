"""The transpose of drawing: blending weights summed up per Gaussian instead of per pixel.

Each entry of a tile's list keeps its own totals; they are added up afterwards, per Gaussian and
in the order of the tiles, so that the sums do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from exgs.scene.cpu.binning import sort_entries
from exgs.scene.cpu.blending import AHEAD, HALF, RECORD_BITS
from exgs.scene.cpu.ellipse import strip_rows
from exgs.scene.cpu.intrinsics import prefetch_record, take_ticket
from exgs.scene.cpu.record import (
    ACROSS,
    FASTMATH,
    LANES,
    LEAN_X,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    RIDGE,
    STRIPS,
    TILE,
)
from exgs.scene.cpu.rows import PIXELS, gather_row, score_row
from exgs.scene.cpu.tiles import CHECK_EVERY, close_rows, open_tile
from numba import njit, prange

SCORES = 3  # totals of an entry without an image: sum, maximum and count of the weights
GATHERED = 5  # with one: sums of weight * image (3 channels), of the weights, of their squares
ZERO = np.float32(0)


@njit(parallel=True, nogil=True, cache=True, fastmath=FASTMATH, error_model="numpy")
def gather(  # type: ignore[no-untyped-def]
    records,  # [M, RECORD] float32
    entries,  # [E] uint64, sorted here
    starts,  # [tiles + 1] int64
    width,
    height,
    image,  # [H, W, 3] float32, or None for scores
    shares,  # out [E, GATHERED or SCORES] float32
    used,  # out [tiles] int64: entries of each tile that were reached; the rest have no share
    spares,  # [workers, longest list] uint64
    ticket,  # [1] int64, zero
    workers,
):
    """The totals of every entry."""
    tiles = starts.shape[0] - 1
    for worker in prange(workers):
        planes = np.empty(4 * PIXELS, np.float32)
        totals = np.empty(GATHERED * LANES, np.float32)
        first_row, end_row = np.empty(STRIPS, np.int64), np.empty(STRIPS, np.int64)
        while True:
            tile = take_ticket(ticket)
            if tile >= tiles:
                break
            used[tile] = _gather_tile(
                records,
                entries[starts[tile] : starts[tile + 1]],
                spares[worker],
                tile,
                width,
                height,
                image,
                shares[starts[tile] : starts[tile + 1]],
                planes,
                totals,
                first_row,
                end_row,
            )


@njit(cache=True, fastmath=FASTMATH, error_model="numpy")
def _gather_tile(  # type: ignore[no-untyped-def]
    records,
    entries,
    spare,
    tile,
    width,
    height,
    image,
    shares,
    planes,
    totals,
    first_row,
    end_row,
):
    columns = (width + TILE - 1) // TILE
    left, top = tile % columns * TILE, tile // columns * TILE
    columns_inside, rows_inside = min(TILE, width - left), min(TILE, height - top)
    open_tile(planes, first_row, end_row, columns_inside, rows_inside)
    if image is not None:
        planes[PIXELS:] = ZERO
        for y in range(rows_inside):
            for x in range(columns_inside):
                for channel in range(3):
                    pixel = (1 + channel) * PIXELS + y * TILE + x
                    planes[pixel] = image[top + y, left + x, channel]
    sort_entries(entries, spare)

    for n in range(entries.shape[0]):
        if n % CHECK_EVERY == CHECK_EVERY - 1 and not close_rows(planes, first_row, end_row):
            return n
        if n + AHEAD < entries.shape[0]:
            prefetch_record(records, np.int64(entries[n + AHEAD] & RECORD_BITS))
        record = records[np.int64(entries[n] & RECORD_BITS)]
        mean_x, mean_y = record[MEAN_X] - np.float32(left), record[MEAN_Y] - np.float32(top)
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
        for number in range(shares.shape[1]):
            share = ZERO
            for lane in range(LANES):
                if image is None and number == 1:
                    share = max(share, totals[number * LANES + lane])
                else:
                    share += totals[number * LANES + lane]
            shares[n, number] = share
    return entries.shape[0]


@njit(parallel=True, nogil=True, cache=True)
def add_scores(  # type: ignore[no-untyped-def]
    entries, starts, used, shares, sources, workers, weights, most, hits
):
    """Add the shares of `gather` without an image up per Gaussian."""
    span = (sources.shape[0] + workers - 1) // workers
    for worker in prange(workers):
        for tile in range(starts.shape[0] - 1):
            for p in range(starts[tile], starts[tile] + used[tile]):
                k = np.int64(entries[p] & RECORD_BITS)
                if k // span == worker:
                    i = sources[k]
                    weights[i] += shares[p, 0]
                    most[i] = max(most[i], shares[p, 1])
                    hits[i] += np.int64(shares[p, 2])


@njit(parallel=True, nogil=True, cache=True)
def add_gathered(  # type: ignore[no-untyped-def]
    entries, starts, used, shares, sources, workers, sums, weights, squares
):
    """Add the shares of `gather` with an image up per Gaussian."""
    span = (sources.shape[0] + workers - 1) // workers
    for worker in prange(workers):
        for tile in range(starts.shape[0] - 1):
            for p in range(starts[tile], starts[tile] + used[tile]):
                k = np.int64(entries[p] & RECORD_BITS)
                if k // span == worker:
                    i = sources[k]
                    for channel in range(3):
                        sums[i, channel] += shares[p, channel]
                    weights[i] += shares[p, 3]
                    squares[i] += shares[p, 4]
