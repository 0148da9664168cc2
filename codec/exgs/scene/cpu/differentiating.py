"""The backward pass of blending: what each pixel shows is taken apart again, front to back.

So each Gaussian knows what lies behind it. As in `gathering`, entries keep their own totals,
added up in the order of the tiles: the sums do not depend on the number of threads.
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
    Doubles,
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
    shares: Floats,
    used: Longs,
    ticket: Longs,
    workers: int,
) -> None:
    """The SCREEN_TERMS of every entry of a band whose Gaussian is `first` or later.

    `picture` [H, W, 3] was drawn on black; `image` [H, W, 3] is the gradient with respect to it.
    `shares` [E, SCREEN_TERMS] receives the totals of the first `used` [tiles] entries of each tile;
    those behind were never reached.
    """
    for worker in prange(workers):
        spare = lists.spares[worker]
        _differentiate_tiles(
            records, sources, first, lists, spare, picture, image, shares, used, ticket
        )


@kernel()
def _differentiate_tiles(
    records: Floats,
    sources: Ints,
    first: int,
    lists: Lists,
    spare: Entries,
    picture: Floats,
    image: Floats,
    shares: Floats,
    used: Longs,
    ticket: Longs,
) -> None:
    """One worker: sweep tiles until none is left."""
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
            records, sources, first, entries, frame, shares[begin:end], planes, totals, *rows
        )
        tile = take_ticket(ticket)


@kernel()
def _load_image(planes: Floats, frame: Frame, picture: Floats, image: Floats) -> None:
    """The gradient, and all light of each pixel along it: on black that is its colour."""
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
    shares: Floats,
    planes: Floats,
    totals: Floats,
    first_row: Longs,
    end_row: Longs,
) -> int:
    """Draw a tile's entries, taking their light from plane BEHIND.

    Those of Gaussians from `first` on write their SCREEN_TERMS to `shares`. Returns how many
    entries were reached before all was opaque.
    """
    for n in range(entries.shape[0]):
        if n % CHECK_EVERY == CHECK_EVERY - 1 and not close_rows(planes, first_row, end_row):
            return n
        if n + AHEAD < entries.shape[0]:
            prefetch_record(records, np.int64(entries[n + AHEAD] & RECORD_BITS))
        k = np.int64(entries[n] & RECORD_BITS)
        record = records[k]
        sloped = sources[k] >= first
        if sloped:
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
                if sloped:
                    gradient_row(
                        planes, totals, offset, center, base, record[ACROSS], dy, red, green, blue
                    )
                else:
                    value_row(planes, offset, center, base, record[ACROSS], -red, -green, -blue)
        if sloped:
            for number in range(SCREEN_TERMS):
                shares[n, number] = lane_sum(totals, number * LANES)
    return int(entries.shape[0])


@kernel(parallel=True)
def add_on_screen(
    lists: Lists,
    used: Longs,
    shares: Floats,
    sources: Ints,
    first: int,
    workers: int,
    on_screen: Doubles,
) -> None:
    """Add the shares of `differentiate` to those of their Gaussians [N - first, SCREEN_TERMS]."""
    span = (sources.shape[0] + workers - 1) // workers
    for worker in prange(workers):  # each adds for the Gaussians of its own span of records
        _add_on_screen(lists, used, shares, sources, first, worker * span, on_screen, span)


@kernel()
def _add_on_screen(
    lists: Lists,
    used: Longs,
    shares: Floats,
    sources: Ints,
    first: int,
    begin: int,
    on_screen: Doubles,
    span: int,
) -> None:
    for tile in range(lists.starts.shape[0] - 1):
        for p in range(lists.starts[tile], lists.starts[tile] + used[tile]):
            k = np.int64(lists.entries[p] & RECORD_BITS)
            if begin <= k < begin + span and sources[k] >= first:
                for number in range(SCREEN_TERMS):
                    on_screen[sources[k] - first, number] += shares[p, number]
