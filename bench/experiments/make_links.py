"""Generates the small traces in bench/experiments/links, which need no licence of others.

They are not recordings. Their means, variations and outages are similar to those of public sets
(HSDPA of Riiser et al., LTE of Winstein et al., home lines of the FCC). Rates are drawn from a
Markov chain of log rates.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "links"


def rates(
    seed: int, mean_mbps: float, swing: float, hold: float, outage: float, count: int
) -> Iterator[float]:
    """Rates at equal time steps: an AR(1) process of logarithms, and outages of a few steps."""
    chance = random.Random(seed)
    level, silent = 0.0, 0
    for _ in range(count):
        level = hold * level + swing * math.sqrt(1 - hold**2) * chance.gauss(0, 1)
        if silent:
            silent -= 1
        elif chance.random() < outage:
            silent = chance.randint(1, 4)
        yield 0.02 if silent else mean_mbps * math.exp(level - swing**2 / 2)


def main() -> None:
    """Write the three files."""
    FOLDER.mkdir(exist_ok=True)
    lines = [
        f"{second}.0 {rate:.3f}" for second, rate in enumerate(rates(3, 1.4, 0.5, 0.9, 0.02, 120))
    ]
    (FOLDER / "3g.txt").write_text("\n".join(lines) + "\n")
    lines = ["time_s,bandwidth_mbps"]
    lines += [f"{n * 5},{rate:.3f}" for n, rate in enumerate(rates(5, 14.0, 0.2, 0.6, 0.0, 24))]
    (FOLDER / "home.csv").write_text("\n".join(lines) + "\n")
    times, carried = [], 0.0
    for step, rate in enumerate(rates(4, 5.0, 0.6, 0.95, 0.004, 300)):
        for millisecond in range(100):
            carried += rate * 1e6 / 12_000 / 1e3
            while carried >= 1:
                times.append(step * 100 + millisecond)
                carried -= 1
    (FOLDER / "lte.down").write_text("\n".join(map(str, times)) + "\n")


if __name__ == "__main__":
    main()
