"""Whatever a connection does, the client ends: with the whole scene, or with a typed error."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exgs.codec.errors import ExgsError
from exgs.server.app import start
from exgs.server.config import ServerConfig
from tests.client.scenes import write_box
from tests.transport.faulty_proxy import Fault, Kind, faults_of, spoiled
from tests.transport.receiver import Ledger, parts_of, receive_scene

SEEDS = range(10)
LONGEST_S = 30.0
SILENCE_S = 2.0  # a stalled connection is given up sooner than a user's would be


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_box(folder / "box.exgs")
    return folder


async def _receive(root: Path, faults: list[Fault], streaming: bool) -> Ledger | ExgsError:
    """What a client comes to behind these faults."""
    ledger = Ledger()
    async with (
        start(ServerConfig(root=root, port=0)) as server,
        spoiled(server.host, server.port, faults) as authority,
        asyncio.timeout(LONGEST_S),
    ):
        try:
            await receive_scene(
                authority, "box", streaming=streaming, ledger=ledger, silence_s=SILENCE_S
            )
        except ExgsError as error:
            return error
    return ledger


def _check(outcome: Ledger | ExgsError, data: bytes) -> None:
    if isinstance(outcome, Ledger):
        assert outcome.is_complete
        assert parts_of(data, outcome)
    else:
        assert "\n" not in str(outcome)


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "static"])
def test_any_faults_end_in_the_scene_or_a_typed_error(root: Path, streaming: bool) -> None:
    data = (root / "box.exgs").read_bytes()

    async def run() -> list[Ledger | ExgsError]:
        runs = [_receive(root, faults_of(seed, len(data)), streaming) for seed in SEEDS]
        return await asyncio.gather(*runs)

    outcomes = asyncio.run(run())
    for outcome in outcomes:
        _check(outcome, data)
    assert sum(isinstance(outcome, Ledger) for outcome in outcomes) > len(outcomes) // 2


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "static"])
@pytest.mark.parametrize("kind", [Kind.DELAY, Kind.RATE, Kind.RESET, Kind.CUT])
def test_a_fault_that_passes_costs_nothing_twice(root: Path, kind: Kind, streaming: bool) -> None:
    data = (root / "box.exgs").read_bytes()
    faults = [Fault(kind, len(data) // 3), Fault(kind, len(data) // 3)]
    outcome = asyncio.run(_receive(root, faults, streaming))
    assert isinstance(outcome, Ledger), outcome
    _check(outcome, data)
    assert outcome.twice_bytes == 0
    if streaming and kind in (Kind.RESET, Kind.CUT):
        assert outcome.reconnections == 2


def test_a_wrong_byte_is_noticed_and_comes_again(root: Path) -> None:
    data = (root / "box.exgs").read_bytes()
    outcome = asyncio.run(_receive(root, [Fault(Kind.CORRUPT, len(data) - 2000)], True))
    assert isinstance(outcome, Ledger), outcome
    _check(outcome, data)
    assert outcome.reconnections == 1
