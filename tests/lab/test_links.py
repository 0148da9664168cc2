"""Links: traces in all their forms, the bottleneck that follows them, transports."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.client.link import Bottleneck, Lane, parse_link
from exgs.lab.errors import LabError
from exgs.lab.links.rates import Rates, RateWalk
from exgs.lab.links.traces import read_trace
from exgs.lab.links.transport import CubicLane, LinkModel

FORMS = {
    "mahimahi": "0\n100\n100\n999\n",
    "seconds-mbps": "0.0 1.5\n2.0\t3\n4.5 0.5\n",
    "csv": "time_ms,bandwidth_kbps\n0,1500\n2000,3000\n4500,500\n",
    "sabre": '[{"duration_ms": 2000, "bandwidth_kbps": 1500, "latency_ms": 20},'
    ' {"duration_ms": 2500, "bandwidth_kbps": 3000}, {"duration_ms": 2250, "bandwidth_kbps": 500}]',
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_and_recognised(form: str, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(FORMS[form])
    told, guessed = read_trace(path, form), read_trace(path)
    assert guessed.length_s == told.length_s
    np.testing.assert_array_equal(guessed.rates_bps, told.rates_bps)
    if form == "mahimahi":
        assert told.bits_before(0.999) == pytest.approx(4 * 12_000, rel=1e-3)
    else:
        assert told.rates_bps.tolist() == [1.5e6, 3e6, 0.5e6]
        assert told.starts_s.tolist() == [0, 2, 4.5]
        assert told.length_s == pytest.approx(6.75)


@pytest.mark.parametrize("text", ["", "0 1\n0.5 x\n", "a,b\n1,2\n", "5 1\n4 1\n", "[{}]"])
def test_what_is_no_trace_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.log"
    path.write_text(text)
    with pytest.raises(LabError, match=r"broken\.log"):
        read_trace(path)


RATES = st.lists(st.floats(0, 1e7), min_size=1, max_size=8).filter(lambda rates: max(rates) > 1e3)


@settings(deadline=None, max_examples=50)
@given(RATES, st.lists(st.integers(1, 200_000), min_size=1, max_size=10))
def test_a_bottleneck_passes_what_the_trace_can_carry(rates: list[float], sizes: list[int]) -> None:
    trace = Rates.of([float(n) for n in range(len(rates))], rates, float(len(rates)))
    walk, now_s, sent = RateWalk(trace), 0.0, 0
    for size in sizes:
        now_s = walk.passed_s(now_s, size * 8)
        sent += size * 8
        if now_s < 1e4:
            assert trace.bits_before(now_s) == pytest.approx(sent, rel=1e-6, abs=1)


@given(st.floats(0, 50))
def test_a_shifted_trace_is_the_same_begun_later(by_s: float) -> None:
    trace = Rates.of([0, 1, 4], [1e6, 5e6, 2e6], 7.0)
    moved = trace.shifted(by_s)
    assert moved.bits_before(20) == pytest.approx(
        trace.bits_before(by_s + 20) - trace.bits_before(by_s), rel=1e-9
    )


def _minute(kind: type[Lane], text: str) -> float:
    """Bytes that a sender gets through a link in a minute, by its window alone."""
    link = parse_link(text)
    lane = kind(link, Bottleneck(link), random.Random(1))
    now_s, sent, flight = 0.0, 0, []
    while now_s < 60:
        if lane.room >= 1448:
            flight.append((lane.send(now_s, 1448) + link.delay_s, 1448))
            sent += 1448
            continue
        now_s, size = flight.pop(0)
        lane.acknowledge(size)
    return sent


def test_losses_slow_cubic_down_but_not_bbr() -> None:
    assert _minute(CubicLane, "8mbit,50ms") == pytest.approx(_minute(Lane, "8mbit,50ms"), rel=0.1)
    lossy = "8mbit,50ms,1%"
    # Mathis et al. 1997: about 1.2 segments a round trip over the root of the loss.
    assert 0.1e6 * 60 / 8 * 8 < _minute(CubicLane, lossy) < 0.5 * _minute(Lane, lossy)


def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(LabError, match="bbr, cubic"):
        LinkModel(parse_link("1mbit"), transport="reno")
