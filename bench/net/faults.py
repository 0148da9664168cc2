"""Both profiles behind a faulty proxy, with many seeds: the scene or a typed error results.

    python -m bench.net.faults scene.exgs [--seeds 200] [--at-once 16]

The faults of a seed are those of tests/transport/faulty_proxy.py: late, slow, stalled, reset, cut
and corrupted connections, followed by good ones. A hang is a time without data of the scene.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from shutil import copy

from bench.net.site import percentile, table
from exgs.codec.errors import ExgsError
from exgs.server.app import start
from exgs.server.config import ServerConfig
from tests.transport.faulty_proxy import Kind, faults_of, spoiled
from tests.transport.receiver import Ledger, parts_of, receive_scene

_HANG_S = 120.0  # longer runs are aborted
_LONGEST_S = 30.0


async def _run(
    root: Path, data: bytes, seed: int, streaming: bool, gate: asyncio.Semaphore
) -> tuple[str, float, int]:
    """The result of a run, its longest seconds without progress, and bytes received twice."""
    ledger = Ledger()
    progress_s: list[float] = []

    def on_bytes(_kept_bytes: int) -> None:
        progress_s.append(time.monotonic())

    async with gate, start(ServerConfig(root=root, port=0)) as server:
        faults = faults_of(seed, len(data))
        async with spoiled(server.host, server.port, faults) as authority:
            progress_s.append(time.monotonic())
            try:
                async with asyncio.timeout(_HANG_S):
                    await receive_scene(
                        *(authority, "scene"),
                        streaming=streaming,
                        ledger=ledger,
                        on_bytes=on_bytes,
                    )
                end = "complete" if ledger.is_complete else "INCOMPLETE"
            except ExgsError as error:
                end = type(error).__name__
            except TimeoutError:
                end = "HANG"
            except Exception as error:  # unexpected errors are counted and named
                end = f"UNTYPED {error!r}"
            progress_s.append(time.monotonic())
    hang_s = max(later - earlier for earlier, later in pairwise(progress_s))
    if not parts_of(data, ledger):
        end = "WRONG BYTES"
    if end != "complete" or hang_s > _LONGEST_S:
        profile = "streaming" if streaming else "static"
        print(f"seed {seed}, {profile}: {end}, waited for {hang_s:.1f} s; {faults}", flush=True)
    is_damaged = any(fault.kind is Kind.CORRUPT for fault in faults)  # it must be sent again
    return end, hang_s, 0 if is_damaged else ledger.twice_bytes


async def _measure(scene: Path, seeds: int, at_once: int) -> list[tuple[str, str, str]]:
    rows = []
    gate = asyncio.Semaphore(at_once)
    with tempfile.TemporaryDirectory() as folder:
        copy(scene, Path(folder) / "scene.exgs")
        data = scene.read_bytes()
        for streaming in (True, False):
            runs = [_run(Path(folder), data, seed, streaming, gate) for seed in range(seeds)]
            results = await asyncio.gather(*runs)
            ends = Counter(end for end, _, _ in results)
            hangs_s = [hang_s for _, hang_s, _ in results]
            name = "streaming" if streaming else "static"
            listed = ", ".join(f"{count} {end}" for end, count in ends.most_common())
            hangs = sum(hang_s > _LONGEST_S for hang_s in hangs_s)
            typed = "the scene or a typed error"
            rows += [
                (f"{name}: {seeds} seeds", listed, typed),
                (f"{name}: longest without progress", _times(hangs_s), ""),
                (f"{name}: hangs over 30 s", str(hangs), "none"),
                (
                    f"{name}: bytes that came twice unharmed",
                    str(sum(t for _, _, t in results)),
                    "0",
                ),
            ]
    return rows


def _times(times_s: list[float]) -> str:
    return f"{max(times_s):.1f} s, median of the runs {percentile(times_s, 50):.1f} s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=16)
    arguments = parser.parse_args()
    rows = asyncio.run(_measure(arguments.scene, arguments.seeds, arguments.at_once))
    print(table(rows))


if __name__ == "__main__":
    main()
