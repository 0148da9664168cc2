"""Costs of a large scene for the server: opening, each session, view and fragment."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from bench.scale.figures import (
    Figures,
    Stopwatch,
    allocated_bytes,
    megabytes,
    resident_bytes,
)
from bench.scale.views import OVERVIEW, STREET, VIEWS, turning, walk
from exgs.server.catalog import Catalog
from exgs.wire.client import ClientSession
from exgs.wire.events import View
from exgs.wire.parts import HaveSet, is_page
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import Scheduler, Slice
from exgs.wire.server import ServerSession
from exgs.wire.sketch import Sketch

_FRAGMENT_BYTES = 16384
_FRAGMENTS = 1000
_SESSIONS = 4
_ROUNDS = 3
_POINTS = 2600  # of the sketch


def measure(path: Path) -> Figures:
    """The figures of one file."""
    figures: Figures = {}
    before_bytes, start_s = resident_bytes(), time.thread_time()
    catalog = Catalog(path)
    catalog.refresh()
    figures["server: open, processor time"] = f"{time.thread_time() - start_s:.2f} s"
    figures["server: open, memory"] = megabytes(resident_bytes() - before_bytes)
    scene = catalog.get(path.stem)
    if scene is None:
        raise SystemExit(f"{path} can't be opened")
    plan = scene.plan
    plan.screen.sketch = _sketch(plan)
    Scheduler(plan).set_view(View(1, OVERVIEW))
    _views(plan, figures)
    _fragments(plan, figures)
    _messages(plan, path, figures)
    _sessions(plan, figures)
    return figures


def _sketch(plan: PartPlan) -> Sketch:
    """As many points as an encoder writes, in the boxes of tiles: the file has holes for chunks."""
    rng = np.random.default_rng(0)
    low, high = plan.boxes.corners(rng.choice(plan.screen.cells, _POINTS))
    means = rng.uniform(low, high)
    radii = 0.1 * (high - low).max(axis=1) * rng.random(_POINTS)
    return Sketch(means, radii, rng.random(_POINTS))


def _half(plan: PartPlan) -> HaveSet:
    """The first half of the chunks in file order, and all pages."""
    places = range(plan.chunk_count // 2)
    chunks = frozenset(chunk for place in places if (chunk := plan.chunk_at(place)) is not None)
    return HaveSet(plan.head.scene_hash, chunks, frozenset(page.id for page in plan.pages))


def _views(plan: PartPlan, figures: Figures) -> None:
    """`set_view` and the first `next`, for sessions that have nothing, something and much."""
    states = {
        "a new session": Scheduler(plan),
        "after 1,000 fragments": Scheduler(plan),
        "after half of the file": Scheduler(plan, _half(plan)),
    }
    states["after 1,000 fragments"].set_view(View(1, STREET))
    _send(states["after 1,000 fragments"], _FRAGMENTS)
    for state, scheduler in states.items():
        watch = Stopwatch()
        for _ in range(_ROUNDS):
            for view in walk():
                with watch.lap():
                    scheduler.set_view(view)
                    scheduler.next(_FRAGMENT_BYTES)
        figures[f"server: new view and first fragment, {state}"] = watch.spread_ms()
    for name, camera in VIEWS.items():
        watch = Stopwatch()
        for state in ("after 1,000 fragments", "after half of the file"):
            scheduler = states[state]
            for serial in range(_ROUNDS):
                with watch.lap():
                    scheduler.set_view(View(serial + 1, camera))
                    scheduler.next(_FRAGMENT_BYTES)
        figures[f"server: new view, {name}"] = watch.spread_ms()
    watch = Stopwatch()
    for scheduler in states.values():
        for view in walk():
            scheduler.set_view(view)
            with watch.lap():
                _ = scheduler.in_view_missing_bytes
    figures["server: bytes missing in view, first asked"] = watch.spread_ms()


def _send(scheduler: Scheduler, fragments: int) -> None:
    for _ in range(fragments):
        piece = scheduler.next(_FRAGMENT_BYTES)
        if piece is None:
            return
        scheduler.record(piece)


def _fragments(plan: PartPlan, figures: Figures) -> None:
    """1,000 fragments in a row."""
    for state, scheduler in (
        ("a new session", Scheduler(plan)),
        ("after half of the file", Scheduler(plan, _half(plan))),
    ):
        watch = Stopwatch()
        for serial, camera in enumerate((OVERVIEW, STREET), start=1):
            scheduler.set_view(View(serial, camera))
            for _ in range(_FRAGMENTS):
                with watch.lap():
                    piece = scheduler.next(_FRAGMENT_BYTES)
                    if piece is not None:
                        scheduler.record(piece)
        figures[f"server: a fragment, {state}, mean"] = watch.mean_us
        figures[f"server: a fragment, {state}"] = watch.spread_ms()


def _messages(plan: PartPlan, path: Path, figures: Figures) -> None:
    """One message: a view at the server, a fragment at the client."""
    client = ClientSession("scene", credit_bytes=1 << 40, camera=STREET)
    server = ServerSession()
    for frame in client.data_to_send():
        server.receive_data(frame)
    server.send_welcome(plan)
    for frame in server.data_to_send():
        client.receive_data(frame)
    sends, receives, credits, views = Stopwatch(), Stopwatch(), Stopwatch(), Stopwatch()
    cameras = turning()
    for number in range(2 * _FRAGMENTS):
        with sends.lap():
            piece = server.next_fragment()
        if piece is None:
            break
        data = _bytes(path, piece)
        with sends.lap():
            server.send_fragment(piece, data)
            frames = server.data_to_send()
        for frame in frames:
            with receives.lap():
                client.receive_data(frame)
        if number % 8 == 0:
            client.send_credit(_FRAGMENT_BYTES)
            for frame in client.data_to_send():
                with credits.lap():
                    server.receive_data(frame)
        if number % 80 == 40:
            client.send_view(cameras[number // 80 % len(cameras)])
            for frame in client.data_to_send():
                with views.lap():
                    server.receive_data(frame)
                    server.next_fragment()
    figures["server: choose a fragment, or send it, mean"] = sends.mean_us
    figures["server: receive CREDIT, mean"] = credits.mean_us
    figures["server: receive VIEW, choose"] = views.spread_ms()
    figures["client: receive a fragment (wire core), mean"] = receives.mean_us


def _bytes(path: Path, piece: Slice) -> bytes:
    if not is_page(piece.part):
        return bytes(piece.length)
    with path.open("rb") as file:
        file.seek(piece.file_offset)
        return file.read(piece.length)


def _sessions(plan: PartPlan, figures: Figures) -> None:
    """Memory of a session, with what it has sent."""

    def make(have: HaveSet | None, fragments: int) -> list[Scheduler]:
        schedulers = []
        for _ in range(_SESSIONS):
            scheduler = Scheduler(plan, have)
            for serial, camera in enumerate((OVERVIEW, STREET), start=1):
                scheduler.set_view(View(serial, camera))
                _send(scheduler, fragments)
            schedulers.append(scheduler)
        return schedulers

    half = _half(plan)
    for what, have, fragments in (
        ("new", None, 1),
        ("after 1,000 fragments", None, _FRAGMENTS // 2),
        ("after half of the file", half, 1),
    ):
        _, held = allocated_bytes(lambda have=have, fragments=fragments: make(have, fragments))
        figures[f"server: memory of a session, {what}"] = f"{held / _SESSIONS / 1000:,.0f} kB"
