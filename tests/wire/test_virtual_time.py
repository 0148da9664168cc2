"""Whole sessions in virtual time: both cores and a modelled link, in one process, no sleeps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from exgs.client.decoding import LiveScene
from exgs.client.link import parse_link
from exgs.client.update import Update
from exgs.codec.constants import FRAME_HEAD_BYTES, FrameType
from exgs.lab.simulation.static import StaticSession
from exgs.lab.simulation.streaming import SharedLink, StreamingSession
from exgs.lab.simulation.world import World
from exgs.scene.camera import look_at, pinhole
from exgs.wire.messages import parse_fragment
from tests.client.scenes import write_box
from tests.wire.exchange import camera_at

LINK = parse_link("2mbit,50ms,1%")
SIDE = look_at((-1, 0, 0), (-3, 0, 0), (0, -1, 0), pinhole(48, 32, 40), 48, 32)  # sees half of it
VIEWS = [(0.3, camera_at(3, 0, 0)), (0.5, camera_at(0, 0, -3)), (0.9, camera_at(-3, 0, 1))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("lab") / "box.exgs"
    write_box(path, 12_000)
    return path.read_bytes()


def _two_clients(data: bytes, seed: int) -> tuple[World, list[StreamingSession]]:
    """Two clients that share a link, one of which looks around."""
    world = World()
    path = SharedLink(world, LINK, seed=seed)
    first = StreamingSession(path, data, camera=camera_at(0, 0, -3))
    second = StreamingSession(path, data, start_s=0.2)
    for at_s, camera in VIEWS:
        world.at(at_s, lambda camera=camera: first.look(camera))  # type: ignore[misc]
    return world, [first, second]


def _transcript(sessions: list[StreamingSession]) -> str:
    """A hash of every frame of both sides, and of when it went."""
    digest = hashlib.sha256()
    for session in sessions:
        for sent in session.sent:
            digest.update(f"{sent.at_s!r} {sent.by_server}".encode() + sent.frame)
    return digest.hexdigest()


def test_two_sessions_bring_the_file_and_two_runs_are_equal_byte_by_byte(data: bytes) -> None:
    transcripts = []
    for _ in range(2):
        world, sessions = _two_clients(data, seed=7)
        world.run(until_s=60.0)
        for session in sessions:
            assert session.done_s is not None
            assert session.is_ready
        transcripts.append(_transcript(sessions))
    assert transcripts[0] == transcripts[1]
    world, sessions = _two_clients(data, seed=8)  # other losses
    world.run(until_s=60.0)
    assert _transcript(sessions) != transcripts[0]


def test_the_link_carries_no_more_than_it_can_and_is_kept_full(data: bytes) -> None:
    world, sessions = _two_clients(data, seed=1)
    world.run(until_s=60.0)
    least_s = 2 * len(data) * 8 / LINK.rate_bps
    last_s = max(session.done_s or 0.0 for session in sessions)
    assert least_s < last_s < 1.25 * least_s + 4 * LINK.rtt_s


def test_a_new_view_turns_the_stream_within_a_round_trip_and_what_fills_the_link(
    data: bytes,
) -> None:
    world = World()
    session = StreamingSession(
        SharedLink(world, parse_link("2mbit,50ms")), data, camera=VIEWS[0][1]
    )
    world.at(0.6, lambda: session.look(VIEWS[2][1]))
    world.run(until_s=60.0)
    turned_s = min(
        sent.at_s
        for sent in session.sent
        if sent.by_server
        and sent.frame[0] == FrameType.CHUNK
        and parse_fragment(sent.frame[FRAME_HEAD_BYTES:]).view_serial == 2
    )
    assert 0.65 <= turned_s < 0.75


def _updates(session: StreamingSession | StaticSession) -> list[Update]:
    live, updates = LiveScene(), []
    while session.arrivals.wait(0) or live.has_left:
        update = live.advance(session.arrivals.take())
        if update is not None:
            updates.append(update)
    return updates


@pytest.mark.parametrize("kind", [StreamingSession, StaticSession])
def test_both_profiles_bring_the_same_scene(
    data: bytes, kind: Callable[..., StreamingSession | StaticSession]
) -> None:
    world = World()
    session = kind(SharedLink(world, LINK, seed=3), data, camera=SIDE)
    ready_s = []
    for tick in range(200):
        world.run(until_s=tick * 0.02)
        if session.is_ready:
            ready_s.append(world.now_s)
    assert session.done_s is not None
    assert ready_s[0] < session.done_s  # what is out of view comes later
    world.after(0.0, lambda: session.look(VIEWS[1][1]))
    world.run()
    assert session.is_ready
    last = _updates(session)[-1]
    assert last.is_complete
    assert len(last.gaussians) == 12_000


def test_ranges_keep_few_bytes_ahead_on_a_slow_link(data: bytes, tmp_path: Path) -> None:
    world = World()
    session = StaticSession(SharedLink(world, parse_link("1mbit,50ms")), data)
    world.run(until_s=60.0)
    assert session.done_s is not None
    gaps_s = [after - before for (before, _), (after, _) in pairwise(session.asked)]
    assert max(gaps_s) < 1.5  # a new view would change what comes as soon
