"""A client goes on where the server was killed, and gets no byte twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.client.scenes import write_box
from tests.transport.killing import receive_under_kills
from tests.transport.receiver import parts_of


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "static"])
def test_a_killed_server_costs_no_byte_twice(tmp_path: Path, streaming: bool) -> None:
    write_box(tmp_path / "box.exgs", 60_000)  # more than is on its way when the server dies
    data = (tmp_path / "box.exgs").read_bytes()
    chance = random.Random(1)
    points = [chance.randrange(1, len(data) // 4) for _ in range(2)]
    ledger = receive_under_kills(tmp_path, "box", points, streaming=streaming)
    assert ledger.is_complete
    assert parts_of(data, ledger)
    assert ledger.twice_bytes == 0
    assert ledger.reconnections > 0
