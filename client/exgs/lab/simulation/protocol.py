"""Simulates a session of the real protocol: both cores, scheduler, credit and pacing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from exgs.client.arrivals import Arrivals
from exgs.codec.format.rows import ChunkRef
from exgs.lab.assets.asset import Asset
from exgs.lab.assets.exgs_file import ExgsFile
from exgs.lab.errors import LabError
from exgs.lab.links.transport import LinkModel
from exgs.lab.simulation.static import StaticSession
from exgs.lab.simulation.streaming import SharedLink, StreamingSession
from exgs.lab.simulation.terms import Terms
from exgs.lab.simulation.transcript import Transcript
from exgs.lab.simulation.world import World
from exgs.lab.viewers.path_views import PathViews
from exgs.wire.units import Unit


class TimedArrivals(Arrivals):
    """Records when chunks and bytes arrived."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        super().__init__()
        self.chunks: list[tuple[float, int]] = []
        self.bytes: list[tuple[float, int]] = []
        self._now_s = now_s

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        """Record a chunk; its bytes are not kept."""
        self.chunks.append((self._now_s(), chunk.id))

    def count(self, length_bytes: int, now_s: float) -> None:
        """Record received bytes."""
        super().count(length_bytes, now_s)
        self.bytes.append((self._now_s(), self.received_bytes))


def run_protocol(asset: Asset, link: LinkModel, views: PathViews, terms: Terms) -> Transcript:
    """Simulate a session of the streaming or the static profile, as `terms` say."""
    file = asset.source
    if not isinstance(file, ExgsFile):
        raise LabError("policies exgs and exgs-static need .exgs files: remove 'format'")
    world = World()
    shared = SharedLink(world, link, seed=terms.seed)
    arrivals = TimedArrivals(lambda: world.now_s)
    start_s = terms.connect_trips * link.link.rtt_s
    kind = StreamingSession if terms.profile == "push" else StaticSession
    session = kind(
        shared,
        file.data,
        start_s=start_s,
        camera=views.camera(views.number(start_s)),
        arrivals=arrivals,
    )
    looks = _follow(world, session, views, start_s, terms.length_s)
    world.run(until_s=terms.length_s)
    if isinstance(session, StaticSession):
        answered = session.answered_s
    else:  # serial 1 was in HELLO; the n-th look has serial n + 2
        answered = [at - looks[serial - 2] for serial, at in session.answers if serial >= 2]
    return as_transcript(file, arrivals, answered, session.done_s)


def as_transcript(
    file: ExgsFile, arrivals: TimedArrivals, answered_s: list[float], done_s: float | None
) -> Transcript:
    """When each item became complete, from the arrival times of its chunks."""
    plan = file.plan
    left = [len(unit.chunks) for unit in plan.units]
    came_s: dict[int, float] = {}
    times, items = [], []
    come_bytes = 0
    for at_s, chunk in arrivals.chunks:
        unit = plan.unit_of[chunk]
        left[unit] -= 1
        come_bytes += file.table[chunk].packed_bytes
        if not left[unit]:
            came_s[unit] = at_s
    whole_bytes = 0
    pending = sorted(came_s, key=lambda unit: came_s[unit])
    shown_s: dict[int, float] = {}
    for unit in _after_needed(plan.units, pending):
        needed = plan.units[unit].needs
        if needed is not None and needed not in shown_s:
            continue
        shown_s[unit] = max(came_s[unit], shown_s[needed] if needed is not None else 0.0)
        whole_bytes += plan.units[unit].packed_bytes
    for unit, at_s in sorted(shown_s.items(), key=lambda pair: (pair[1], pair[0])):
        times.append(at_s)
        items.append(int(file.item_of[unit]))
    order = sorted(range(len(items)), key=lambda n: (times[n], items[n]))
    return Transcript(
        np.array([times[n] for n in order]),
        np.array([items[n] for n in order], np.int64),
        np.array([at for at, _ in arrivals.bytes]),
        np.array([size for _, size in arrivals.bytes], np.int64),
        np.array(answered_s),
        done_s,
        come_bytes - whole_bytes,
        len(arrivals.bytes),
    )


def _after_needed(units: Sequence[Unit], pending: list[int]) -> list[int]:
    """Units, each after those that it needs."""
    depth: dict[int, int] = {}

    def deep(unit: int) -> int:
        if unit not in depth:
            needed = units[unit].needs
            depth[unit] = 0 if needed is None else deep(needed) + 1
        return depth[unit]

    return sorted(pending, key=deep)


def _follow(
    world: World,
    session: StreamingSession | StaticSession,
    views: PathViews,
    start_s: float,
    length_s: float,
) -> list[float]:
    """Schedule a `look` for each view that differs from the one before; returns the times."""
    looks: list[float] = []

    def look(number: int) -> None:
        before, now = views.pose(number - 1), views.pose(number)
        if (before.eye != now.eye).any() or (before.quat != now.quat).any():
            looks.append(world.now_s)
            session.look(views.camera(number))

    for number in range(views.number(start_s) + 1, views.number(length_s) + 1):
        world.at(number * views.step_s, lambda number=number: look(number))  # type: ignore[misc]
    return looks
