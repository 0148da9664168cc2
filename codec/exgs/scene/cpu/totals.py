"""Sums of the totals of list entries, per Gaussian.

Kernels write the totals of each entry of a tile's list to a row of an array. Here they are added
per Gaussian in the order of the tiles, so that the sums do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from exgs.scene.cpu.layout import RECORD_BITS, Doubles, Floats, Ints, Lists, Longs
from exgs.scene.kernel import kernel


@kernel(parallel=True)
def add_totals(
    lists: Lists,
    used: Longs,
    entry_totals: Floats,
    sources: Ints,
    first: int,
    workers: int,
    totals: Doubles,
) -> None:
    """Add `entry_totals` [E, T] to the `totals` [N - first, T] of the Gaussians from `first` on.

    Only the first `used` [tiles] entries of each tile count. `sources` are the Gaussians of the
    records.
    """
    span = (sources.shape[0] + workers - 1) // workers
    for worker in prange(workers):
        _add_of_records(worker * span, span, lists, used, entry_totals, sources, first, totals)


@kernel()
def _add_of_records(
    begin: int,
    span: int,
    lists: Lists,
    used: Longs,
    entry_totals: Floats,
    sources: Ints,
    first: int,
    totals: Doubles,
) -> None:
    """Add for the Gaussians of `span` records only, so that workers never write to the same row."""
    for tile in range(lists.starts.shape[0] - 1):
        for p in range(lists.starts[tile], lists.starts[tile] + used[tile]):
            k = np.int64(lists.entries[p] & RECORD_BITS)
            if begin <= k < begin + span and sources[k] >= first:
                for number in range(totals.shape[1]):
                    totals[sources[k] - first, number] += entry_totals[p, number]
