"""The client's policies: what they decide, at times that the test makes up."""

from __future__ import annotations

from exgs.client.flow.ahead import REQUESTS, AheadWindow
from exgs.client.flow.backoff import Backoff, GiveUp, Retry
from exgs.client.flow.credit import CreditWindow
from exgs.client.flow.silence import Silence


def test_waits_double_until_something_comes() -> None:
    backoff = Backoff()
    kept_bytes = [100, 100, 100, 200, 200]
    waits_s = []
    for now_s, kept in enumerate(kept_bytes):
        decision = backoff.failed(now_s, kept)
        assert isinstance(decision, Retry)
        assert decision.at_s == now_s + decision.wait_s
        waits_s.append(decision.wait_s)
    assert waits_s == [0.25, 0.5, 1.0, 0.25, 0.5]


def test_a_server_that_never_answered_is_given_up_sooner() -> None:
    backoff = Backoff()
    assert isinstance(backoff.failed(0.0, 0), Retry)
    decision = backoff.failed(1.0, 0)
    assert isinstance(decision, GiveUp)
    assert decision.reason == "gave up after 2 attempts"


def test_a_server_is_given_up_after_six_failures_that_bring_nothing() -> None:
    backoff = Backoff()
    decisions = [backoff.failed(0.0, 10) for _ in range(6)]
    assert [isinstance(decision, Retry) for decision in decisions] == [True] * 5 + [False]


def test_one_part_that_stays_damaged_is_given_up_and_many_that_are_damaged_once_are_not() -> None:
    backoff = Backoff()
    for part in range(20):  # each time a little more has come
        assert isinstance(backoff.failed(0.0, 1000 + part, damaged_part=part), Retry)
    decisions = [backoff.failed(0.0, 2000 + n, damaged_part=3) for n in range(5)]
    assert [isinstance(decision, Retry) for decision in decisions] == [True] * 4 + [False]


def test_a_server_may_ask_for_some_time_but_not_for_days() -> None:
    backoff = Backoff()
    decision = backoff.failed(50.0, 10, retry_after_s=30.0)
    assert decision == Retry(30.0, 80.0)
    assert isinstance(backoff.failed(50.0, 10, retry_after_s=86400.0), GiveUp)


def test_credit_is_given_by_half_windows() -> None:
    window = CreditWindow()
    first_bytes = window.more_bytes(0, 0, is_open=False)
    assert first_bytes == 8 << 20
    assert window.more_bytes(first_bytes * 3 // 4, 0, is_open=True) == 0
    assert window.more_bytes(first_bytes // 4, 0, is_open=True) == first_bytes * 3 // 4


def test_a_byte_limit_bounds_what_has_come_and_what_may_come() -> None:
    window = CreditWindow(100_000)
    given_bytes = window.more_bytes(0, 0, is_open=False)
    assert given_bytes < 100_000  # the head comes without credit
    assert window.more_bytes(50_000, 30_000, is_open=True) == 20_000
    assert window.more_bytes(50_000, 60_000, is_open=True) == 0


def test_few_requests_go_out_and_more_once_they_come_back_quickly() -> None:
    window = AheadWindow()
    flights = []
    while (size := window.next_size(0)) is not None:
        flights.append(window.asked(0.0, size.size_bytes))
    assert len(flights) <= REQUESTS
    before_bytes = sum(flight.left_bytes for flight in flights)
    for flight in flights:
        window.answered(0.05, flight)
        length_bytes = flight.left_bytes
        window.came(flight, length_bytes)
        window.finished(0.1, flight, length_bytes)
        window.ended(flight)
    after_bytes = 0
    while (size := window.next_size(0)) is not None:
        after_bytes += window.asked(1.0, size.size_bytes).left_bytes
    assert after_bytes > 1.5 * before_bytes


def test_fewer_bytes_are_asked_for_where_ranges_queue() -> None:
    window = AheadWindow()
    sizes_bytes = []
    for _ in range(10):  # quick, then slow
        flight = window.asked(0.0, 1 << 17)
        window.answered(0.05, flight)
        window.finished(0.1, flight, 1 << 17)
        window.ended(flight)
    for _ in range(3):
        size = window.next_size(0)
        assert size is not None
        sizes_bytes.append(size.size_bytes)
        flight = window.asked(10.0, size.size_bytes)
        window.finished(12.0, flight, size.size_bytes)
        window.ended(flight)
    assert sizes_bytes[0] > sizes_bytes[1] > sizes_bytes[2]


def test_a_limit_bounds_what_is_asked_for() -> None:
    window = AheadWindow(50_000)
    size = window.next_size(20_000)
    assert size is not None
    assert size.most_bytes == 30_000
    flight = window.asked(0.0, 30_000)
    assert window.next_size(20_000) is None
    window.came(flight, 10_000)
    assert window.next_size(30_000) is None
    window.ended(flight)  # cut short
    assert window.next_size(30_000) is not None
    window.limit_bytes = None
    assert window.left_bytes(10**9) is None


def test_a_silence_is_counted_from_the_last_message() -> None:
    silence = Silence(10.0)
    silence.waits(5.0)
    assert silence.wake_s == 15.0
    assert not silence.is_over(14.9)
    assert silence.is_over(15.0)
    silence.waits(14.0)
    assert not silence.is_over(15.0)
