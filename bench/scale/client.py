"""Costs of a large scene for a client: index, requests, memory, and each view and message."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.scale.figures import Figures, Stopwatch, megabytes, resident_bytes
from bench.scale.views import CORNER, STREET, walk
from exgs.client.arrivals import Arrivals, ChunkCame
from exgs.client.delivery import Delivery
from exgs.client.profiles.ranges import RangeReader
from exgs.client.residency import Residency
from exgs.codec.constants import ChunkKind
from exgs.codec.format.container import open_table
from exgs.wire.plan import PartPlan

_BUDGET_BYTES = 512 << 20
# As `AheadWindow` requests with 512 KiB in flight.
_REQUEST_BYTES, _LEAST_BYTES = 256 << 10, 85 << 10


def measure(path: Path) -> Figures:
    """The figures of one file."""
    figures: Figures = {}
    _street(path, figures)  # first, since it measures the memory of the process
    _corner(path, figures)
    _revise(path, figures)
    return figures


class _Walk:
    """A static client without a network: requests are read from the file."""

    def __init__(self, path: Path, memory_bytes: int | None = None) -> None:
        self.arrivals = Arrivals()
        self.delivery = Delivery(self.arrivals, memory_bytes=memory_bytes)
        self.reader = RangeReader(self.delivery)
        self.requests = 0
        self.request_watch = Stopwatch()
        self._file = os.open(path, os.O_RDONLY)

    def step(self) -> bool:
        """One request and its response; False if there is nothing to request."""
        with self.request_watch.lap():
            wanted = self.reader.claim(_REQUEST_BYTES, least_bytes=_LEAST_BYTES)
        if wanted is None:
            return False
        data = os.pread(self._file, wanted.end - wanted.start, wanted.start)
        self.requests += 1
        with self.request_watch.lap():
            self.delivery.count(len(data), float(self.requests))
            self.reader.take(wanted.start, data)
            self.reader.finish(wanted)
        return True


def _corner(path: Path, figures: Figures) -> None:
    """Requests until the first leaves of a corner, and until everything in view has arrived."""
    client = _Walk(path)
    client.reader.look(CORNER)
    first_bytes = 0
    first_requests: int | None = None
    start_s = time.thread_time()
    while client.step():
        for arrival in client.arrivals.take().arrivals:
            if (
                first_requests is None
                and isinstance(arrival, ChunkCame)
                and arrival.ref.kind is ChunkKind.LEAF
            ):
                first_requests = client.requests
        if first_requests is not None and not first_bytes:
            first_bytes = client.delivery.received_bytes
        if client.delivery.is_ready:
            break
    head = client.reader.head
    plan = client.reader._scheduler.plan if client.reader._scheduler else None
    if head is None or plan is None:
        raise SystemExit("the file has no head")
    pages = [page for page in plan.pages if plan.table.has_page(page.id)]
    index_bytes = head.header.root_end + sum(page.packed_bytes for page in pages)
    figures["client: corner, requests to its first leaves"] = f"{first_requests}"
    figures["client: corner, bytes to its first leaves"] = megabytes(first_bytes)
    figures["client: corner, index until all in view is here"] = (
        f"{index_bytes / 1000:,.0f} kB of {_index_bytes(plan) / 1000:,.0f} kB"
    )
    figures["client: corner, requests until all in view is here"] = f"{client.requests}"
    figures["client: corner, bytes until all in view is here"] = megabytes(
        client.delivery.received_bytes
    )
    figures["client: corner, processor time until then"] = f"{time.thread_time() - start_s:.2f} s"


def _index_bytes(plan: PartPlan) -> int:
    return plan.head.header.root_end + sum(page.packed_bytes for page in plan.pages)


def _street(path: Path, figures: Figures) -> None:
    """Memory of the client after everything in view has arrived, without drawn Gaussians."""

    before_bytes = resident_bytes()
    client = _Walk(path, _BUDGET_BYTES)
    client.reader.look(STREET)
    while client.step() and not client.delivery.is_ready:
        client.arrivals.take()
    client.arrivals.take()
    figures["client: street, memory of index and state when ready, budget 512 MB"] = megabytes(
        resident_bytes() - before_bytes
    )
    figures["client: street, bytes received until then"] = megabytes(client.delivery.received_bytes)
    figures["client: street, a request (with its parts)"] = client.request_watch.spread_ms()
    watch = Stopwatch()
    for view in walk():
        with watch.lap():
            client.reader.look(view.camera)
    figures["client: a new view (scheduler, readiness, memory)"] = watch.spread_ms()


def _revise(path: Path, figures: Figures) -> None:
    """`Residency.revise` per view, with all pages known."""
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        plan = PartPlan(*open_table(read))
    residency = Residency(_BUDGET_BYTES)
    views = walk()
    first = Stopwatch()
    with first.lap():
        revision = residency.revise(plan, views[1])
    figures["client: first revision of memory, all pages known"] = first.spread_ms()
    for chunk in plan.table.keys() - revision.leave_out:
        residency.arrived(chunk)
    watch = Stopwatch()
    for _ in range(2):
        for view in views[4:]:
            with watch.lap():
                revision = residency.revise(plan, view)
            for chunk in revision.take_in | revision.fetch_again:
                residency.arrived(chunk)
    figures["client: revision of memory, turning"] = watch.spread_ms()
    watch = Stopwatch()
    for view in [*views[:4], *views[:4]]:
        with watch.lap():
            revision = residency.revise(plan, view)
        for chunk in revision.take_in | revision.fetch_again:
            residency.arrived(chunk)
    figures["client: revision of memory, jumping"] = watch.spread_ms()
