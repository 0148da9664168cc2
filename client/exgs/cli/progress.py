"""Estimates the progress and the remaining time of a command.

The stages of a command take about the same shares of its time for every scene. From these and the
fraction of the current stage follows the fraction of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_EARLY = 0.03  # of the job: the remaining time is not estimated before
_LINES_S = 10.0  # between two lines without a terminal

Spans = Mapping[str, tuple[float, float]]

# From where to where of a command's time each stage takes, in percent. Encoding has some stages
# only in one piece (quantizing, clustering, proxies) or only by blocks (coarse layers, blocks).
ENCODING: Spans = {
    "fetching": (0, 1),
    "reading": (1, 2),
    "cropping": (2, 3),
    "scoring": (2, 11),
    "layering": (11, 12),
    "quantizing": (12, 24),
    "clustering": (24, 26),
    "proxies of layer 0": (26, 48),
    "proxies of layer 1": (48, 64),
    "proxies of layer 2": (64, 75),
    "proxies of layer 3": (75, 84),
    "coarse layers": (11, 20),
    "encoding blocks": (20, 84),
    "ordering": (84, 90),
    "measuring": (90, 99),
    "writing": (99, 100),
}
FINAL_ENCODING: Spans = {
    "reducing": (2, 60),
    **{stage: (60 + 0.4 * start, 60 + 0.4 * end) for stage, (start, end) in ENCODING.items()},
    **{stage: ENCODING[stage] for stage in ("fetching", "reading")},
}
STREAMING: Spans = {"receiving": (0, 65), "measuring": (65, 100)}


@dataclass(frozen=True, slots=True)
class Standing:
    """The progress of a job."""

    stage: str
    fraction: float  # of the whole job, in [0, 1]
    left_s: float | None  # estimated; None if it is too early

    @property
    def text(self) -> str:
        """As text: percent and time left."""
        left = "" if self.left_s is None else f", about {duration(self.left_s)} left"
        return f"{self.fraction:.0%}{left}"


class Job:
    """A job of several stages, started at `start_s`.

    Without `spans`, progress is that of a stage.
    """

    def __init__(self, spans: Spans, start_s: float) -> None:
        self._spans = spans
        self._start_s = start_s
        self._line_s = start_s
        self._fraction = 0.0

    def reached(self, stage: str, fraction: float, now_s: float) -> Standing:
        """The progress of the job when `fraction` of `stage` is done. It never decreases."""
        if stage in self._spans:
            start, end = self._spans[stage]
            self._fraction = max(self._fraction, (start + (end - start) * fraction) / 100)
        elif not self._spans:
            self._fraction = fraction
        left_s = None
        if self._fraction >= _EARLY:
            left_s = (now_s - self._start_s) * (1 - self._fraction) / self._fraction
        return Standing(stage, self._fraction, left_s)

    def line(self, stage: str, fraction: float, now_s: float) -> str | None:
        """A line for a log, every ten seconds; None in between."""
        standing = self.reached(stage, fraction, now_s)
        if now_s - self._line_s < _LINES_S:
            return None
        self._line_s = now_s
        return f"{stage}: {standing.text}"


def duration(seconds: float) -> str:
    """A time in one or two units, as in 40 s, 3 min, 2 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
