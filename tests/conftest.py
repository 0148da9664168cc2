"""Fixtures and settings of all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A shell lets what it starts in the background ignore interrupts, and children inherit that: tests
# of interrupts want none of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Processor time is shared with other tests, so examples may take any time.
settings.register_profile("exgs", deadline=None)
settings.load_profile("exgs")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real scenes: EXGS_DATA, or shared/data beside the repository."""
    found = os.environ.get("EXGS_DATA")
    path = Path(found) if found else Path(__file__).parents[2] / "shared" / "data"
    if not (path / "playbot.ply").exists():
        pytest.skip(f"needs the real scenes, which are not in {path}; name their folder: EXGS_DATA")
    return path
