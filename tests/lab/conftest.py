"""Files that all tests of the laboratory share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.scene import write_files


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the box in all formats."""
    folder = tmp_path_factory.mktemp("lab")
    write_files(folder)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for curves, measured once for all tests of a process."""
    return tmp_path_factory.mktemp("curves")
