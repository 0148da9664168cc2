"""Where the real scenes are that benchmarks read."""

from __future__ import annotations

import os
from pathlib import Path


def data_dir() -> Path:
    """The folder with real scenes."""
    found = os.environ.get("EXGS_DATA")
    return Path(found) if found else Path(__file__).parents[3] / "shared" / "data"
