"""The change of a picture if a Gaussian is removed, for each Gaussian.

Each tile is processed twice. The first pass sums the colours of each pixel. The second pass
subtracts each Gaussian's part again, front to back, so that the colour behind the Gaussian is
known. Without the Gaussian, that colour would be less occluded (POTR, arXiv 2601.14821).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange, types

from exgs.scene.cpu.binning import sort_entries
from exgs.scene.cpu.ellipse import strip_rows
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
    Lists,
    Longs,
)
from exgs.scene.cpu.rows import GEOMETRY, Row, lane_sum
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
from exgs.scene.kernel import intrinsic, kernel

IMPACTS = 3  # totals of an entry: sums of weights, of their squares, of the squared changes

_PLANES = 4  # transmittance; red, green, blue of the Gaussians that are not subtracted yet
_COLOR = (types.float32,) * 3


@intrinsic
def _color_row(
    typingctx: Any,
    planes: Any,
    offset: Any,
    center: Any,
    base: Any,
    across: Any,
    red: Any,
    green: Any,
    blue: Any,
) -> Any:
    """Add weight * (red, green, blue) to planes 1 to 3."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], args[0], args[1])
        weight = row.blend(*args[2:5])
        for number, value in enumerate(args[5:], start=1):
            row.add_to(row.plane(number), row.mul(weight, row.splat(value)))
        return context.get_dummy_value()

    return types.void(planes, types.int64, *GEOMETRY, *_COLOR), codegen


@intrinsic
def _impact_row(
    typingctx: Any,
    planes: Any,
    totals: Any,
    offset: Any,
    center: Any,
    base: Any,
    across: Any,
    red: Any,
    green: Any,
    blue: Any,
) -> Any:
    """Subtract weight * (red, green, blue) from planes 1 to 3 and add to the IMPACTS totals.

    Let B be the sum of weight * color over the Gaussians behind. Without this Gaussian, the pixel
    would lose weight * color and gain alpha / (1 - alpha) * B.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = Row(context, builder, signature.args[0], args[0], args[2])
        sums = Row(context, builder, signature.args[1], args[1], args[2])
        alpha, _, _ = row.alpha(*args[3:6])
        weight = row.draw(alpha)
        uncovered = row.div(alpha, row.sub(row.constant(1), alpha))
        drawn = row.greater(weight, row.constant(0))
        change = row.constant(0)
        for number, value in enumerate(args[6:], start=1):
            own = row.mul(weight, row.splat(value))
            behind = row.sub(row.load(row.plane(number)), own)
            row.store(behind, row.plane(number))
            lost = row.sub(own, row.mul(uncovered, behind))
            change = row.add(change, row.mul(lost, lost))
        sums.add_to(sums.total(0), weight)
        sums.add_to(sums.total(1), row.mul(weight, weight))
        sums.add_to(sums.total(2), row.where(drawn, change, row.constant(0)))
        return context.get_dummy_value()

    return types.void(planes, totals, types.int64, *GEOMETRY, *_COLOR), codegen


@kernel(parallel=True)
def measure_impact(
    records: Floats,
    lists: Lists,
    width: int,
    height: int,
    entry_totals: Floats,
    used: Longs,
    ticket: Longs,
    workers: int,
) -> None:
    """Write the IMPACTS of the entries of a band to `entry_totals` [E, IMPACTS], on black.

    `used` [tiles] receives the number of entries of each tile that have totals: the pixels of the
    tile are opaque before the others. The lists are sorted.
    """
    for worker in prange(workers):
        _measure_tiles(
            records, lists, lists.spares[worker], width, height, entry_totals, used, ticket
        )


@kernel(allocates=True)
def _measure_tiles(
    records: Floats,
    lists: Lists,
    spare: Entries,
    width: int,
    height: int,
    entry_totals: Floats,
    used: Longs,
    ticket: Longs,
) -> None:
    """One worker: process tiles until none is left."""
    planes = np.empty(_PLANES * PIXELS, np.float32)
    totals = np.empty(IMPACTS * LANES, np.float32)
    rows = np.empty(STRIPS, np.int64), np.empty(STRIPS, np.int64)
    tile = take_ticket(ticket)
    while tile < lists.starts.shape[0] - 1:
        begin, end = lists.starts[tile], lists.starts[tile + 1]
        entries = lists.entries[begin:end]
        sort_entries(entries, spare)
        frame = frame_of(lists.first + tile, width, height)
        open_tile(planes, frame, *rows)
        reached = _sweep_tile(records, entries, frame, None, planes, totals, *rows)
        colors = planes[PIXELS:].copy()
        open_tile(planes, frame, *rows)
        planes[PIXELS:] = colors
        _sweep_tile(
            records, entries[:reached], frame, entry_totals[begin:end], planes, totals, *rows
        )
        used[tile] = reached
        tile = take_ticket(ticket)


@kernel()
def _sweep_tile(
    records: Floats,
    entries: Entries,
    frame: Frame,
    entry_totals: Floats | None,
    planes: Floats,
    totals: Floats,
    first_row: Longs,
    end_row: Longs,
) -> int:
    """Add the colours of a tile's entries, or subtract them and write IMPACTS to `entry_totals`.

    Returns the number of entries before all pixels are opaque.
    """
    for n in range(entries.shape[0]):
        if n % CHECK_EVERY == CHECK_EVERY - 1 and not close_rows(planes, first_row, end_row):
            return n
        if n + AHEAD < entries.shape[0]:
            prefetch_record(records, np.int64(entries[n + AHEAD] & RECORD_BITS))
        record = records[np.int64(entries[n] & RECORD_BITS)]
        mean_x = record[MEAN_X] - np.float32(frame.left)
        mean_y = record[MEAN_Y] - np.float32(frame.top)
        color = record[RED], record[GREEN], record[BLUE]
        totals[:] = ZERO
        for strip in range(STRIPS):
            begin, end = strip_rows(record, mean_x, mean_y, strip)
            for y in range(max(begin, first_row[strip]), min(end, end_row[strip])):
                dy = np.float32(y) + HALF - mean_y
                offset = y * TILE + strip * LANES
                center = mean_x + record[LEAN_X] * dy - np.float32(strip * LANES)
                base = record[LOG2_OPACITY] + record[RIDGE] * dy * dy
                if entry_totals is None:
                    _color_row(planes, offset, center, base, record[ACROSS], *color)
                else:
                    _impact_row(planes, totals, offset, center, base, record[ACROSS], *color)
        if entry_totals is not None:
            for number in range(IMPACTS):
                entry_totals[n, number] = lane_sum(totals, number * LANES)
    return int(entries.shape[0])
