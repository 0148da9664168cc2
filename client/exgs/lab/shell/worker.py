"""Runs one session of a sweep in a process."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from exgs.lab.experiment import read_experiment
from exgs.lab.jobs import Job
from exgs.lab.session import Result, Session
from exgs.lab.stage import Stage


@dataclass(frozen=True, slots=True)
class Planned:
    """A session to run: its number in the experiment, and the name of its result."""

    number: int
    job: Job
    key: str
    experiment_key: str  # hash of the experiment's file, which may change between runs


def run_here(path: Path, cache: Path, item: Planned) -> Result:
    """Run one session in this process. Opened scenes are kept for the next sessions."""
    return Session(item.job, _stage(path, cache, item.experiment_key)).simulated(item.number)


@functools.lru_cache(maxsize=1)
def _stage(path: Path, cache: Path, _experiment_key: str) -> Stage:
    return Stage(read_experiment(path), cache)
