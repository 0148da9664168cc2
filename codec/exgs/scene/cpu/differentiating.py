"""The backward pass of blending.

The parts of the Gaussians are subtracted from each pixel front to back, so that the sum over the
Gaussians behind is known at each one. Each entry of a tile's list has its own totals, which
`totals` adds.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from exgs.scene.cpu.binning import sort_entries
from exgs.scene.cpu.ellipse import strip_rows
from exgs.scene.cpu.gradient_terms import BEHIND, PLANES, SCREEN_TERMS, gradient_row, value_row
from exgs.scene.cpu.intrinsics import prefetch_record, take_ticket
from exgs.scene.cpu.layout import (
    ACROSS,
    BLUE,
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
    Ints,
    Lists,
    Longs,
)
from exgs.scene.cpu.rows import lane_sum
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


@kernel(parallel=True)
def differentiate(
    records: Floats,
    sources: Ints,
    first: int,
    lists: Lists,
    picture: Floats,
    image: Floats,
    entry_totals: Floats,
    used: Longs,
    ticket: Longs,
    workers: int,
) -> None:
    """Write the SCREEN_TERMS of the entries of a band to `entry_totals` [E, SCREEN_TERMS].

    Entries of Gaussians before `first` get none. `picture` [H, W, 3] was drawn on black; `image`
    [H, W, 3] is the gradient with respect to it. `used` [tiles] receives the number of entries of
    each tile before all pixels are opaque.
    """
    for worker in prange(workers):
        spare = lists.spares[worker]
        _differentiate_tiles(
            records, sources, first, lists, spare, picture, image, entry_totals, used, ticket
        )


@kernel(allocates=True)
def _differentiate_tiles(
    records: Floats,
    sources: Ints,
    first: int,
    lists: Lists,
    spare: Entries,
    picture: Floats,
    image: Floats,
    entry_totals: Floats,
    used: Longs,
    ticket: Longs,
) -> None:
    """One worker: process tiles until none is left."""
    height, width, _ = image.shape
    planes = np.empty(PLANES * PIXELS, np.float32)
    totals = np.empty(SCREEN_TERMS * LANES, np.float32)
    rows = np.empty(STRIPS, np.int64), np.empty(STRIPS, np.int64)
    tile = take_ticket(ticket)
    while tile < lists.starts.shape[0] - 1:
        begin, end = lists.starts[tile], lists.starts[tile + 1]
        entries = lists.entries[begin:end]
        sort_entries(entries, spare)
        frame = frame_of(lists.first + tile, width, height)
        open_tile(planes, frame, *rows)
        _load_image(planes, frame, picture, image)
        used[tile] = _sweep_tile(
            records, sources, first, entries, frame, entry_totals[begin:end], planes, totals, *rows
        )
        tile = take_ticket(ticket)


@kernel()
def _load_image(planes: Floats, frame: Frame, picture: Floats, image: Floats) -> None:
    """Load the gradient, and the sum over all Gaussians of weight * (color . gradient).

    On black, that sum is the product of the pixel's colour and the gradient.
    """
    for y in range(frame.height):
        for x in range(frame.width):
            pixel, row, column = y * TILE + x, frame.top + y, frame.left + x
            behind = ZERO
            for channel in range(3):
                on_screen = image[row, column, channel]
                planes[(1 + channel) * PIXELS + pixel] = on_screen
                behind += on_screen * picture[row, column, channel]
            planes[BEHIND * PIXELS + pixel] = behind


@kernel()
def _sweep_tile(
    records: Floats,
    sources: Ints,
    first: int,
    entries: Entries,
    frame: Frame,
    entry_totals: Floats,
    planes: Floats,
    totals: Floats,
    first_row: Longs,
    end_row: Longs,
) -> int:
    """Subtract a tile's entries from plane BEHIND; from `first` on, write their SCREEN_TERMS.

    Returns the number of entries before all pixels are opaque.
    """
    for n in range(entries.shape[0]):
        if n % CHECK_EVERY == CHECK_EVERY - 1 and not close_rows(planes, first_row, end_row):
            return n
        if n + AHEAD < entries.shape[0]:
            prefetch_record(records, np.int64(entries[n + AHEAD] & RECORD_BITS))
        k = np.int64(entries[n] & RECORD_BITS)
        record = records[k]
        differentiated = sources[k] >= first
        if differentiated:
            totals[:] = ZERO
        mean_x = record[MEAN_X] - np.float32(frame.left)
        mean_y = record[MEAN_Y] - np.float32(frame.top)
        red, green, blue = record[RED], record[GREEN], record[BLUE]
        for strip in range(STRIPS):
            begin, end = strip_rows(record, mean_x, mean_y, strip)
            for y in range(max(begin, first_row[strip]), min(end, end_row[strip])):
                dy = np.float32(y) + HALF - mean_y
                offset = y * TILE + strip * LANES
                center = mean_x + record[LEAN_X] * dy - np.float32(strip * LANES)
                base = record[LOG2_OPACITY] + record[RIDGE] * dy * dy
                if differentiated:
                    gradient_row(
                        planes, totals, offset, center, base, record[ACROSS], dy, red, green, blue
                    )
                else:
                    value_row(planes, offset, center, base, record[ACROSS], -red, -green, -blue)
        if differentiated:
            for number in range(SCREEN_TERMS):
                entry_totals[n, number] = lane_sum(totals, number * LANES)
    return int(entries.shape[0])
