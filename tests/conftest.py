"""What several tests need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real scenes: EXGS_DATA, or shared/data beside the repository."""
    found = os.environ.get("EXGS_DATA")
    path = Path(found) if found else Path(__file__).parents[2] / "shared" / "data"
    if not (path / "playbot.ply").exists():
        pytest.skip(f"needs the real scenes, which are not in {path}; name their folder: EXGS_DATA")
    return path
