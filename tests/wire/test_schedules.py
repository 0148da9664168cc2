"""The order of parts is the one that spec/protocol.md, section 10, gives: vectors and random files.

Two schedulers go through the same events, exgs' and one that is written from the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from exgs.codec.format.index_io import parse_page
from exgs.codec.format.rows import PageRef
from exgs.scene.camera import Camera
from exgs.wire import events
from exgs.wire.parts import HaveSet, is_page
from exgs.wire.scheduler import Scheduler
from exgs.wire.sketch import Sketch
from tests.codec.forge import assemble
from tests.codec.forged_files import divided_file, paged_file
from tests.wire.exchange import BoxFile
from tests.wire.reference_scheduler import ReferenceScheduler, View
from tests.wire.schedules import Piece, Schedule, camera, follow, load, points, reference, schedules


class Ours:
    """The scheduler of exgs.wire, as `follow` drives it."""

    def __init__(self, data: bytes, *, knows_all: bool) -> None:
        self.box = BoxFile(data)
        self.plan = self.box.plan() if knows_all else self.box.partial_plan()
        self.scheduler = Scheduler(self.plan)
        self.serial = 0

    def hold(self, chunks: Sequence[int], pages: Sequence[int], partial: dict[int, int]) -> None:
        have = HaveSet(bytes(16), frozenset(chunks), frozenset(pages), partial)
        self.scheduler = Scheduler(self.plan, have)

    def look(self, view: View | None) -> None:
        self.serial += 1
        if view is None:
            self.scheduler.set_view(None)
            return
        viewmat, K = np.array(view.viewmat).reshape(4, 4), np.array(view.K).reshape(3, 3)
        self.scheduler.set_view(events.View(self.serial, Camera(viewmat, K, *view.size)))

    def sketch(self, points: Sequence[Sequence[float]]) -> None:
        columns = np.array(points, np.float64)
        self.scheduler.set_sketch(Sketch(columns[:, :3], columns[:, 3], columns[:, 4]))

    def cancel(self, chunks: Sequence[int]) -> None:
        self.scheduler.cancel(chunks)

    def want(self, chunks: Sequence[int], *, again: bool = False) -> None:
        self.scheduler.want(chunks, again=again)

    def take(self, most: int) -> Piece | None:
        piece = self.scheduler.next(most)
        if piece is None:
            return None
        self.scheduler.record(piece)
        ref = self.plan.ref(piece.part)
        assert piece.file_offset == ref.offset + piece.offset
        if is_page(piece.part) and self.scheduler.is_whole(piece.part):
            assert isinstance(ref, PageRef)
            if not self.plan.table.has_page(ref.id):
                packed = self.box.read(ref.offset, ref.packed_bytes)
                self.scheduler.add_page(ref, parse_page(packed, ref, self.plan.facts))
        return piece.part, piece.offset, piece.length


def _orders(schedule: Schedule) -> list[list[Piece]]:
    return [[tuple(piece) for piece in step["order"]] for step in schedule.steps]


def test_the_schedules_are_those_that_their_maker_makes() -> None:
    bare = [
        {**vars(s), "steps": [{k: v for k, v in step.items() if k != "order"} for step in s.steps]}
        for s in load()
    ]
    assert bare == [vars(schedule) for schedule in schedules()]


@pytest.mark.parametrize("schedule", load(), ids=lambda schedule: schedule.name)
def test_both_schedulers_choose_what_the_vectors_say(schedule: Schedule) -> None:
    orders = _orders(schedule)
    assert follow(schedule, reference(schedule)) == orders
    ours = Ours(schedule.data, knows_all=schedule.knows == "all")
    assert follow(schedule, ours) == orders


def test_every_byte_that_is_not_held_comes_in_the_end() -> None:
    for schedule in load():
        chooser = reference(schedule)
        orders = follow(schedule, chooser)
        assert all(map(chooser.whole, [*chooser.rows, *(1 << 31 | n for n in chooser.pages)]))
        sent = sum(length for order in orders for _, _, length in order)
        again = [chunk for step in schedule.steps for chunk in step.get("again", [])]
        repeated = sum(chooser.length(chunk) for chunk in again)
        have = schedule.have or {"chunks": [], "pages": [], "partial": []}
        held = sum(map(chooser.length, have["chunks"])) + sum(n for _, n in have["partial"])
        held += sum(chooser.pages[page].packed for page in have["pages"])
        assert sent - repeated + held == len(schedule.data) - chooser.index.poster_end


@cache
def _file(number: int) -> bytes:
    return assemble(paged_file() if number else divided_file())


def _random_steps(rng: np.random.Generator, chunks: int) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for _ in range(rng.integers(1, 9)):
        step: dict[str, Any] = {"takes": int(rng.integers(1, 40))}
        some = rng.integers(0, chunks, rng.integers(1, 6)).tolist()
        action = rng.choice(["view", "view", "cancel", "want", "none", "sketch"])
        if action == "view":
            eye = rng.normal(0.5, rng.choice([0.2, 1, 5]), 3)
            size = tuple(rng.integers(20, 300, 2).tolist())
            seen = camera(eye.tolist(), (eye + rng.normal(0, 1, 3)).tolist(), size, 70)
            step["view"] = seen if rng.random() > 0.15 else None
        elif action == "sketch":
            step["sketch"] = points(int(rng.integers(1, 80)), int(rng.integers(1000)))
        elif action != "none":
            step[str(action)] = some
        steps.append(step)
    return [*steps, {"want": list(range(chunks))}]


@pytest.mark.parametrize("seed", range(60))
def test_both_schedulers_choose_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = _file(seed % 2)
    knows_all = bool(seed & 2)
    theirs = ReferenceScheduler(data, knows_all=knows_all)
    size = int(rng.choice([64, 100, 1000, 1 << 20]))
    steps = _random_steps(rng, theirs.index.total)
    schedule = Schedule("", "", "", "", size, None, steps)
    assert follow(schedule, Ours(data, knows_all=knows_all)) == follow(schedule, theirs)
