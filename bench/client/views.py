"""Times of a new view on a client of a large scene, with synthetic chunk tables.

    python -m bench.client.views [COUNT ...]

`ready` computes whether everything in a view has arrived, with all pages known; `chunk` counts an
arriving chunk; `memory` decides, for a budget of 1 GB, which chunks to drop, to leave out and to
fetch again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from exgs.client.readiness import Readiness
from exgs.client.residency import Residency
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.wire.events import View
from tests.wire.synthetic import synthetic_plan

COUNTS = (5_000_000, 50_000_000, 100_000_000)
_BUDGET_BYTES = 1 << 30
_VIEWS = 9


def _cameras() -> list[Camera]:
    eyes = np.random.default_rng(0).uniform(-1, 1, (_VIEWS, 3))
    return [look_at(eye, -eye, (0, -1, 0), pinhole(1280, 720, 60), 1280, 720) for eye in eyes]


def _median_ms(calls: list[Callable[[], object]]) -> float:
    times_s = []
    for call in calls:
        start_s = time.perf_counter()
        call()
        times_s.append(time.perf_counter() - start_s)
    return 1e3 * float(np.median(times_s))


def _row(count: int) -> str:
    plan, cameras = synthetic_plan(count), _cameras()
    chunks = list(plan.unit_of)
    half = len(chunks) // 2
    readiness = Readiness()
    readiness.follow(plan)
    for chunk in chunks[:half]:
        readiness.arrived(chunk)

    def look(camera: Camera) -> None:
        readiness.look(camera)
        _ = readiness.is_ready

    def arrive() -> None:
        for chunk in chunks[half:]:
            readiness.arrived(chunk)

    first_ms = _median_ms([partial(look, cameras[0])])  # arrays are built
    ready_ms = _median_ms([partial(look, camera) for camera in cameras])
    chunk_us = 1e3 * _median_ms([arrive]) / (len(chunks) - half)
    residency = Residency(_BUDGET_BYTES)
    for chunk in plan.unit_of.keys() - residency.revise(plan, View(1, cameras[0])).leave_out:
        residency.arrived(chunk)
    views = [View(number, camera) for number, camera in enumerate(cameras, start=2)]
    memory_ms = _median_ms([partial(residency.revise, plan, view) for view in views])
    return (
        f"| {count:,} | {len(chunks):,} | {len(plan.pages):,} | {first_ms:.1f} | {ready_ms:.1f}"
        f" | {chunk_us:.1f} | {memory_ms:.0f} |"
    )


def main() -> None:
    """Print a table."""
    counts = [int(text.replace("_", "")) for text in sys.argv[1:]] or COUNTS
    print("| Gaussians | chunks | pages | first view, ms | ready, ms | chunk, us | memory, ms |")
    print("|---|---|---|---|---|---|---|")
    for count in counts:
        print(_row(count), flush=True)


if __name__ == "__main__":
    main()
