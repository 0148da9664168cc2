"""Progress tells how far a whole command is, with or without a terminal."""

from __future__ import annotations

import pytest

from exgs.cli.output import Output
from exgs.cli.progress import ENCODING, Job, duration

SPANS = {"one": (0, 10), "two": (10, 70), "three": (70, 100)}


def test_the_stages_add_up_to_the_whole_job() -> None:
    job = Job(SPANS, 100.0)
    assert job.reached("one", 0.5, 105.0).fraction == pytest.approx(0.05)
    assert job.reached("two", 0.5, 140.0).fraction == pytest.approx(0.4)
    at = job.reached("three", 0.0, 170.0)
    assert at.fraction == pytest.approx(0.7)
    assert at.left_s == pytest.approx(30.0)
    assert at.text == "70%, about 30 s left"
    assert job.reached("three", 1.0, 200.0).left_s == 0


def test_progress_never_goes_back_and_unknown_stages_change_nothing() -> None:
    job = Job(SPANS, 0.0)
    job.reached("two", 1.0, 1.0)
    for stage in ("one", "two", "another"):
        assert job.reached(stage, 0.1, 2.0).fraction == pytest.approx(0.7)


def test_a_job_without_known_stages_shows_the_current_one() -> None:
    job = Job({}, 0.0)
    assert job.reached("verifying", 0.25, 10.0).left_s == pytest.approx(30.0)
    assert job.reached("another", 0.01, 11.0).text == "1%"


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    job = Job(SPANS, 0.0)
    lines = [job.line("two", second / 60, float(second)) for second in range(31)]
    said = {second: line for second, line in enumerate(lines) if line is not None}
    assert list(said) == [10, 20, 30]
    assert said[30] == "two: 40%, about 45 s left"


def test_all_stages_of_encoding_have_a_share() -> None:
    for stage in ("reading", "scoring", "quantizing", "proxies of layer 3", "encoding blocks"):
        start, end = ENCODING[stage]
        assert 0 <= start < end <= 100


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (89, "89 s"), (150, "2 min"), (7500, "2 h 5 min")]
)
def test_a_duration_has_one_or_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_a_terminal_lines_go_to_stderr_unless_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = 0.0
    monkeypatch.setattr("exgs.cli.output.time.perf_counter", lambda: now_s)
    for quiet in (False, True):
        now_s = 0.0
        with Output(quiet=quiet).progress(SPANS) as report:
            report("one", 0.0)
            now_s = 12.0
            report("two", 0.5)
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == ("" if quiet else "two: 40%, about 18 s left\n")
