"""Draws pictures: sorts the entries of each tile by depth and blends them front to back."""

from __future__ import annotations

import numpy as np
from numba import prange

from exgs.scene.cpu.binning import sort_entries
from exgs.scene.cpu.ellipse import strip_rows
from exgs.scene.cpu.intrinsics import prefetch_record, take_ticket
from exgs.scene.cpu.layout import (
    ACROSS,
    BLUE,
    DEPTH,
    GREEN,
    LANES,
    LEAN_X,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    PIXELS,
    RECORD_BITS,
    RED,
    RIDGE,
    STRIPS,
    TILE,
    Entries,
    Floats,
    Lists,
    Longs,
    Picture,
)
from exgs.scene.cpu.rows import paint_row
from exgs.scene.cpu.tiles import (
    AHEAD,
    CHECK_EVERY,
    HALF,
    ONE,
    Frame,
    close_rows,
    frame_of,
    open_tile,
)
from exgs.scene.kernel import kernel

_PLANES = 5  # transmittance, red, green, blue, depth
_TINY = np.float32(1e-10)


@kernel(parallel=True)
def blend(
    records: Floats,
    lists: Lists,
    background: Floats,
    picture: Picture,
    ticket: Longs,
    workers: int,
) -> None:
    """Draw the tiles of a band into `picture`, and sort their lists."""
    for worker in prange(workers):
        _blend_tiles(records, lists, lists.spares[worker], background, picture, ticket)


@kernel(allocates=True)
def _blend_tiles(
    records: Floats,
    lists: Lists,
    spare: Entries,
    background: Floats,
    picture: Picture,
    ticket: Longs,
) -> None:
    """One worker: draw tiles until none is left."""
    height, width = picture.alpha.shape
    planes = np.empty(_PLANES * PIXELS, np.float32)
    first_row, end_row = np.empty(STRIPS, np.int64), np.empty(STRIPS, np.int64)
    tile = take_ticket(ticket)
    while tile < lists.starts.shape[0] - 1:
        entries = lists.entries[lists.starts[tile] : lists.starts[tile + 1]]
        sort_entries(entries, spare)
        frame = frame_of(lists.first + tile, width, height)
        open_tile(planes, frame, first_row, end_row)
        _paint_tile(records, entries, frame, planes, first_row, end_row)
        _finish_tile(planes, frame, background, picture)
        tile = take_ticket(ticket)


@kernel()
def _paint_tile(
    records: Floats,
    entries: Entries,
    frame: Frame,
    planes: Floats,
    first_row: Longs,
    end_row: Longs,
) -> None:
    """Blend the Gaussians of `entries` into the planes."""
    for n in range(entries.shape[0]):
        if n % CHECK_EVERY == CHECK_EVERY - 1 and not close_rows(planes, first_row, end_row):
            break
        if n + AHEAD < entries.shape[0]:
            prefetch_record(records, np.int64(entries[n + AHEAD] & RECORD_BITS))
        record = records[np.int64(entries[n] & RECORD_BITS)]
        mean_x = record[MEAN_X] - np.float32(frame.left)
        mean_y = record[MEAN_Y] - np.float32(frame.top)
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


@kernel()
def _finish_tile(planes: Floats, frame: Frame, background: Floats, picture: Picture) -> None:
    """Composite the planes on the background and write them out."""
    for y in range(frame.height):
        for x in range(frame.width):
            pixel = y * TILE + x
            row, column = frame.top + y, frame.left + x
            behind = abs(planes[pixel])  # the sign only marks open pixels
            alpha = ONE - behind
            for channel in range(3):
                color = planes[(1 + channel) * PIXELS + pixel]
                picture.rgb[row, column, channel] = color + behind * background[channel]
            picture.alpha[row, column] = alpha
            picture.depth[row, column] = planes[4 * PIXELS + pixel] / max(alpha, _TINY)
