"""The server's policies: what they decide, at times that the test makes up."""

from __future__ import annotations

from exgs.server.config import Patience, Quota
from exgs.server.flow.patience import HeadWait, Progress, SignOfLife
from exgs.server.flow.quotas import Quotas

PATIENCE = Patience(head_s=10, idle_s=60, piece_s=10)
LIMITED = frozenset[str]()


def test_a_head_that_does_not_come_is_not_awaited() -> None:
    head = HeadWait(PATIENCE, 5.0)
    assert not head.is_over(15.0)
    assert head.is_over(15.1)


def test_a_head_that_drips_is_not_awaited_longer() -> None:
    head = HeadWait(PATIENCE, 0.0)
    for second in range(10):
        head.came(float(second))
    assert head.is_over(10.1)


def test_a_request_may_take_any_time_and_then_the_connection_rests() -> None:
    head = HeadWait(PATIENCE, 0.0)
    head.request_begins()
    assert not head.is_over(1000.0)
    head.request_ends(1000.0)
    assert not head.is_over(1060.0)
    assert head.is_over(1060.1)
    head.came(1050.0)  # the first byte of the next request
    assert not head.is_over(1060.0)
    assert head.is_over(1060.1)


def test_a_reader_on_a_slow_link_gets_on_and_one_that_takes_a_drip_does_not() -> None:
    slow, drip = Progress(0.0), Progress(0.0)
    for second in range(60):
        assert slow.waits_s(second, 100_000, 2000 * second, 4096) <= 3
        waits_s = drip.waits_s(second, 100_000, 50 * second, 4096)
    assert waits_s > PATIENCE.piece_s


def test_a_reader_that_has_taken_all_is_not_slow() -> None:
    progress = Progress(0.0)
    progress.waits_s(1.0, 100, 0, 4096)
    assert progress.waits_s(50.0, 0, 100, 4096) == 0
    assert progress.waits_s(500.0, 0, 100, 4096) == 0


def test_an_idle_stream_is_pinged_three_times_and_then_given_up() -> None:
    life = SignOfLife(30.0)
    assert life.wake_s(7.0) == 37.0
    assert [life.pings() for _ in range(4)] == [True, True, True, False]
    life.heard()
    assert life.pings()


def test_an_address_may_send_a_burst_and_then_its_rate() -> None:
    quotas = Quotas(Quota(requests_per_s=5, unlimited_addresses=LIMITED))
    assert sum(quotas.is_request_allowed(0.0, "a") for _ in range(20)) == 10
    assert quotas.is_request_allowed(0.0, "b")
    assert not quotas.is_request_allowed(0.1, "a")
    assert quotas.is_request_allowed(0.2, "a")
    quotas.forget_rested(0.3)
    assert not quotas.is_request_allowed(0.3, "a")
    quotas.forget_rested(100.0)
    assert sum(quotas.is_request_allowed(100.0, "a") for _ in range(20)) == 10


def test_connections_are_counted_by_address_and_in_all() -> None:
    quotas = Quotas(Quota(connections=3, connections_per_address=2, unlimited_addresses=LIMITED))
    assert quotas.admit("a")
    assert quotas.admit("a")
    assert not quotas.admit("a")
    assert quotas.admit("b")
    assert not quotas.admit("c")
    quotas.leave("a")
    assert quotas.admit("a")
