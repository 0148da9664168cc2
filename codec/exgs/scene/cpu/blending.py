"""Drawing: every tile sorted by depth and blended front to back into the picture."""

from __future__ import annotations

import numpy as np
from exgs.scene.cpu.binning import sort_entries
from exgs.scene.cpu.ellipse import strip_rows
from exgs.scene.cpu.intrinsics import prefetch_record, take_ticket
from exgs.scene.cpu.record import (
    ACROSS,
    BLUE,
    DEPTH,
    FASTMATH,
    GREEN,
    LANES,
    LEAN_X,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    RED,
    RIDGE,
    STRIPS,
    TILE,
)
from exgs.scene.cpu.rows import PIXELS, paint_row
from exgs.scene.cpu.tiles import CHECK_EVERY, close_rows, open_tile
from numba import njit, prange

AHEAD = 6  # entries between asking for a record and drawing it
RECORD_BITS = np.uint64(0xFFFFFFFF)
HALF, ONE, TINY = np.float32(0.5), np.float32(1), np.float32(1e-10)


@njit(parallel=True, nogil=True, cache=True, fastmath=FASTMATH, error_model="numpy")
def blend(  # type: ignore[no-untyped-def]
    records,  # [M, RECORD] float32
    entries,  # [E] uint64, sorted here
    starts,  # [tiles + 1] int64
    background,  # [3] float32
    rgb,  # out [H, W, 3] float32
    alpha,  # out [H, W] float32
    depth,  # out [H, W] float32
    spares,  # [workers, longest list] uint64
    ticket,  # [1] int64, zero
    workers,
):
    """Draw the whole picture."""
    tiles = starts.shape[0] - 1
    for worker in prange(workers):
        planes = np.empty(5 * PIXELS, np.float32)
        first_row, end_row = np.empty(STRIPS, np.int64), np.empty(STRIPS, np.int64)
        while True:
            tile = take_ticket(ticket)
            if tile >= tiles:
                break
            _blend_tile(
                records,
                entries[starts[tile] : starts[tile + 1]],
                spares[worker],
                tile,
                background,
                rgb,
                alpha,
                depth,
                planes,
                first_row,
                end_row,
            )


@njit(cache=True, fastmath=FASTMATH, error_model="numpy")
def _blend_tile(  # type: ignore[no-untyped-def]
    records, entries, spare, tile, background, rgb, alpha, depth, planes, first_row, end_row
):
    height, width = alpha.shape
    columns = (width + TILE - 1) // TILE
    left, top = tile % columns * TILE, tile // columns * TILE
    columns_inside, rows_inside = min(TILE, width - left), min(TILE, height - top)
    open_tile(planes, first_row, end_row, columns_inside, rows_inside)
    planes[PIXELS:] = np.float32(0)
    sort_entries(entries, spare)

    for n in range(entries.shape[0]):
        if n % CHECK_EVERY == CHECK_EVERY - 1 and not close_rows(planes, first_row, end_row):
            break
        if n + AHEAD < entries.shape[0]:
            prefetch_record(records, np.int64(entries[n + AHEAD] & RECORD_BITS))
        record = records[np.int64(entries[n] & RECORD_BITS)]
        mean_x, mean_y = record[MEAN_X] - np.float32(left), record[MEAN_Y] - np.float32(top)
        for strip in range(STRIPS):
            first, end = strip_rows(record, mean_x, mean_y, strip)
            for y in range(max(first, first_row[strip]), min(end, end_row[strip])):
                dy = np.float32(y) + HALF - mean_y
                paint_row(
                    planes,
                    y * TILE + strip * LANES,
                    mean_x + record[LEAN_X] * dy - np.float32(strip * LANES),
                    record[LOG2_OPACITY] + record[RIDGE] * dy * dy,
                    record[ACROSS],
                    record[RED],
                    record[GREEN],
                    record[BLUE],
                    record[DEPTH],
                )

    for y in range(rows_inside):
        for x in range(columns_inside):
            pixel = y * TILE + x
            behind = abs(planes[pixel])
            for channel in range(3):
                rgb[top + y, left + x, channel] = (
                    planes[(1 + channel) * PIXELS + pixel] + behind * background[channel]
                )
            opaque = ONE - behind
            alpha[top + y, left + x] = opaque
            depth[top + y, left + x] = planes[4 * PIXELS + pixel] / max(opaque, TINY)
