"""One small file for both sides of an exchange."""

from __future__ import annotations

import pytest

from tests.client.scenes import write_box
from tests.wire.exchange import BoxFile


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> BoxFile:
    path = tmp_path_factory.mktemp("wire") / "box.exgs"
    write_box(path, 3000)
    return BoxFile(path.read_bytes())
