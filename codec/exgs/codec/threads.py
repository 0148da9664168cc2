"""Work beside other work, for what leaves the interpreter: zstd, numpy on long arrays, kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def in_threads(function: Callable[[T], U], items: Iterable[T]) -> list[U]:
    """`function` of every item, in order, on all cores."""
    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        return list(pool.map(function, items))


def ahead(items: Iterator[T]) -> Iterator[T]:
    """`items`, none of them None, each made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
