"""Times of updates of a large scene for a renderer: all Gaussians, or only changed parts.

    python -m bench.client.updates [--gaussians 2000000] [--sh-degree 2]

Cells of 1,000 leaves, a tenth as many proxies; an update brings 16 cells and refines 16.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from exgs.codec.decoding.drawing import DrawBuffer, DrawnPart, DrawnScene, Part, assemble
from exgs.codec.payload.sh import with_vectors
from exgs.scene.gaussians import Gaussians

_CELL = 1000  # leaves
_PROXIES = 100
_CHANGED = 16  # cells of one update
_UPDATES = 20


def _cell(rng: np.random.Generator, count: int) -> Gaussians:
    columns = [rng.random(shape, np.float32) for shape in ((count, 3), (count, 4), (count, 3))]
    no_sh = np.zeros((count, 0, 3), np.float32)
    opacities, sh0 = rng.random(count, np.float32), rng.random((count, 3), np.float32)
    return Gaussians(*columns, opacities, sh0, no_sh)


def _parts(cells: range, sh_degree: int) -> dict[Part, DrawnPart]:
    rng = np.random.default_rng(cells.start)
    size = 3 * (sh_degree + 1) ** 2
    parts: dict[Part, DrawnPart] = {}
    for tile in cells:
        vectors = rng.random((_CELL, size), np.float32)
        parts[Part(0, tile, False)] = DrawnPart(_cell(rng, _CELL), vectors=vectors)
        parts[Part(0, tile, True)] = DrawnPart(_cell(rng, _PROXIES))
    return parts


def _concatenated(parts: dict[Part, DrawnPart]) -> Gaussians:
    """All Gaussians, part by part and then concatenated, as in an earlier version."""
    return Gaussians.concatenate(
        [
            part.decoded if part.vectors is None else with_vectors(part.decoded, part.vectors)
            for _, part in sorted(parts.items())
        ]
    )


def _timed(call: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s


def main() -> None:
    """Print a table of times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, default=2_000_000)
    parser.add_argument("--sh-degree", type=int, default=2, choices=range(4))
    arguments = parser.parse_args()
    cells = arguments.gaussians // _CELL
    parts = _parts(range(cells), arguments.sh_degree)
    buffer = DrawBuffer(arguments.sh_degree)

    def fill() -> DrawnScene:
        buffer.update(parts, ())
        return buffer.drawn()

    rows = [
        ("concatenated part by part", _timed(lambda: _concatenated(parts))),
        ("written into new arrays", _timed(lambda: assemble(parts, arguments.sh_degree))),
        ("written into arrays that grow", _timed(fill)),
    ]
    updates_s = []
    for number in range(_UPDATES):
        start = cells + number * _CHANGED
        changed = _parts(range(start, start + _CHANGED), arguments.sh_degree)
        refined = [Part(0, tile, False) for tile in range(number, number + _CHANGED)]
        changed |= {part: parts[part] for part in refined}
        gone = [Part(0, tile, True) for tile in range(number * _CHANGED, (number + 1) * _CHANGED)]

        def update(changed: dict[Part, DrawnPart] = changed, gone: list[Part] = gone) -> None:
            buffer.update(changed, gone)
            buffer.drawn()

        updates_s.append(_timed(update))
    rows.append((f"an update of {2 * _CHANGED} parts, median", float(np.median(updates_s))))
    rows.append((f"an update of {2 * _CHANGED} parts, longest", max(updates_s)))
    print(f"{arguments.gaussians:,} Gaussians, SH {arguments.sh_degree}\n")
    for label, seconds in rows:
        print(f"| {label} | {seconds * 1e3:.0f} ms |")


if __name__ == "__main__":
    main()
