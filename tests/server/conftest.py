"""A folder with one small scene."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client.scenes import write_box


@pytest.fixture(scope="session")
def box_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("box") / "box.exgs"
    write_box(path, 9000)
    return path.read_bytes()


@pytest.fixture
def root(tmp_path: Path, box_bytes: bytes) -> Path:
    folder = tmp_path / "scenes"
    folder.mkdir()
    (folder / "box.exgs").write_bytes(box_bytes)
    return folder
