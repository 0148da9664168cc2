"""One session of a sweep, as any process runs it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from exgs.lab.experiment import read_experiment
from exgs.lab.session import Job, Result, run_job
from exgs.lab.stage import Stage


@dataclass(frozen=True, slots=True)
class Planned:
    """A session to run: its number in the experiment, and the name of its result."""

    number: int
    job: Job
    key: str
    experiment_key: str  # a hash of the experiment's file, which may change between two runs


def run_here(path: Path, cache: Path, item: Planned) -> Result:
    """Run one session in this process, which keeps what it has opened for the next ones."""
    return run_job(item.job, _stage(path, cache, item.experiment_key), item.number)


@functools.lru_cache(maxsize=1)
def _stage(path: Path, cache: Path, _experiment_key: str) -> Stage:
    return Stage(read_experiment(path), cache)
