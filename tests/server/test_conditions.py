"""Range and conditional headers, against RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgs.server.conditions import Answer, decide

TAG = '"abc"'
SIZE = 1000
WHOLE = Answer(200, 0, SIZE)


def _get(**headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return decide("GET", named, TAG, SIZE)


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ("bytes=0-0", Answer(206, 0, 1)),
        ("bytes=0-999", Answer(206, 0, 1000)),
        ("bytes=10-", Answer(206, 10, 1000)),
        ("bytes=10-99999", Answer(206, 10, 1000)),
        ("bytes=-1", Answer(206, 999, 1000)),
        ("bytes=-5000", Answer(206, 0, 1000)),
        ("Bytes = 5-6", Answer(206, 5, 7)),
        ("bytes=1000-", Answer(416)),
        ("bytes=1000-2000", Answer(416)),
        ("bytes=-0", Answer(416)),
        ("bytes=5-4", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=0-1,5-6", WHOLE),
        ("lines=0-1", WHOLE),
        ("bytes=" + "9" * 400 + "-", WHOLE),
        ("bytes=\u0661-\u0662", WHOLE),
        ("", WHOLE),
    ],
)
def test_ranges_follow_the_rfc(wanted: str, answer: Answer) -> None:
    assert _get(Range=wanted) == answer


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (TAG, 200),
        ("*", 200),
        (f'"x", {TAG}', 200),
        (f'"a,b" , {TAG}', 200),
        ('"x"', 412),
        (f"W/{TAG}", 412),
        ("abc", 412),
        ("", 412),
    ],
)
def test_if_match_compares_strongly(condition: str, status: int) -> None:
    assert _get(If_Match=condition).status == status
    assert _get(If_Match=condition, Range="bytes=0-1").status == (206 if status == 200 else 412)


@pytest.mark.parametrize(
    ("condition", "status"), [(TAG, 304), (f"W/{TAG}", 304), ("*", 304), ('"x"', 200), ("abc", 200)]
)
def test_if_none_match_compares_weakly(condition: str, status: int) -> None:
    assert _get(If_None_Match=condition).status == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 206), ('"x"', 200), (f"W/{TAG}", 200), ("Mon, 23 Nov 2026 22:41:34 GMT", 200)],
)
def test_if_range_gives_a_range_for_the_same_bytes_only(condition: str, status: int) -> None:
    assert _get(If_Range=condition, Range="bytes=0-1").status == status


def test_a_failed_if_match_comes_first() -> None:
    assert _get(If_Match='"x"', If_None_Match=TAG, Range="bytes=2000-").status == 412


def test_head_has_no_ranges() -> None:
    assert decide("HEAD", {"Range": "bytes=0-1"}, TAG, SIZE) == WHOLE


@given(
    st.text("bytes=0123456789-, ", max_size=24),
    st.text('W/"abc", *', max_size=24),
    st.integers(1, 1 << 40),
)
def test_any_answer_is_inside_the_file(wanted: str, condition: str, size: int) -> None:
    headers = {"Range": wanted, "If-None-Match": condition}
    answer = decide("GET", headers, TAG, size)
    assert answer.status in (200, 206, 304, 416)
    assert 0 <= answer.start <= answer.end <= size
    assert (answer.status in (200, 206)) == (answer.start < answer.end)
