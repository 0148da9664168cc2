"""A rate limit lets a burst through, then its rate, at times that the test makes up."""

from __future__ import annotations

from exgs.wire.rate import RateLimit


def test_a_burst_and_then_the_rate() -> None:
    limit = RateLimit(10.0, 5.0, 0.0)
    assert [limit.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert not limit.take(0.05)
    assert limit.take(0.1)
    assert not limit.is_rested(0.1)
    assert limit.is_rested(0.6)


def test_what_is_one_too_many_is_delayed_in_order() -> None:
    limit = RateLimit(10.0, 2.0, 0.0)
    now_s, taken_s = 0.0, []
    for _ in range(6):
        taken_s.append(now_s)
        now_s += limit.delay_s(now_s)
    assert [round(at_s, 3) for at_s in taken_s] == [0.0, 0.0, 0.0, 0.1, 0.2, 0.3]
