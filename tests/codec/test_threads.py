"""Threads: what is made ahead is the same, in order, and its faults come out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exgs.codec.threads import ahead


def test_items_come_in_order_and_one_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    taken = []
    for number in ahead(items()):
        taken.append(number)
        assert len(made) <= number + 2
    assert taken == made == [0, 1, 2, 3, 4]


def test_a_fault_while_making_one_reaches_who_takes_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    taken = []
    with pytest.raises(OSError, match="the disk is gone"):
        taken.extend(ahead(items()))
    assert taken == [1]
