"""Packed chunks of dropped cells stay in memory for a while, so that they come back at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from exgs.client.arrivals import Arrivals, ChunkCame
from exgs.client.decoding import LiveScene
from exgs.client.delivery import Delivery
from exgs.client.shelf import Shelf
from exgs.codec.format.container import FilePusher
from exgs.wire.events import View
from exgs.wire.plan import PartPlan
from tests.client.scenes import write_box
from tests.client.test_residency import LEFT, RIGHT

COUNT = 3000


def test_the_least_recently_used_goes_first() -> None:
    shelf = Shelf(30)
    for chunk in (1, 2, 3):
        shelf.put(chunk, bytes(10), is_in_use=lambda _: False)
    assert shelf.get(1) is not None
    shelf.put(4, bytes(10), is_in_use=lambda _: False)
    assert [shelf.get(chunk) is not None for chunk in (1, 2, 3, 4)] == [True, False, True, True]


def test_what_is_in_use_stays_longest() -> None:
    shelf = Shelf(30)
    for chunk in (1, 2, 3, 4, 5):
        shelf.put(chunk, bytes(10), is_in_use=lambda chunk: chunk in (1, 2))
    assert [shelf.get(chunk) is not None for chunk in range(1, 6)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_a_shelf_that_is_too_small_keeps_nothing() -> None:
    shelf = Shelf(5)
    shelf.put(1, bytes(10), is_in_use=lambda _: True)
    assert shelf.get(1) is None
    shelf.put(2, bytes(4), is_in_use=lambda _: True)
    assert shelf.get(2) == bytes(4)


@pytest.mark.parametrize("is_shelved", [True, False])
def test_what_is_dropped_comes_back_without_the_network(tmp_path: Path, is_shelved: bool) -> None:
    path = tmp_path / "box.exgs"
    write_box(path, COUNT)
    pusher = FilePusher()
    packed = {chunk.id: (chunk, data) for chunk, data in pusher.receive_data(path.read_bytes())}
    assert pusher.head is not None
    assert pusher.table is not None
    plan = PartPlan(pusher.head, pusher.table)
    arrivals = Arrivals()
    delivery = Delivery(arrivals, memory_bytes=COUNT * 170)
    if not is_shelved:
        delivery._shelf = Shelf(0)
    delivery.open(pusher.head)
    delivery.follow(plan)
    left_out = delivery.revise(plan, View(1, LEFT)).leave_out
    assert left_out
    for chunk, (ref, data) in packed.items():
        if chunk not in left_out:
            delivery.add_chunk(ref, data)
    assert delivery.is_settled
    live = LiveScene()
    live.advance(arrivals.take())
    away = delivery.revise(plan, View(2, RIGHT))
    assert away.drop
    arrivals.take()
    back = delivery.revise(plan, View(3, LEFT))
    came = {
        arrival.ref.id for arrival in arrivals.take().arrivals if isinstance(arrival, ChunkCame)
    }
    if is_shelved:
        assert came
        assert not back.fetch_again
        assert came <= away.drop
    else:
        assert not came
        assert back.fetch_again <= away.drop
        assert back.fetch_again


def test_chunks_that_are_dropped_before_they_are_decoded_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "box.exgs"
    write_box(path, COUNT)
    pusher = FilePusher()
    chunks = pusher.receive_data(path.read_bytes())
    assert pusher.head is not None
    arrivals, live = Arrivals(), LiveScene()
    arrivals.open(pusher.head)
    for ref, data in chunks:
        arrivals.add_chunk(ref, data)
    gone = tuple(ref for ref, _ in chunks if ref.layer > 0)
    arrivals.drop(gone)
    while live.advance(arrivals.take()) is not None:
        pass
    assert not live.has_left
    assert set(live._decoded) == {ref.id for ref, _ in chunks if ref.layer == 0}
