"""The updates that a receiver would give, without a network."""

from __future__ import annotations

from collections.abc import Iterator

from exgs.client.arrivals import Arrivals
from exgs.client.decoding import LiveScene
from exgs.client.update import Update
from exgs.codec.format.container import FilePusher


def updates_of(data: bytes, step_bytes: int) -> Iterator[Update]:
    """What is told while a file comes piece by piece."""
    arrivals, live, pusher = Arrivals(), LiveScene(), FilePusher()
    known = 1  # batches of rows: the root's
    for start in range(0, len(data), step_bytes):
        piece = data[start : start + step_bytes]
        arrived = pusher.receive_data(piece)
        arrivals.count(len(piece), 0.0)
        if pusher.head is None or pusher.table is None:
            continue
        arrivals.open(pusher.head)
        for rows in pusher.table.batches[known:]:
            arrivals.add_page(rows)
        known = len(pusher.table.batches)
        for chunk, packed in arrived:
            arrivals.add_chunk(chunk, packed)
        while arrivals.wait(0) or live.has_left:
            update = live.advance(arrivals.take())
            if update is not None:
                yield update
