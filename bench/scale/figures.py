"""Measuring: processor time, memory, and rows of figures."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Figures = dict[str, str]  # what -> measured


class Stopwatch:
    """Processor times of single calls, in seconds."""

    def __init__(self) -> None:
        self.times_s: list[float] = []

    @contextmanager
    def lap(self) -> Iterator[None]:
        """Time the block."""
        start_s = time.thread_time()
        try:
            yield
        finally:
            self.times_s.append(time.thread_time() - start_s)

    @property
    def mean_us(self) -> str:
        """The mean, in microseconds."""
        return f"{1e6 * sum(self.times_s) / len(self.times_s):,.0f} us"

    def spread_ms(self) -> str:
        """Median, 95th percentile and worst, in milliseconds."""
        times = sorted(self.times_s)
        chosen = (times[len(times) // 2], times[min(int(0.95 * len(times)), len(times) - 1)])
        return " / ".join(f"{1e3 * value:.2f}" for value in (*chosen, times[-1])) + " ms"


def resident_bytes() -> int:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def allocated_bytes(make: Callable[[], object]) -> tuple[object, int]:
    """The result of `make`, and the memory that it has allocated."""
    gc.collect()
    tracemalloc.start()
    made = make()
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return made, held


def megabytes(count: float) -> str:
    """A number of bytes."""
    return f"{count / 1e6:,.2f} MB" if count < 1e8 else f"{count / 1e6:,.0f} MB"


def table(columns: Sequence[str], rows: dict[str, list[str]]) -> str:
    """A Markdown table with one row for each figure."""
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {what} | " + " | ".join(values) + " |" for what, values in rows.items()]
    return "\n".join(lines)
