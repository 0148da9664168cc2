"""Which Gaussians reach which tile: one list of (depth, record) entries per tile.

Entries are written in storage order whatever the number of threads, because each storage block
knows beforehand where in every tile's list its own entries go.
"""

from __future__ import annotations

import numpy as np
from exgs.scene.cpu.intrinsics import float_bits, take_ticket
from exgs.scene.cpu.projection import columns_of_row
from exgs.scene.cpu.record import BLOCKS, DEPTH, FASTMATH, TILE
from numba import njit, prange


@njit(nogil=True, cache=True)
def place_lists(tile_counts, starts):  # type: ignore[no-untyped-def]
    """Turn counts [BLOCKS, tiles] into write positions, in place; number of all entries.

    `starts` [tiles + 1] int64 receives where each tile's list begins.
    """
    position = 0
    for tile in range(tile_counts.shape[1]):
        starts[tile] = position
        for block in range(BLOCKS):
            count = tile_counts[block, tile]
            tile_counts[block, tile] = position
            position += count
    starts[tile_counts.shape[1]] = position
    return position


@njit(parallel=True, nogil=True, cache=True, fastmath=FASTMATH)
def fill_lists(  # type: ignore[no-untyped-def]
    records, rects, visible, positions, width, entries, ticket, workers
):
    """Write an entry (bits of the depth above, record below, uint64) for each tile touched."""
    size = records.shape[0] // BLOCKS
    columns = (width + TILE - 1) // TILE
    for _ in prange(workers):
        while True:
            block = take_ticket(ticket)
            if block >= BLOCKS:
                break
            position = positions[block]
            for k in range(block * size, block * size + visible[block]):
                depth = np.uint64(float_bits(records[k, DEPTH]))
                entry = (depth << np.uint64(32)) | np.uint64(k)
                for row in range(rects[k, 2], rects[k, 3]):
                    first, stop = columns_of_row(records[k], rects[k], row, width)
                    for tile in range(row * columns + first, row * columns + stop):
                        entries[position[tile]] = entry
                        position[tile] += 1


@njit(nogil=True, cache=True)
def sort_entries(entries, spare):  # type: ignore[no-untyped-def]
    """Sort one tile's entries by depth, in place and stable; `spare` is at least as long.

    Radix sort, eight bits at a time, over the bits in which the depths differ.
    """
    n = entries.shape[0]
    if n <= 32:
        _insertion_sort(entries)
        return
    differing = np.uint64(0)
    for i in range(n):
        differing |= entries[i] ^ entries[0]
    histogram = np.empty(256, np.int64)
    source, target = entries, spare[:n]
    moved = False
    shift = np.uint64(32)
    while shift < np.uint64(64):
        if (differing >> shift) & np.uint64(255):
            histogram[:] = 0
            for i in range(n):
                histogram[(source[i] >> shift) & np.uint64(255)] += 1
            position = 0
            for digit in range(256):
                count = histogram[digit]
                histogram[digit] = position
                position += count
            for i in range(n):
                digit = (source[i] >> shift) & np.uint64(255)
                target[histogram[digit]] = source[i]
                histogram[digit] += 1
            source, target = target, source
            moved = not moved
        shift += np.uint64(8)
    if moved:
        entries[:] = source


@njit(nogil=True, cache=True)
def _insertion_sort(entries):  # type: ignore[no-untyped-def]
    for i in range(1, entries.shape[0]):
        entry = entries[i]
        j = i
        while j > 0 and entries[j - 1] > entry:
            entries[j] = entries[j - 1]
            j -= 1
        entries[j] = entry
