"""The stages of an encoding: reported to the caller, and timed."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str, float], None]  # (stage, share of the stage that is done)


class Stages:
    """Reports stages to the caller and measures their wall times."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._started_s = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def enter(self, stage: str) -> None:
        self._close()
        self._stage = stage
        self._progress(stage, 0.0)

    def report(self, share: float) -> None:
        self._progress(self._stage, share)

    def finish(self) -> dict[str, float]:
        self._close()
        return self.seconds

    def _close(self) -> None:
        now_s = time.perf_counter()
        if self._stage:
            self._progress(self._stage, 1.0)
            spent_s = now_s - self._started_s
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + spent_s
        self._started_s = now_s
