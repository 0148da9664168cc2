"""Assigns Gaussians to tiles: a list of entries (bits of the depth, record) per tile.

The order of entries is the storage order and does not depend on the number of threads, because the
places of each storage block in every list are computed beforehand.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from exgs.scene.cpu.ellipse import columns_of_row
from exgs.scene.cpu.intrinsics import float_bits, take_ticket
from exgs.scene.cpu.layout import (
    BLOCKS,
    DEPTH,
    DEPTH_SHIFT,
    TILE,
    Entries,
    Lists,
    Longs,
    Projected,
)
from exgs.scene.kernel import kernel

_DIGIT_BITS = np.uint64(8)
_DIGIT = np.uint64(255)
_KEY_BITS = np.uint64(64)
_FEW = 32  # entries that insertion sort handles faster


@kernel()
def place_lists(counts: Longs, first: int, most: int, starts: Longs) -> int:
    """Place the lists of tiles from `first` on: at most `most` entries, but at least one tile.
    `starts` [tiles + 1] receives the start of each list. The counts of these tiles are
    replaced by the positions at which each block writes. Returns the end of this band of tiles.
    """
    position, tile, tiles = 0, first, counts.shape[1]
    starts[0] = 0
    while tile < tiles:
        if tile > first and position + counts[:, tile].sum() > most:
            break
        for block in range(BLOCKS):
            count = counts[block, tile]
            counts[block, tile] = position
            position += count
        tile += 1
        starts[tile - first] = position
    return tile


@kernel(parallel=True)
def fill_lists(projected: Projected, lists: Lists, width: int, ticket: Longs, workers: int) -> None:
    """Write the entries of the band's tiles."""
    for _ in prange(workers):
        _fill_blocks(projected, lists, width, ticket)


@kernel()
def _fill_blocks(projected: Projected, lists: Lists, width: int, ticket: Longs) -> None:
    """One worker: write the entries of blocks until none is left."""
    records, rects = projected.records, projected.rects
    size = records.shape[0] // BLOCKS
    columns = (width + TILE - 1) // TILE
    begin, end = lists.first, lists.first + lists.starts.shape[0] - 1
    block = take_ticket(ticket)
    while block < BLOCKS:
        position = projected.counts[block]
        for k in range(block * size, block * size + projected.visible[block]):
            depth = np.uint64(float_bits(records[k, DEPTH]))
            entry = (depth << DEPTH_SHIFT) | np.uint64(k)
            for row in range(rects[k, 2], rects[k, 3]):
                first, stop = columns_of_row(records[k], rects[k], row, width)
                first, stop = row * columns + first, row * columns + stop
                for tile in range(max(first, begin), min(stop, end)):
                    lists.entries[position[tile]] = entry
                    position[tile] += 1
        block = take_ticket(ticket)


@kernel(allocates=True)
def sort_entries(entries: Entries, spare: Entries) -> None:
    """Sort one tile's entries by depth, in place and stable; `spare` is at least as long.

    Radix sort over those bytes of the depth in which the entries differ.
    """
    n = entries.shape[0]
    if n <= _FEW:
        _insertion_sort(entries)
        return
    sorted_ones = 1
    while sorted_ones < n and entries[sorted_ones - 1] <= entries[sorted_ones]:
        sorted_ones += 1
    if sorted_ones == n:
        return
    differing = np.uint64(0)
    for i in range(n):
        differing |= entries[i] ^ entries[0]
    histogram = np.empty(int(_DIGIT) + 1, np.int64)
    source, target, moved = entries, spare[:n], False
    shift = DEPTH_SHIFT
    while shift < _KEY_BITS:
        if (differing >> shift) & _DIGIT:
            histogram[:] = 0
            for i in range(n):
                histogram[(source[i] >> shift) & _DIGIT] += 1
            position = 0
            for digit in range(histogram.shape[0]):
                count = histogram[digit]
                histogram[digit] = position
                position += count
            for i in range(n):
                key = (source[i] >> shift) & _DIGIT
                target[histogram[key]] = source[i]
                histogram[key] += 1
            source, target, moved = target, source, not moved
        shift += _DIGIT_BITS
    if moved:
        for i in range(n):
            entries[i] = source[i]


@kernel()
def _insertion_sort(entries: Entries) -> None:
    for i in range(1, entries.shape[0]):
        entry = entries[i]
        j = i
        while j > 0 and entries[j - 1] > entry:
            entries[j] = entries[j - 1]
            j -= 1
        entries[j] = entry
